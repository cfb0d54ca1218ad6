"""A model's weights in a file: safetensors with a checksum, which any framework reads and nothing executes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from graphkit.core.constraints import checked
from graphkit.core.files import atomic_write, load_tensors, remove, save_tensors
from graphkit.training.checkpoint import readable

M = TypeVar("M", bound=nn.Module)
SAFE, TORCH = "model.safetensors", "model.pt"
_CHECKSUM = "sha256"


def write_weights(folder: Path, weights: Mapping[str, Any]) -> None:
    """Write ``model.safetensors``, or ``model.pt`` where a state dict holds more than dense tensors."""
    if not all(_is_dense(value) for value in weights.values()):
        save_tensors(folder / TORCH, dict(weights))
        remove(folder / SAFE)
        return
    import safetensors.torch

    tensors = {name: _copy(value) for name, value in weights.items()}
    content = safetensors.torch.save(tensors, {"format": "pt", _CHECKSUM: _checksum(tensors)})
    with atomic_write(folder / SAFE) as temporary:
        temporary.write_bytes(content)
    remove(folder / TORCH)


def weights_in(folder: Path) -> Path:
    """The weights in a folder, which before safetensors stood in ``model.pt``."""
    return folder / TORCH if (folder / TORCH).exists() and not (folder / SAFE).exists() else folder / SAFE


def read_weights(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Named tensors and plain values, after comparing checksums.

    Raises:
        FileNotFoundError, ValueError: As :func:`load_weights`.
    """
    with readable(f"weights {path}", "restore a copy, or write them again by fit(..., resume=True)"):
        weights = _read_safe(path) if Path(path).suffix == ".safetensors" else load_tensors(path)
        if not isinstance(weights, dict):
            raise ValueError("they are not a model's")
    return weights


@checked
def load_weights(model: M, path: str | os.PathLike[str]) -> M:
    """Load the best weights of a run into a model, after comparing the checksum of the file.

    Neither safetensors nor ``torch.load`` compares one: with a damaged byte they load other weights. Nothing that the
    file might contain is executed.

    Args:
        model: The model that was given to ``fit``, or a new one of the same shape; its weights are replaced. (Where a
            strategy shows layers more than the states below, it has widened them: load into the trained model there.)
        path: The file ``model.safetensors`` of a run folder or of :func:`save` (``model.pt`` of an older graphkit), or
            the folder. A file of safetensors from elsewhere has no checksum and is loaded without.

    Returns:
        The model.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, or its weights are those of another model; the message names it and the remedy.

    Example:
        >>> import graphkit as gk, tempfile
        >>> task, folder = gk.load("karate"), tempfile.mkdtemp()
        >>> model = gk.models.GCN.from_task(task, hidden_channels=8)
        >>> result = gk.Trainer(max_epochs=3, progress=False, run_dir=folder).fit(model, task)
        >>> gk.load_weights(gk.models.GCN.from_task(task, hidden_channels=8), folder)
        GCN(34, hidden_channels=8, out_channels=4)
    """
    path = weights_in(Path(path)) if Path(path).is_dir() else Path(path)
    weights = read_weights(path)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(
            f"weights {path} do not fit {type(model).__name__}; build the model that was trained ({error})"
        ) from error
    return model


def _is_dense(value: Any) -> bool:
    return isinstance(value, Tensor) and not is_lazy(value) and value.layout == torch.strided and not value.is_complex()


def _copy(value: Tensor) -> Tensor:
    """In one piece of its own: tensors that share memory are refused by safetensors."""
    return value.detach().cpu().clone(memory_format=torch.contiguous_format)


def _read_safe(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    from safetensors import safe_open
    from safetensors.torch import load_file

    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        known = (file.metadata() or {}).get(_CHECKSUM)
    if known is not None and known != _checksum(tensors):
        raise ValueError("its checksum is wrong")
    return tensors


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
