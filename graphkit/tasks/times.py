"""Where the past ends, and with it the training part of a split by time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from graphkit.core.graph_input import as_tensor


def as_times(time: Any, place: str) -> np.ndarray:
    """Times as numbers; dates of numpy and pandas are counted from 1970, missing ones are NaN."""
    kind = getattr(getattr(time, "dtype", None), "kind", "")
    if kind == "M":
        dates = np.asarray(time, dtype="datetime64[ns]")
        return np.where(np.isnat(dates), np.nan, dates.astype(np.int64))
    first = next(iter(time), None) if isinstance(time, Iterable) else None
    if isinstance(first, str):
        remedy = "use pandas.to_datetime(time), or to_numeric"
        raise TypeError(f"{place}: time holds strings, e.g. {str(first)!r}; {remedy}")
    if kind in ("m", "O"):
        raise TypeError(f"{place}: time holds {first!r}; give numbers, or dates by pandas.to_datetime(time)")
    return as_tensor(time, f"{place}: time").cpu().numpy()


def time_bounds(times: np.ndarray, val: float, test: float, place: str) -> tuple[float, float]:
    """The last time of training and that of validation.

    Raises:
        ValueError: If a time is missing, or a part would be empty.
    """
    if times.ndim != 1 or not np.isfinite(times).all():
        what = f"has the shape {list(times.shape)}" if times.ndim != 1 else "is missing or infinite at some places"
        raise ValueError(f"{place}: time {what}; give each one number")
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
