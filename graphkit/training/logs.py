"""What is told of every epoch: a progress bar and log files."""

from __future__ import annotations

import csv
import io
import os
import time
from pathlib import Path
from typing import Any

from graphkit.core.display import progress_bar
from graphkit.core.files import atomic_write

LOGGERS = ("csv", "tensorboard")
Record = dict[str, Any]


class Log:
    """What hears of every epoch."""

    def write(self, record: Record) -> None:
        """Add one epoch."""

    def flush(self) -> None:
        """Make what was written visible to readers."""

    def close(self) -> None:
        """End it, after the last epoch or an error."""


class Progress(Log):
    """A bar over epochs with the time left and the latest scores, redrawn at most ten times per second."""

    def __init__(self, total: int, done: int, show: bool | None) -> None:
        # leave=None: under another bar it goes when it is done
        self._bar = progress_bar(total=total, initial=done, unit="epoch", dynamic_ncols=True, leave=None, show=show)
        self._next = 0.0
        self._latest: Record = {}

    def write(self, record: Record) -> None:
        self._latest = record
        now = time.monotonic()
        if now >= self._next:
            self._next = now + 0.1
            self._show_scores()
        self._bar.update()

    def _show_scores(self) -> None:
        if self._bar.disable or not self._latest:
            return
        self._bar.set_description(str(self._latest["phase"]), refresh=False)
        scores = {key: f"{value:.4g}" for key, value in self._latest.items() if isinstance(value, float)}
        self._bar.set_postfix(scores, refresh=False)

    def close(self) -> None:
        self._show_scores()  # of the last epoch: the bar stays as it stands
        self._bar.close()


class CSVLog(Log):
    """``history.csv``: one row per epoch, one column per number that any epoch logs; readers never see half a row."""

    def __init__(self, folder: Path, history: list[Record]) -> None:
        self._path = folder / "history.csv"
        self._history = history  # grows with the run
        self._columns: list[str] = []
        self._waiting: list[Record] = []
        if history:  # a resumed run: rows after the checkpoint were never trained, as far as this run knows
            self._write_all()

    def _write_all(self) -> None:
        self._columns = list(dict.fromkeys(key for row in self._history for key in row))
        with atomic_write(self._path) as temporary:
            temporary.write_text(self._lines(self._history, header=True), newline="")

    def _lines(self, rows: list[Record], header: bool = False) -> str:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self._columns)
        if header:
            writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()

    def write(self, record: Record) -> None:
        self._waiting.append(record)

    def flush(self) -> None:
        rows, self._waiting = self._waiting, []
        if any(row.keys() - set(self._columns) for row in rows):  # what no epoch before has logged
            self._write_all()
            return
        try:  # the file that this run made: neither a link nor a new one
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0))
        except OSError:
            self._write_all()
            return
        with open(file, "w", newline="") as opened:
            opened.write(self._lines(rows))

    def close(self) -> None:
        if self._waiting:
            self.flush()


class TensorBoardLog(Log):
    """Event files for TensorBoard in ``tensorboard/``."""

    def __init__(self, folder: Path, history: list[Record]) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ImportError(
                "loggers=('tensorboard',) needs the package tensorboard; run: pip install tensorboard"
            ) from error
        self._path = folder / "tensorboard"
        if self._path.is_symlink():
            raise ValueError(f"{self._path} is a symbolic link, must be a folder of this run; remove the link")
        self._history = history  # grows with the run
        self._open = lambda step: SummaryWriter(str(self._path), purge_step=step or None)
        self._step = len(history)
        self._writer = self._open(
            self._step
        )  # steps that a killed run wrote after its checkpoint are dropped by readers

    def write(self, record: Record) -> None:
        for key, value in record.items():
            if isinstance(value, float):
                self._writer.add_scalar(key, value, self._step)
        self._step += 1

    def flush(self) -> None:
        if not self._path.exists():  # deleted during the run
            self._step, self._writer = 0, self._open(0)
            for record in self._history:
                self.write(record)
        self._writer.flush()

    def close(self) -> None:
        self.flush()
        self._writer.close()


class Logs(Log):
    """All log files of a run, and its progress bar."""

    def __init__(
        self, folder: Path | None, names: tuple[str, ...], history: list[Record], num_epochs: int, show: bool | None
    ) -> None:
        classes = {"csv": CSVLog, "tensorboard": TensorBoardLog}
        self._logs: list[Log] = [] if folder is None else [classes[name](folder, history) for name in names]
        self._logs.append(Progress(num_epochs, len(history), show))

    def __enter__(self) -> Logs:
        return self

    def __exit__(self, _: Any, error: BaseException | None, __: Any) -> None:
        try:
            self.close()
        except OSError:  # what ended the run has been told, and is the reason: a full disk
            if error is None:
                raise

    def write(self, record: Record) -> None:
        for log in self._logs:
            log.write(record)

    def flush(self) -> None:
        for log in self._logs:
            log.flush()

    def close(self) -> None:
        for log in self._logs:
            log.close()
