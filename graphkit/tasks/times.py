"""Where the past ends, and with it the training part of a split by time."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from graphkit.core.graph_input import as_tensor

_ISO = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?)?")  # without a zone, which numpy does not know


def as_times(time: Any, place: str) -> np.ndarray:
    """Times as numbers; dates of numpy and pandas, and texts such as 2026-01-31, count from 1970; missing are NaN."""
    first = next(iter(time), None) if isinstance(time, Iterable) else None
    if isinstance(first, str):
        time = _from_texts(time, place)
    kind = getattr(getattr(time, "dtype", None), "kind", "")
    if kind == "M":
        dates = np.asarray(time, dtype="datetime64[ns]")
        return np.where(np.isnat(dates), np.nan, dates.astype(np.int64))
    if kind in ("m", "O"):
        raise TypeError(f"{place}: time holds {first!r}; give numbers, or dates by pandas.to_datetime(time)")
    times = as_tensor(time, f"{place}: time").cpu().numpy()
    if times.dtype.kind == "b":
        raise TypeError(f"{place}: time holds truth values; give numbers")
    short = times.dtype.kind == "f" and times.itemsize < 8 and times.size > 0
    if short and (step := np.spacing(np.abs(times).max())) > 1:
        raise ValueError(
            f"{place}: time is {times.dtype}, in which times such as {times.max():.0f} differ by {step:g} or not at "
            "all; give them as int64 or float64"
        )
    return times


def _from_texts(times: Iterable[Any], place: str) -> np.ndarray:
    """Dates of numpy; what is no text is missing."""
    texts = [time if isinstance(time, str) else "NaT" for time in times]
    odd = next((text for text in texts if text != "NaT" and not _ISO.fullmatch(text)), None)
    if odd is not None:
        raise TypeError(
            f"{place}: time holds strings, e.g. {odd!r}; use pandas.to_datetime(time), or to_numeric; dates such as "
            "2026-01-31 12:00 are read as they are"
        )
    return np.array(texts, dtype="datetime64[ns]")


def check_known(times: np.ndarray, place: str) -> None:
    """Refuse times that are no row of numbers.

    Raises:
        ValueError: If it is so.
    """
    if times.ndim != 1:
        raise ValueError(f"{place}: time has the shape {list(times.shape)}; give each one number")
    known = np.isfinite(times)
    if not known.all():
        raise ValueError(f"{place}: time is missing or infinite at row {int(known.argmin())}; give each one number")


def time_bounds(times: np.ndarray, val: float, test: float, place: str) -> tuple[float, float]:
    """The last time of training and that of validation.

    Raises:
        ValueError: If a time is missing, or a part would be empty.
    """
    check_known(times, place)
    if val + test >= 1:
        raise ValueError(f"{place}: val={val} and test={test} leave nothing for training")
    bounds = np.quantile(times, [1 - val - test, 1 - test])
    counts = np.bincount(parts_by_time(times, bounds), minlength=3)
    if (counts == 0).any():
        empty = ("train", "val", "test")[int(counts.argmin())]
        raise ValueError(
            f"{place}: the {empty} part is empty, as of {times.size} times many are equal and stay together; choose "
            "other shares, or give the ids of each part"
        )
    return bounds[0], bounds[1]


def parts_by_time(times: np.ndarray, bounds: Any) -> np.ndarray:
    """0, 1 or 2 for times of training, validation and test."""
    return np.searchsorted(bounds, times, side="left")
