"""Means over few runs: which scores are independent, scatter, standard errors, intervals, comparison with a value."""

from __future__ import annotations

import bisect
import math
import statistics
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from graphkit.core.text import in_number, number

if TYPE_CHECKING:
    from graphkit.recipes.papers import Published

CONFIDENCE = 0.95
MAX_RUNS = 10_000
Score = tuple[float, float | None]  # mean and unbiased standard deviation
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


def score(mean: float, std: float | None) -> str:
    """Mean ± unbiased standard deviation, below a header that says so."""
    return f"{mean:.2f}" + ("" if std is None else f" ± {std:.2f}")


def in_words(mean: float, std: float | None) -> str:
    """A mean and the unbiased standard deviation of single runs, as printed where no header says what ± is.

    Example:
        >>> in_words(81.5, 0.7), in_words(81.5, None)
        ('81.50 ± 0.70 (std)', '81.50')
    """
    return score(mean, std) + ("" if std is None else " (std)")


def mean_std(values: Sequence[float]) -> Score:
    """Mean and unbiased standard deviation; NaN without scores, ``None`` for fewer than two."""
    mean = statistics.fmean(values) if values else math.nan
    return mean, statistics.stdev(values) if len(values) > 1 else None


@dataclass(frozen=True)
class Comparison:
    """The estimates by which runs and a published value are compared; see :func:`judge`.

    Attributes:
        n: The number of our runs.
        difference: Our mean minus the published value.
        std: The unbiased standard deviation of our runs.
        overlap: Nadeau and Bengio's ratio.
        published: The published value.
        margin: Differences up to this are of no practical importance.
        cap: The largest half-width at which a comparison could still have failed.
        higher_is_better: Whether a larger score is a better one.
        counted: What there are n of: ``"run"`` or ``"split"``.
    """

    n: int
    difference: float
    std: float
    overlap: float
    published: Published
    margin: float
    cap: float
    higher_is_better: bool
    counted: str = "run"

    def interval(self, confidence: float) -> tuple[float, float]:
        """The confidence interval of the difference."""
        from scipy.special import stdtrit

        ours = scatter(self.std, self.n, self.cap) ** 2 * (1 / self.n + self.overlap)
        theirs = self.published.standard_error**2
        rest = theirs**2 / (self.published.n - 1) if theirs and self.published.n else 0.0
        freedom = (ours + theirs) ** 2 / (ours**2 / (self.n - 1) + rest)
        welch = float(stdtrit(freedom, (1 + confidence) / 2)) * math.sqrt(ours + theirs)
        half_width = max(welch, self.published.half_width(confidence))
        return self.difference - half_width, self.difference + half_width

    @property
    def word(self) -> str:
        """The verdict on comparable values."""
        low, high = self.interval(0.90)
        if -self.margin <= low and high <= self.margin:
            return "equivalent"
        low, high = self.interval(0.95)
        if low > 0 or high < 0:
            return "higher" if (low > 0) == self.higher_is_better else "lower"
        spread, runs = self.published.std, self.published.n
        could_fail = spread is not None and (high - low) / 2 <= min(2 * spread, self.cap)
        return "consistent" if could_fail and runs is not None and self.n >= runs else "too few runs"

    @property
    def remedy(self) -> str:
        """How many more runs or splits with this mean and scatter would do."""
        more = range(1, MAX_RUNS)
        enough = bisect.bisect_left(more, True, key=lambda k: replace(self, n=self.n + k).word != "too few runs")
        if enough < len(more):
            return f"{in_number(more[enough], f'more {self.counted}')} would do"
        return f"no number of {self.counted}s would do: " + (
            "folds of one cross-validation stay alike" if self.overlap else "the published spread alone is wider"
        )


def not_above(scores: list[float], baselines: list[float], better: bool, overlap: float, cap: float) -> str:
    """Why the runs do not beat the baseline, if they do not: a one-sided t-test at 5 % of what they gain."""
    from scipy.special import stdtr

    gains = [(score - base) * (1 if better else -1) for score, base in zip(scores, baselines, strict=True)]
    n = len(gains)
    error = scatter(statistics.stdev(gains), n, cap) * math.sqrt(1 / n + overlap)
    if stdtr(n - 1, -statistics.fmean(gains) / error) <= 0.05:
        return ""
    return f"not shown to be better than {number(statistics.fmean(baselines))}, which needs no model"
