"""Means over few runs: which scores count as independent, their scatter, standard errors and intervals."""

from __future__ import annotations

import math
import statistics
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

CONFIDENCE = 0.95
# By unit of a table, that of differences; those of errors are called as the metric.
DIFFERENCES_IN = {"%": "points", "log10": "decimal logarithms"}


def by_split(scores: Sequence[float], splits: Sequence[Hashable] | None = None) -> list[float]:
    """Scores that count as independent: those of one split, or for each of several splits the mean of its own.

    Args:
        scores: A score per run.
        splits: The split of each (default: one split for all, or another for each).

    Raises:
        ValueError: If there are not as many splits as scores.

    Example:
        >>> by_split([80.0, 82.0, 85.0], ["a", "a", "b"]), by_split([80.0, 82.0], ["a", "a"])
        ([81.0, 85.0], [80.0, 82.0])
    """
    if splits is not None and len(splits) != len(scores):
        raise ValueError(f"splits: {len(splits)} of them, must be as many as the {len(scores)} scores")
    groups: dict[Hashable, list[float]] = {}
    for split, score in zip(range(len(scores)) if splits is None else splits, scores):
        groups.setdefault(split, []).append(float(score))
    return [statistics.fmean(group) for group in groups.values()] if len(groups) > 1 else [*map(float, scores)]


def scatter(std: float, n: int, cap: float) -> float:
    """The standard deviation of runs; of equal ones that which they may still have.

    Args:
        std: The unbiased standard deviation.
        n: The number of runs.
        cap: By how much a run may differ from others that are all equal.
    """
    return std or cap * math.sqrt(unseen_share(n))


def unseen_share(n: int) -> float:
    """The largest share of runs that may differ, at 95 % confidence, where ``n`` are all equal."""
    return 1 - 0.05 ** (1 / n)


def mean_interval(scores: ArrayLike, overlap: float = 0.0) -> tuple[float, float]:
    """The mean of scores and the half-width of its 95 % interval; NaN for a single run.

    Args:
        scores: The runs' scores.
        overlap: See :func:`compare_runs` (default: 0).
    """
    from scipy import stats

    values = np.asarray(scores, dtype=float)
    n = len(values)
    if n < 2:
        return float(values.mean()), math.nan
    return float(values.mean()), standard_error(values, overlap) * float(stats.t.isf((1 - CONFIDENCE) / 2, n - 1))


def standard_error(values: np.ndarray, overlap: float) -> float:
    """The standard error of a mean over at least two runs; see :func:`compare_runs` for the overlap."""
    return math.sqrt((1 / len(values) + overlap) * float(values.var(ddof=1)))


def differ_alike(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Whether all differences of two methods' runs are equal, up to rounding."""
    return bool(np.ptp(ours - theirs) <= 1e-12 * max(np.abs(ours).max(), np.abs(theirs).max()))


def doubted_unit(scores: Sequence[float], value: float, unit: str, percent: bool) -> str:
    """Why scores seem to be shares beside a value in percent, or the reverse; empty if they do not.

    Args:
        scores: The scores.
        value: What they are compared with.
        unit: Its unit.
        percent: Whether the metric is one that tables print in percent.

    Example:
        >>> doubted_unit([0.81, 0.79], 81.5, "%", True)
        'scores up to 0.81 seem to be shares, but the published value is 81.5 %; multiply them by 100 if they are'
    """
    largest = max(map(abs, scores), default=math.nan)
    if unit == "%" and largest <= 1 < value:
        seem, remedy = "shares", "multiply"
    elif percent and not unit and value <= 1 < largest:
        seem, remedy = "percent", "divide"
    else:
        return ""
    told = f"scores up to {largest:.4g} seem to be {seem}, but the published value is {value:g} {unit}".rstrip()
    return f"{told}; {remedy} them by 100 if they are"
