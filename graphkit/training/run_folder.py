"""The folder of a run: locked while it trains, and at every instant the files of one run."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphkit.core.files import atomic_write, remove, remove_temporaries, save_tensors, write_tensors
from graphkit.core.locks import try_lock
from graphkit.training.loggers import FILES as LOGS
from graphkit.training.weights import SAFE, TORCH, write_weights

if TYPE_CHECKING:
    from graphkit.training.result import Result

RESULT = ("result.json", "curves.png", SAFE, TORCH, "strategy.pt")
KEPT = ("result.json", SAFE, TORCH, "checkpoint.pt")  # what cost a run
# In the order in which a new run removes what an old one has left: the rest is always of the old one.
FILES = (*RESULT, "history.csv", *LOGS, "checkpoint.pt", "experiment.yaml", "config.json")


class RunFolder:
    """The files of one run.

    Only the process that opens the folder writes there; others read the checkpoint.

    Args:
        path: The folder; made with its parents when it is opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser()
        self.is_open = False

    @property
    def checkpoint(self) -> Path:
        """The place of the checkpoint."""
        return self.path / "checkpoint.pt"

    @contextmanager
    def opened(self, resume: bool, overwrite: bool) -> Iterator[None]:
        """Lock the folder for one run.

        Raises:
            ValueError: If it holds another run and is to be neither continued nor replaced, or is no folder.
            RuntimeError: If another run writes into it.
        """
        is_known = (self.path / "run.lock").exists()
        self._acquire()
        try:
            if not overwrite:
                self._check(resume, FILES if not (is_known or resume) else KEPT)
            self.is_open = True
            yield
        finally:
            self.is_open = False
            self._lock.release()

    def _acquire(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"Trainer: run_dir={str(self.path)!r} is a file, must be a folder")
        lock = try_lock(self.path / "run.lock")
        if lock is None:
            raise RuntimeError(
                f"Trainer: run_dir={str(self.path)!r} is in use by another run; wait for its end, or choose another one"
            )
        self._lock = lock
        self._identity = self._stat()

    def _check(self, resume: bool, names: tuple[str, ...]) -> None:
        """Refuse a folder that holds such files, unless they are a checkpoint and what belongs to it."""
        held = [name for name in names if os.path.lexists(self.path / name)]
        if not held or (resume and self.checkpoint.exists()):
            return
        what = f"Trainer: run_dir={str(self.path)!r} holds a run ({', '.join(held)})"
        if resume:
            raise ValueError(
                f"{what}, but no checkpoint.pt to continue from; replace it by fit(..., overwrite=True), or choose "
                "another folder"
            )
        raise ValueError(
            f"{what}; continue it by fit(..., resume=True), replace it by fit(..., overwrite=True), or choose "
            "another folder"
        )

    def begin(self, texts: Mapping[str, str], continues: bool) -> None:
        """Make place for a run. What a continued one has reached stays until its next checkpoint.

        Args:
            texts: The contents of small files that describe the run, by name.
            continues: Whether the run goes on from the checkpoint.
        """
        for name in FILES:
            remove_temporaries(self.path / name)
        self._texts = texts
        self._outdated: tuple[str, ...] = RESULT if continues else FILES
        if not continues:
            self._replace_outdated()

    def save_checkpoint(self, state: Any) -> None:
        """Write the checkpoint, into a new folder if the old one was deleted."""
        if self._stat() != self._identity:
            self._lock.release()
            self._acquire()
            warnings.warn(
                f"run folder {self.path} was deleted during the run; its files are written anew", stacklevel=2
            )
            self._outdated = RESULT
        with atomic_write(self.checkpoint) as temporary:
            write_tensors(temporary, state)
            if self._outdated:
                self._replace_outdated()

    def _replace_outdated(self) -> None:
        for name in self._outdated:
            remove(self.path / name)
        for name, text in self._texts.items():
            with atomic_write(self.path / name) as temporary:
                temporary.write_text(text, encoding="utf-8")
        self._outdated = ()

    def finish(self, weights: Mapping[str, Any], of_strategy: Mapping[str, Any], result: Result) -> None:
        """Write the best weights and the strategy's state, then the result, which says that the run is complete."""
        write_weights(self.path, weights)
        save_tensors(self.path / TORCH, dict(weights))  # its name until now, for one release
        if of_strategy:
            save_tensors(self.path / "strategy.pt", of_strategy)
        result.save(self.path / "result.json")

    def _stat(self) -> tuple[int, int] | None:
        """What tells this folder's lock from another of the same name."""
        try:
            status = (self.path / "run.lock").stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino
