"""Loggers by Lightning Fabric's interface: which there are by name, and how a run is told to them."""

from __future__ import annotations

import importlib
import json
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from graphkit.core.files import write_json
from graphkit.core.text import numbered
from graphkit.core.validate import suggestion
from graphkit.training.callbacks import Callback, FitState
from graphkit.training.history_csv import HistoryCSV


class Logger(Protocol):
    """What is called of ``lightning_fabric.loggers.Logger``; Lightning's own loggers have it, too."""

    def log_hyperparams(self, params: dict[str, Any]) -> None:
        """Record the arguments of the run, as nested plain values, once."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Record the numbers of an epoch; ``step`` counts the epochs of all phases from 0."""

    def save(self) -> None:
        """Make what was recorded visible to readers."""

    def finalize(self, status: str) -> None:
        """End the log, by ``"success"`` or ``"failed"``."""


@dataclass(frozen=True)
class _Named:
    """How the logger of a name is made: its class, its place in the run folder, the packages that it needs."""

    module: str
    class_name: str
    place: str
    packages: tuple[str, ...]
    arguments: Callable[[Path, Any], dict[str, Any]]  # of the run folder, and of the run's id if it goes on
    end: str = ""  # what its experiment needs at the end beside ``finalize``


_LIGHTNING = "pytorch_lightning.loggers"
_NAMED = {
    "tensorboard": _Named(
        "lightning_fabric.loggers",
        "TensorBoardLogger",
        "tensorboard",
        ("tensorboard",),
        lambda folder, _: {"root_dir": folder, "name": "tensorboard", "version": ""},
    ),
    "wandb": _Named(
        _LIGHTNING,
        "WandbLogger",
        "wandb",
        ("wandb", "pytorch_lightning"),
        lambda folder, run: {
            "save_dir": folder,
            "name": folder.name,
            "project": os.environ.get("WANDB_PROJECT", "graphkit"),
            "id": run,
        },
        end="finish",
    ),
    "mlflow": _Named(
        _LIGHTNING,
        "MLFlowLogger",
        "mlflow.db",
        ("mlflow", "pytorch_lightning"),
        lambda folder, run: {
            "experiment_name": os.environ.get("MLFLOW_EXPERIMENT_NAME", "graphkit"),
            "run_name": folder.name,
            "tracking_uri": os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{folder.absolute()}/mlflow.db"),
            "run_id": run,
        },
    ),
    "comet": _Named(
        _LIGHTNING,
        "CometLogger",
        "comet",
        ("comet_ml", "pytorch_lightning"),
        lambda folder, run: {
            "name": folder.name,
            "project": os.environ.get("COMET_PROJECT_NAME", "graphkit"),
            "offline_directory": str(folder / "comet"),
            "experiment_key": run,
        },
        end="end",
    ),
}
NAMES = ("csv", *_NAMED)
_FILE = "loggers.json"
FILES = (_FILE, *(named.place for named in _NAMED.values()))  # in the run folder, beside history.csv


def check_logger(logger: Any) -> str | None:
    """The constraint of one of ``Trainer(loggers=...)``."""
    if not isinstance(logger, str):
        wanted = [name for name in vars(Logger) if not name.startswith("_")]
        lacking = [name for name in wanted if not callable(getattr(logger, name, None))]
        is_one = not lacking and not isinstance(logger, type)
        return None if is_one else f"must be a name ({', '.join(NAMES)}) or a Logger as of lightning_fabric.loggers"
    if logger not in NAMES:
        return suggestion(logger, NAMES)
    lacking = missing_packages(logger)
    return f"needs {' and '.join(lacking)}; run: pip install 'graphkit-pyg[{logger}]'" if lacking else None


def without_repetition(loggers: Sequence[Any]) -> str | None:
    """The constraint of all of them."""
    names = [logger for logger in loggers if isinstance(logger, str)]
    return None if len(set(names)) == len(names) else "must not repeat a name"


def missing_packages(name: str) -> list[str]:
    """What the logger of a name needs and is not installed."""
    packages = _NAMED[name].packages if name in _NAMED else ()
    return [package for package in packages if find_spec(package) is None]


def names_of(loggers: Sequence[str | Logger]) -> list[str]:
    """Names of loggers, and the classes of others, each with a number from its second on."""
    return numbered(logger if isinstance(logger, str) else type(logger).__qualname__ for logger in loggers)


def log_callbacks(
    loggers: Sequence[str | Logger] | None, folder: Path | None, config: Mapping[str, Any]
) -> list[Callback]:
    """What tells the loggers of a run.

    Args:
        loggers: Names and objects; ``None`` is ``history.csv`` alone, if there is a folder.
        folder: The run folder, if there is one.
        config: The arguments of trainer, model and strategy.
    """
    chosen = ("csv",) if loggers is None and folder is not None else loggers or ()
    callbacks: list[Callback] = [HistoryCSV(folder) for name in chosen if name == "csv" and folder is not None]
    others = {name: each for name, each in zip(names_of(chosen), chosen, strict=True) if each != "csv"}
    return [*callbacks, _Loggers(others, folder, config)] if others else callbacks


@dataclass
class _Log:
    """A logger, the steps that it has been told (those of an earlier process included), and those that wait."""

    logger: Any
    told: int
    waiting: deque[tuple[int, dict[str, float]]]

    def flush(self) -> None:
        while self.waiting:
            step, metrics = self.waiting[0]
            self.logger.log_metrics(metrics, step=step)
            self.told = step + 1
            self.waiting.popleft()
        self.logger.save()


class _Loggers(Callback):
    """Tells loggers of the arguments once, of every epoch once, and of the end.

    With a run folder they hear of epochs when a checkpoint has been written, and how many they have heard of is kept
    beside it: so a resumed run tells them of what is missing, and of nothing twice.
    """

    def __init__(self, given: Mapping[str, str | Logger], folder: Path | None, config: Mapping[str, Any]) -> None:
        self._given, self._folder, self._config = given, folder, config
        self._logs: dict[str, _Log] = {}

    def on_fit_start(self, state: FitState) -> None:
        known = self._known()
        history = state.history
        for name, given in self._given.items():
            run, told = known.get(name, (None, 0))
            logger: Any = self._made(given, run) if isinstance(given, str) else given
            if name not in known:
                _log_hyperparams(logger, dict(self._config) | {"task": state.task.describe()})
            waiting = deque((step, _numbers(row)) for step, row in enumerate(history) if step >= told)
            self._logs[name] = _Log(logger, told, waiting)

    def on_epoch_end(self, state: FitState) -> None:
        for log in self._logs.values():
            if state.step > log.told:
                log.waiting.append((state.step - 1, _numbers(state.metrics)))
        if self._folder is None:
            self._flush()

    def on_save_checkpoint(self, state: FitState) -> None:
        if self._folder is not None and any(log.told for log in self._logs.values()) and not self._known():
            self.on_fit_start(state)  # the run folder was deleted during the run
        self._flush()

    def on_fit_end(self, state: FitState, result: Any) -> None:
        self._end("success")

    def on_exception(self, state: FitState, exception: BaseException) -> None:
        self._end("failed")

    def _end(self, status: str) -> None:
        try:
            self._flush()
        finally:
            for name, log in self._logs.items():
                log.logger.finalize(status)
                if name in _NAMED and _NAMED[name].end:
                    getattr(log.logger.experiment, _NAMED[name].end)()

    def _flush(self) -> None:
        try:
            for log in self._logs.values():
                log.flush()
        finally:
            if self._folder is not None and self._logs:
                told = {name: (getattr(log.logger, "version", None), log.told) for name, log in self._logs.items()}
                write_json(self._folder / _FILE, told)

    def _known(self) -> dict[str, Any]:
        """For each logger the id of its run and the number of steps that it has been told."""
        if self._folder is None or not (self._folder / _FILE).exists():
            return {}
        return json.loads((self._folder / _FILE).read_text(encoding="utf-8"))

    def _made(self, name: str, run: Any) -> Any:
        named, folder = _NAMED[name], self._folder
        assert folder is not None  # the trainer has refused names without one
        if (folder / named.place).is_symlink():
            raise ValueError(
                f"{folder / named.place} is a symbolic link, must be a file or folder of this run; remove the link"
            )
        return getattr(importlib.import_module(named.module), named.class_name)(**named.arguments(folder, run))


def _log_hyperparams(logger: Any, config: dict[str, Any]) -> None:
    try:
        logger.log_hyperparams(config)
    except NotImplementedError:  # Fabric's CSVLogger says that it has no place for them
        return


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    return {key: value for key, value in row.items() if isinstance(value, float)}
