"""``history.csv``, the log that every run folder has."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

from graphkit.core.files import atomic_write
from graphkit.training.callbacks import Callback, FitState

Row = dict[str, Any]


class HistoryCSV(Callback):
    """One row per epoch, one column per number that any epoch logs; readers never see half a row."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "history.csv"
        self._columns: list[str] = []
        self._waiting: list[Row] = []

    def on_fit_start(self, state: FitState) -> None:
        if state.step:  # a resumed run: rows after the checkpoint were never trained, as far as this run knows
            self._write_all(state)

    def on_epoch_end(self, state: FitState) -> None:
        self._waiting.append({"phase": state.phase, "epoch": state.epoch} | state.metrics)

    def on_save_checkpoint(self, state: FitState) -> None:
        rows, self._waiting = self._waiting, []
        if any(row.keys() - set(self._columns) for row in rows):  # what no epoch before has logged
            self._write_all(state)
            return
        try:  # the file that this run made: neither a link nor a new one
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0))
        except OSError:
            self._write_all(state)
            return
        with open(file, "w", newline="") as opened:
            opened.write(self._lines(rows))

    def on_exception(self, state: FitState, exception: BaseException) -> None:
        if self._waiting:
            self.on_save_checkpoint(state)

    def _write_all(self, state: FitState) -> None:
        history = state.history
        self._columns = list(dict.fromkeys(key for row in history for key in row))
        with atomic_write(self._path) as temporary:
            temporary.write_text(self._lines(history, header=True), newline="")

    def _lines(self, rows: list[Row], header: bool = False) -> str:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self._columns)
        if header:
            writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()
