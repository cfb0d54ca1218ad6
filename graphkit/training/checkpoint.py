"""Checkpoints: everything that an exact resume needs, in one file that is either whole or not there."""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from graphkit.core.files import load_tensors
from graphkit.tasks import Task

_REMEDY = "restore a copy, or delete it and train with resume=False, overwrite=True"


class Resumable(Protocol):
    """What can go on from a checkpoint's content."""

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


# A resumed run may differ in these: they change no epoch.
CHANGEABLE = {
    "max_epochs",
    "patience",
    "progress",
    "run_dir",
    "loggers",
    "callbacks",
    "checkpoint_seconds",
    "prefetch",
    "accelerator",
    "devices",
    "num_nodes",
}


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint, without executing anything that it might contain.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If the file is truncated, damaged or not a checkpoint; the message names it and the remedy.
    """
    with readable(f"checkpoint {path}", _REMEDY):
        state = load_tensors(path)
        if not isinstance(state, dict) or not state.keys() & {"settings", "fingerprint"}:
            raise ValueError("it is not one of graphkit's")
        if "settings" not in state:
            raise ValueError("an older graphkit wrote it, and only that can continue it")
    return state


def continue_run(loop: Resumable, path: Path, settings: dict[str, Any]) -> None:
    """Let a run go on from a checkpoint.

    Raises:
        ValueError: If the checkpoint is damaged, lacks something, or is of a run under other settings.
    """
    state = load_checkpoint(path)
    check_settings(path, state["settings"], settings)
    try:
        loop.load_state_dict(state)
    except (KeyError, TypeError, RuntimeError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise ValueError(f"checkpoint {path} cannot be continued ({what}); {_REMEDY}") from error


@contextmanager
def readable(what: str, remedy: str) -> Iterator[None]:
    """Say of a file that cannot be read which one it is, and what can be done."""
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:
        foreign = isinstance(error, pickle.UnpicklingError)  # torch's text advises to run whatever the file contains
        reason = "it holds objects that no file of graphkit holds" if foreign else error
        raise ValueError(f"{what} cannot be read ({reason}); {remedy}") from error


def fixed_settings(config: dict[str, Any], model: nn.Module, task: Task) -> dict[str, Any]:
    """What decides a run's numbers: the settings of its description, the model's shapes and the task's content."""
    settings = {name: value for name, value in config["trainer"].items() if name not in CHANGEABLE}
    shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
    content = {"task": task.describe(), "task content": task.content_hash}
    names = sorted(name for name, parameter in model.named_parameters() if not parameter.requires_grad)
    frozen = {"frozen": names} if names else {}
    return settings | {"model": repr(model), "parameter shapes": shapes} | content | frozen


def check_settings(path: Path, saved: dict[str, Any], current: dict[str, Any]) -> None:
    """Refuse to continue a run under other settings.

    Raises:
        ValueError: Naming the first setting that differs.
    """
    for key in sorted(saved.keys() | current.keys()):
        if saved.get(key) != current.get(key):
            raise ValueError(
                f"checkpoint {path} was written with {key}={saved.get(key)!r}, but this run has {key}="
                f"{current.get(key)!r}; use the same settings, or another run_dir"
            )


def as_numbers(logged: Iterable[tuple[Any, Mapping[str, Any]]]) -> list[tuple[float, dict[str, float]]]:
    """What batches have measured, and how much each counts, without tensors."""
    return [(float(count), {key: float(value) for key, value in values.items()}) for count, values in logged]


def random_state() -> dict[str, Any]:
    """The states of Python's, NumPy's and torch's generators, as plain values and tensors."""
    _, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": [np.asarray(keys).tolist(), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Put back what :func:`random_state` returned."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state(("MT19937", np.array(keys, dtype=np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and torch's generators."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
