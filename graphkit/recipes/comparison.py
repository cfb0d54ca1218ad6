"""Runs of several methods, compared in pairs: differences with intervals that hold for all pairs at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from scipy import stats

from graphkit.core.constraints import NonNegative, Numbers, checked, in_a_row
from graphkit.core.figures import chosen_kind, save_figure
from graphkit.core.validate import unknown_name
from graphkit.recipes.drawing import Bar, Row, draw_intervals
from graphkit.recipes.statistics import (
    CONFIDENCE,
    differ_alike,
    mean_interval,
    scatter,
    standard_error,
    unseen_share,
)
from graphkit.recipes.tables import Table, data_frame

if TYPE_CHECKING:
    import os

    from matplotlib.figure import Figure
    from pandas import DataFrame

_FEW = 5  # runs, of which a table says that they are few


@dataclass(frozen=True)
class PairedDifference:
    """The mean difference of one method's runs to another's with the same seed and split.

    Attributes:
        against: The other method.
        mean: The mean difference, in the scores' unit.
        standard_error: Its standard error, widened where runs share training data.
        n: The number of pairs of runs.
        interval: The interval of the difference; all intervals of one comparison hold at once with 95 %.
        p: The two-sided p-value of this pair alone.
        p_corrected: The p-value after correction; below 5 % exactly if the interval excludes 0.

    Example:
        >>> print(PairedDifference("GCN", -1.5, 0.5, 10, (-2.6, -0.4), 0.015, 0.03))
        -1.50 [-2.60, -0.40] to GCN
    """

    TITLE: ClassVar[str] = "difference [95 % interval]"

    against: str
    mean: float
    standard_error: float
    n: int
    interval: tuple[float, float]
    p: float
    p_corrected: float

    @classmethod
    def of(cls, ours: np.ndarray, against: str, theirs: np.ndarray, overlap: float, pairs: int) -> PairedDifference:
        """See :func:`compare_runs`; ``pairs`` is the number of pairs compared."""
        gains = ours - theirs
        n, mean = len(gains), float(gains.mean())
        equal = differ_alike(ours, theirs)
        error = scatter(0.0, n, abs(mean)) * math.sqrt(1 / n + overlap) if equal else standard_error(gains, overlap)
        t = stats.t(n - 1)
        p = 2 * float(t.sf(abs(mean) / error)) if error > 0 else float(mean == 0)
        half_width = error * float(t.isf((1 - CONFIDENCE) / (2 * pairs)))
        return cls(against, mean, error, n, (mean - half_width, mean + half_width), p, min(1.0, pairs * p))

    def word(self, higher_is_better: bool = True) -> str:
        """``"better"`` or ``"worse"`` if the interval excludes 0, else ``"undecided"``.

        Args:
            higher_is_better: Whether a larger score is a better one (default: ``True``).
        """
        if self.p_corrected >= 1 - CONFIDENCE:
            return "undecided"
        return "better" if (self.mean > 0) == higher_is_better else "worse"

    def content(self) -> dict[str, Any]:
        """What a result file holds of it, as plain values."""
        low, high = self.interval
        rounded = {name: round(getattr(self, name), 4) for name in ("mean", "standard_error")}
        digits = {name: float(f"{getattr(self, name):.4g}") for name in ("p", "p_corrected")}
        return asdict(self) | rounded | {"interval": [round(low, 4), round(high, 4)]} | digits

    def __str__(self) -> str:
        mean, low, high = (round(value, 2) + 0.0 for value in (self.mean, *self.interval))  # + 0.0 turns -0.0 to 0.0
        return f"{mean:+.2f} [{low:+.2f}, {high:+.2f}] to {self.against}"


@dataclass(frozen=True, repr=False)
class RunComparison:
    """What :func:`compare_runs` found; printed it is a table, and :meth:`plot` draws it.

    Attributes:
        scores: The scores by method.
        differences: Each compared pair: the method, and its difference to another.
        ranks: The mean rank of each method over the runs; 1 is the best.
        overlap: See :func:`compare_runs`.
        higher_is_better: See :func:`compare_runs`.
    """

    scores: dict[str, np.ndarray]
    differences: list[tuple[str, PairedDifference]]
    ranks: dict[str, float]
    overlap: float = 0.0
    higher_is_better: bool = True

    _KINDS: ClassVar[Sequence[str]] = ("scores",)

    def frame(self) -> DataFrame:
        """The numbers as a pandas table: a row per pair, and one per method that is in no pair as the first.

        Raises:
            ImportError: If pandas is not installed.
        """
        return data_frame([self._record(name, difference) for name, difference in self._rows()])

    def table(self) -> Table:
        """The same in words, which can be printed and written as Markdown, HTML or LaTeX."""
        header = ["method", "mean ± 95 %", "mean rank", PairedDifference.TITLE, "p", "corrected p"]
        rows = []
        for name, difference in self._rows():
            mean, half_width = mean_interval(self.scores[name], self.overlap)
            row = [name, f"{mean:.2f} ± {half_width:.2f}", f"{self.ranks[name]:.2f}"]
            ps = ["—", "—"] if difference is None else [f"{p:.2g}" for p in (difference.p, difference.p_corrected)]
            rows.append([*row, "—" if difference is None else str(difference), *ps])
        return Table(self._title, header, rows, self._notes())

    def _notes(self) -> list[str]:
        """What intervals do not say by themselves."""
        n = len(next(iter(self.scores.values())))
        notes = []
        if n < _FEW:
            notes.append(f"intervals are wide because n = {n}: Student's t has {n - 1} degrees of freedom")
        if self.overlap > 0:
            notes.append(f"intervals are wider by test / train = {self.overlap:.3g}, since splits share training data")
        if equal := [name for name, values in self.scores.items() if np.ptp(values) == 0]:
            notes.append(
                f"± 0 of {', '.join(equal)}: all {n} scores are equal, which does not show how much they scatter"
            )
        pairs = [(name, found.against) for name, found in self.differences]
        if alike := [pair for pair in pairs if differ_alike(*(self.scores[name] for name in pair))]:
            names = ", ".join(" to ".join(pair) for pair in alike)
            share = f"{unseen_share(n):.2g}"
            notes.append(f"the {n} differences of {names} are equal; intervals allow for a share of {share} without")
        return notes

    def latex(self) -> str:
        """:meth:`table` as a ``tabular`` for the package booktabs.

        Raises:
            ImportError: If pandas is not installed.
        """
        return self.table().latex()

    @property
    def _title(self) -> str:
        return f"{len(self.differences)} pairs compared"

    @property
    def _label(self) -> str:
        return "mean score"

    def plot(self, kind: str = "scores", path: str | os.PathLike[str] | None = None) -> Figure:
        """A picture of the comparison.

        Args:
            kind: ``"scores"``, all means with their intervals, and beside them the differences with theirs; of models
                that :func:`compare` has trained also ``"costs"``, mean scores by seconds of a run, with the Pareto
                front (default: ``"scores"``).
            path: The picture's file (default: none).

        Raises:
            ValueError: If there is no such picture.
        """
        kind, path = chosen_kind(type(self).__name__, kind, path, self._KINDS)
        figure = self._costs() if kind == "costs" else self._scores()
        save_figure(figure, path)
        return figure

    def _costs(self) -> Figure:
        raise NotImplementedError("runs that come as scores have no seconds")

    def _scores(self) -> Figure:
        rows = []
        for name, found in self._rows():
            values = {"mean": Bar.around(*mean_interval(self.scores[name], self.overlap))}
            if found is None:
                rows.append(Row(name, values))
            else:
                word = found.word(self.higher_is_better)
                rows.append(Row(f"{name} to {found.against}", values, Bar(found.mean, found.interval), word))
        return draw_intervals(rows, self._label, "difference, corrected 95 % intervals")

    def _rows(self) -> list[tuple[str, PairedDifference | None]]:
        """Each method with its differences, or with none."""
        rows: list[tuple[str, PairedDifference | None]] = []
        for name in self.scores:
            rows += [pair for pair in self.differences if pair[0] == name] or [(name, None)]
        return rows

    def _record(self, name: str, difference: PairedDifference | None) -> dict[str, Any]:
        mean, half_width = mean_interval(self.scores[name], self.overlap)
        record = {"method": name, "mean": mean, "mean low": mean - half_width, "mean high": mean + half_width}
        record |= {"n": len(self.scores[name]), "mean rank": self.ranks[name]}
        if difference is not None:
            record |= {"against": difference.against, "difference": difference.mean}
            record |= dict(zip(("low", "high"), difference.interval))
            record |= {"p": difference.p, "corrected p": difference.p_corrected}
        return record

    def __str__(self) -> str:
        return self.table().text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def _table(value: Any) -> str | None:
    """The constraint of a pandas table."""
    if not hasattr(value, "columns"):
        return "must map each method to its scores"
    wrong = ((name, in_a_row(value[name])) for name in value.columns)
    return next((f"the column {name!r} {text}" for name, text in wrong if text), None)


@checked
def compare_runs(
    scores: Mapping[Any, Numbers] | Annotated[Any, _table],
    against: str | Mapping[str, str] | None = None,
    *,
    overlap: NonNegative = 0.0,
    higher_is_better: bool = True,
) -> RunComparison:
    r"""Compare methods by their runs with the same seeds and splits.

    Of the differences :math:`d_1, \dots, d_n` of two methods' runs, with mean :math:`\bar d` and unbiased variance
    :math:`s^2`, the corrected resampled t-test (`"Inference for the Generalization Error"
    <https://doi.org/10.1023/A:1024068626366>`_, Nadeau and Bengio, Machine Learning 2003) compares

    .. math::
        t = \frac{\bar d}{\sqrt{(1/n + \rho)\, s^2}}

    with Student's distribution of :math:`n - 1` degrees of freedom. :math:`\rho` is the ratio of test to training
    examples where runs are splits of the same data, whose training parts overlap: without it, such runs count as
    independent and differences of nothing look real. With :math:`\rho = 0` this is the paired t-test, which tells
    about further seeds on the same split. Among :math:`m` pairs, p-values are multiplied by :math:`m` and
    intervals have the level :math:`1 - 0.05 / m` (Bonferroni), so that with 95 % none of them misses, however the pairs
    depend on each other, and an interval excludes 0 exactly if its corrected p-value is below 5 %. Differences that are
    all equal do not show their scatter; as many runs may have missed a share of :math:`1 - 0.05^{1/n}` that shows no
    difference, which counts as :math:`s^2 = (1 - 0.05^{1/n}) \bar d^2`.

    Args:
        scores: The runs' scores by method; the scores at one place belong to the same seed and split. A pandas table
            with a column per method serves, too.
        against: The method that all others are compared with, or for each method the one that it is compared with
            (default: ``None``, every pair).
        overlap: The ratio :math:`\rho` of test to training examples, where runs have different splits of the same data:
            ``1 / (k - 1)`` for the ``k`` folds of a cross-validation (default: 0, one split or independent data).
        higher_is_better: Whether a larger score is a better one (default: ``True``).

    Returns:
        Means and ranks of the methods and the compared pairs.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If there are fewer than 2 methods or runs, a method has another number of runs or a score that is
            not finite, or ``against`` names what is not there.

    Example:
        >>> print(compare_runs({"GCN": [80.1, 81.0, 79.5], "GIN": [78.9, 80.2, 77.8]}, against="GCN"))
        method  mean ± 95 %   mean rank  difference [95 % interval]   p      corrected p
        GCN     80.20 ± 1.88  1.00       —                            —      —
        GIN     78.97 ± 2.98  2.00       -1.23 [-2.35, -0.11] to GCN  0.042  0.042
        intervals are wide because n = 3: Student's t has 2 degrees of freedom
    """
    arrays = {str(name): np.asarray(values, dtype=float) for name, values in dict(scores).items()}
    if len(arrays) < 2:
        raise ValueError(f"compare_runs: {len(arrays)} methods, must be at least 2")
    first, length = next((name, values.shape) for name, values in arrays.items())
    for name, values in arrays.items():
        if len(values) < 2:
            raise ValueError(f"compare_runs: {name} has {len(values)} runs, must be at least 2")
        if values.shape != length:
            raise ValueError(f"compare_runs: {name} has {len(values)} runs, but {first} has {length[0]}; give pairs")
        if not np.isfinite(values).all():
            place = int(np.flatnonzero(~np.isfinite(values))[0])
            raise ValueError(f"compare_runs: {name} has the score {values[place]} at place {place}, must be finite")
    pairs = pairs_of(list(arrays), against)
    ranks = stats.rankdata((-1 if higher_is_better else 1) * np.stack(list(arrays.values())), axis=0).mean(axis=1)
    differences = [
        (name, PairedDifference.of(arrays[name], other, arrays[other], overlap, len(pairs))) for name, other in pairs
    ]
    return RunComparison(arrays, differences, dict(zip(arrays, map(float, ranks))), overlap, higher_is_better)


def pairs_of(
    names: list[str], against: str | Mapping[str, str] | None, place: str = "compare_runs"
) -> list[tuple[str, str]]:
    """Each method that is compared with another, and the other; see :func:`compare_runs`."""
    if against is None:
        return [(second, first) for first, second in combinations(names, 2)]
    pairs = {name: against for name in names if name != against} if isinstance(against, str) else dict(against)
    for name, other in pairs.items():
        for wanted in (name, other):
            if wanted not in names:
                raise ValueError(f"{place}: against: {unknown_name(wanted, names, 'method')}")
        if name == other:
            raise ValueError(f"{place}: against: {name} is compared with itself")
    return list(pairs.items())
