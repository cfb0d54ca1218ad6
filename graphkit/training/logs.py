"""What is told of every epoch: a progress bar and log files."""

from __future__ import annotations

import csv
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from graphkit.core.files import atomic_write
from graphkit.core.validate import check_choice

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
        from tqdm import tqdm

        enabled = sys.stderr.isatty() if show is None else show
        # leave=None: under another bar it goes when it is done
        self._bar = tqdm(total=total, initial=done, unit="epoch", disable=not enabled, dynamic_ncols=True, leave=None)
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
    """``history.csv``: one row per epoch, one column per number that any epoch logs."""

    def __init__(self, folder: Path, history: list[Record]) -> None:
        self._path = folder / "history.csv"
        self._history = history  # grows with the run
        self._columns: list[str] = []
        self._file: TextIO | None = None
        if history:  # a resumed run: rows after the checkpoint were never trained, as far as this run knows
            self._write_all()

    def _write_all(self) -> None:
        self.close()
        self._columns = list(dict.fromkeys(key for row in self._history for key in row))
        with atomic_write(self._path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, self._columns)
            writer.writeheader()
            writer.writerows(self._history)
        self._file = self._path.open("a", newline="")

    def write(self, record: Record) -> None:
        if self._file is None or record.keys() - set(self._columns):  # what no epoch before has logged
            self._write_all()
        else:
            csv.DictWriter(self._file, self._columns).writerow(record)

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class TensorBoardLog(Log):
    """Event files for TensorBoard in ``tensorboard/``."""

    def __init__(self, folder: Path, history: list[Record]) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ImportError(
                "loggers=('tensorboard',) needs the package tensorboard; run: pip install tensorboard"
            ) from error
        self._step = len(history)
        # Steps that a killed run wrote after its checkpoint are dropped by the reader.
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=self._step or None)

    def write(self, record: Record) -> None:
        for key, value in record.items():
            if isinstance(value, float):
                self._writer.add_scalar(key, value, self._step)
        self._step += 1

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class Logs(Log):
    """All log files of a run, and its progress bar."""

    def __init__(
        self, folder: Path | None, names: tuple[str, ...], history: list[Record], num_epochs: int, show: bool | None
    ) -> None:
        for name in names:
            check_choice(name, LOGGERS, "logger")
        classes = {"csv": CSVLog, "tensorboard": TensorBoardLog}
        self._logs: list[Log] = [] if folder is None else [classes[name](folder, history) for name in names]
        self._logs.append(Progress(num_epochs, len(history), show))

    def write(self, record: Record) -> None:
        for log in self._logs:
            log.write(record)

    def flush(self) -> None:
        for log in self._logs:
            log.flush()

    def close(self) -> None:
        for log in self._logs:
            log.close()
