"""The published value, and whether runs agree with it: the statistics, and the words for them."""

from __future__ import annotations

import bisect
import math
import statistics
import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from graphkit.core.constraints import Count, Finite, NonNegative, Numbers, OneOf, Positive, checked, enforce_config
from graphkit.core.deprecation import RenamedAttribute, warn_renamed
from graphkit.core.text import in_number, number
from graphkit.core.validate import unknown_name
from graphkit.metrics import find as find_metric
from graphkit.metrics import is_percent
from graphkit.recipes.papers import Paper
from graphkit.recipes.statistics import DIFFERENCES_IN, by_split, doubted_unit, scatter

RULE = "Welch; two one-sided 5 % tests within the margin, 95 % interval of the difference; see graphkit.recipes.judge"
GOOD = ("equivalent", "consistent", "higher")
WORDS = (*GOOD, "lower", "too few runs", "not comparable", "no published value")
LOG10 = 0.1, 0.5  # margin and cap of errors given as decimal logarithms
MAX_RUNS = 10_000
# By kind of spread, the unbiased standard deviation of one of n runs as a multiple of what is printed.
SPREADS = {
    "std": lambda n: 1.0,
    "population std": lambda n: math.sqrt(n / (n - 1)),
    "standard error": lambda n: math.sqrt(n),
    "two standard errors": lambda n: math.sqrt(n) / 2,
    "unknown": lambda n: 1.0,
}
OLD_KEYS = {"std": "spread", "verified": "confirmed"}
if TYPE_CHECKING:
    AnyPaper = Paper  # what is given becomes one
else:
    AnyPaper = Paper | str | Mapping[str, Any]


@checked
@dataclass(frozen=True)
class Published:
    """A number from a paper's table.

    Attributes:
        value: The mean, in ``unit``.
        paper: The paper: a key of the bibliography, a citation in words, or a :class:`Paper`.
        table: Where it stands in the paper.
        split: The paper's split, in words.
        spread: What is printed behind ±, if something is.
        spread_kind: What that is: ``"std"`` (unbiased), ``"population std"`` (divided by n), ``"standard error"``,
            ``"two standard errors"``, or ``"unknown"``, which counts as ``"std"``.
        n: The number of runs behind the mean, if the paper says so.
        unit: ``"%"`` for shares, empty for errors, ``"log10"`` for their decimal logarithms.
        url: The address at which the number was read, if not the paper's own.
        source: Where the number was read, in words.
        confirmed: Whether somebody found the number there.
        note: What a reader of the comparison should know.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If the bibliography has no such paper, or an argument has a wrong value.
    """

    value: Finite
    paper: AnyPaper
    table: str
    split: str
    spread: NonNegative | None = None
    spread_kind: Annotated[str, OneOf(SPREADS)] = "unknown"
    n: Count | None = None
    unit: Literal["%", "", "log10"] = "%"
    url: str = ""
    source: str = ""
    confirmed: bool = False
    note: str = ""

    verified = RenamedAttribute("confirmed")

    def __post_init__(self) -> None:
        if not isinstance(self.paper, Paper):
            try:
                object.__setattr__(self, "paper", Paper.from_config(self.paper))
            except ValueError as error:
                raise ValueError(f"paper: {error}") from None

    @property
    def std(self) -> float | None:
        """The unbiased standard deviation of single runs; ``None`` if it cannot be told."""
        if self.spread is None or self.n is None or self.n < 2:
            return None
        return self.spread * SPREADS[self.spread_kind](self.n)

    @property
    def standard_error(self) -> float:
        """That of the value; 0 if it cannot be told."""
        return 0.0 if self.std is None or self.n is None else self.std / math.sqrt(self.n)

    def half_width(self, confidence: float) -> float:
        """Half the width of the value's own confidence interval; 0 if it cannot be told."""
        from scipy.special import stdtrit

        if not self.standard_error or self.n is None:
            return 0.0
        return self.standard_error * float(stdtrit(self.n - 1, (1 + confidence) / 2))

    @classmethod
    def from_config(cls, config: Any) -> Published:
        """Check the keys and types of the ``published`` part of a recipe or a result.

        Raises:
            ValueError: Naming the key.
        """
        known = {field.name: field for field in fields(cls)}
        if not isinstance(config, Mapping):
            raise ValueError(f"published: expected the keys {', '.join(known)}, got {config!r}")
        for old in OLD_KEYS.keys() & config.keys():
            warn_renamed(f"published.{old}", f"published.{OLD_KEYS[old]}")
        config = with_new_keys(config)
        for key in config:
            if key not in known:
                raise ValueError(f"published: {unknown_name(key, known, 'key')}")
        enforce_config(cls, config, "published")
        for key, field_ in known.items():
            if field_.default is MISSING and key not in config:
                raise ValueError(f"published: the key {key!r} is missing")
        try:
            return cls(**config)
        except ValueError as error:
            raise ValueError(f"published.{error}") from None

    def config(self) -> dict[str, Any]:
        """What :meth:`from_config` reads."""
        return asdict(self) | {"paper": self.paper.config()}


def with_new_keys(config: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a published value as they are called today."""
    return {OLD_KEYS.get(key, key): value for key, value in config.items()}


@dataclass(frozen=True)
class Verdict:
    """What :func:`judge` says.

    Attributes:
        word: One of :data:`WORDS`.
        difference: Our mean minus the published value; ``None`` without either.
        interval: Its 95 % confidence interval; ``None`` for fewer than two runs.
        margin: Differences up to this are of no practical importance.
        cap: The largest half-width of the interval at which a comparison could still have failed.
        reason: Why nothing can be compared, or how many more runs would do.
        unit: The unit of all these numbers, in words.

    Example:
        >>> print(Verdict("lower", -2.0, (-3.0, -1.0), margin=1.0, cap=5.0, unit="points"))
        lower: difference -2.00 points, 95 % interval [-3.00, -1.00], margin 1 point
    """

    word: str
    difference: float | None = None
    interval: tuple[float, float] | None = None
    margin: float | None = None
    cap: float | None = None
    reason: str = ""
    unit: str = ""

    @property
    def half_width(self) -> float | None:
        """Half the width of :attr:`interval`."""
        return None if self.interval is None else (self.interval[1] - self.interval[0]) / 2

    @property
    def margin_in_words(self) -> str:
        """:attr:`margin` with its unit; empty without one."""
        if self.margin is None:
            return ""
        unit = self.unit.removesuffix("s") if self.margin == 1 else self.unit
        return f"{self.margin:.3g} {unit}".rstrip()

    @property
    def good(self) -> bool:
        """Whether ours is as good as the published value: equivalent, consistent or higher."""
        return self.word in GOOD

    def content(self) -> dict[str, Any]:
        """What a result file holds of it."""
        interval = None if self.interval is None else [round(end, 4) for end in self.interval]
        numbers = {name: getattr(self, name) for name in ("difference", "margin", "cap")}
        rounded = {name: None if value is None else round(value, 4) for name, value in numbers.items()}
        return {"word": self.word, **rounded, "interval": interval, "reason": self.reason, "rule": RULE}

    def __str__(self) -> str:
        if self.difference is None or self.margin is None:
            return f"{self.word}: {self.reason}" if self.reason else self.word
        parts = [f"difference {number(self.difference, sign='+')} {self.unit}".rstrip()]
        if self.interval is not None:
            low, high = (number(end, sign="+") for end in self.interval)
            parts.append(f"95 % interval [{low}, {high}]")
        parts += [f"margin {self.margin_in_words}", self.reason]
        return f"{self.word}: {', '.join(filter(None, parts))}"


@checked
def judge(
    scores: Numbers,
    published: Published | None,
    metric: str,
    *,
    margin: Positive | None = None,
    baseline: Finite | Numbers | None = None,
    splits: Sequence[Hashable] | None = None,
    overlap: NonNegative = 0.0,
    not_comparable: str = "",
) -> Verdict:
    r"""Whether runs and a published value agree.

    The difference :math:`d` between our mean over :math:`n` runs and the published value has, by Welch's approximation,
    the confidence interval :math:`d \pm t_\nu \sqrt{s^2 (1/n + q) + s_p^2 / n_p}`. Our runs have the standard deviation
    :math:`s`, the paper's :math:`n_p` runs :math:`s_p`, by what is printed (:attr:`Published.standard_error`); a value
    printed without spread or number of runs counts as exact. :math:`q = n_\mathrm{test} / n_\mathrm{train}` is the
    correction of Nadeau and Bengio for runs that are folds of one cross-validation, else 0. Runs on several splits are
    not independent where they share one: each split counts once, with the mean of its runs. The published value is not
    known better than by its own interval :math:`t_{n_p - 1} s_p / \sqrt{n_p}`, and the difference is never held for
    better known; else Welch's approximation would widen with more runs of ours. The verdict is the first of these that
    holds:

    - **not comparable**: the recipe says why; or a score is not a number; or our runs are not better than the
      ``baseline`` of a predictor that ignores its input (one-sided t-test at 5 %).
    - **too few runs** if there are fewer than two.
    - **equivalent**: two one-sided tests at 5 % (Schuirmann, 1987; the 90 % interval) place the difference within the
      metric's margin of practical importance (:attr:`Metric.margin <graphkit.metrics.Metric.margin>`; 0.1 for decimal
      logarithms), which depends on nobody's spread and number of runs.
    - **higher**, **lower**: the 95 % interval excludes 0, and ours is the better or the worse one, also of errors.
    - **consistent**: the 95 % interval contains 0, our runs are at least as many as the paper's, and the interval's
      half-width is at most twice the published standard deviation and at most the metric's cap (0.5 for decimal
      logarithms), so that the comparison could have failed.
    - **too few runs**: nothing of that. The reason tells how many more would do with this mean and scatter.

    Runs that are all equal show no scatter. At 95 % confidence a share of :math:`1 - 0.05^{1/n}` may differ; they count
    as if it did, by the metric's cap.

    References: Welch (Biometrika 1947); Schuirmann (J. Pharmacokinetics and Biopharmaceutics 1987); Lakens (Social
    Psychological and Personality Science 2017); Nadeau and Bengio (Machine Learning 2003).

    Args:
        scores: Our scores, one a run, in the unit of ``published``.
        published: The published value, or ``None``.
        metric: The name of the score, e.g. ``"accuracy"``.
        margin: A narrower margin, in the same unit (default: the metric's).
        baseline: The score of a predictor that ignores its input: the majority class, the mean; one for all runs or one
            for each (default: unknown).
        splits: The split of each score (default: one split for all, or another for each).
        overlap: Nadeau and Bengio's ratio of test to training examples, if the runs are folds of one cross-validation
            (default: 0).
        not_comparable: Why the published value stands for something else: another split, configuration or protocol
            (default: nothing).

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If there is no metric of this name, ``margin`` is wider than the metric's, or there are not as many
            ``splits`` or baselines as scores.

    Warns:
        UserWarning: If scores look like shares beside a published value in percent, or the reverse.

    Example:
        >>> from graphkit.recipes import Published
        >>> paper = Published(81.5, paper="A and B (2020)", table="T", split="S", spread=0.7, n=10)
        >>> print(judge([81.0, 81.9, 81.4, 80.9, 82.1], paper, "accuracy"))
        equivalent: difference -0.04 points, 95 % interval [-0.76, +0.68], margin 1 point
        >>> print(judge([78.0, 81.9, 81.4, 77.9, 82.1], paper, "accuracy"))
        too few runs: difference -1.24 points, 95 % interval [-3.85, +1.37], margin 1 point, 8 more runs would do
    """
    if published is None:
        return Verdict("no published value")
    margin, cap = practical(metric, published, margin)
    unit = DIFFERENCES_IN.get(published.unit, metric)
    each, better = np.asarray(scores, dtype=float).tolist(), find_metric(metric).higher_is_better
    if doubt := doubted_unit(each, published.value, published.unit, is_percent(metric)):
        warnings.warn(f"judge: {doubt}", stacklevel=3)
    if baseline is not None and np.shape(baseline) not in ((), (len(each),)):
        raise ValueError(f"judge: baseline has {np.size(baseline)} values, but there are {len(each)} scores")
    bases = None if baseline is None else np.broadcast_to(np.asarray(baseline, dtype=float), len(each)).tolist()
    runs = by_split(each, splits)
    n, wrong = len(runs), sum(not math.isfinite(score) for score in runs)
    why = not_comparable or (f"{wrong} of {n} scores are not numbers" if wrong else "")
    difference = statistics.fmean(runs) - published.value if n and not wrong else None
    if difference is None or n < 2:
        word = "not comparable" if why else "too few runs"
        return Verdict(word, difference, margin=margin, cap=cap, reason=why or "2 are the least", unit=unit)
    counted = "run" if splits is None or len(set(splits)) == 1 else "split"
    comparison = Comparison(n, difference, statistics.stdev(runs), overlap, published, margin, cap, better, counted)
    why = why or (_not_above(runs, by_split(bases, splits), better, overlap, cap) if bases else "")
    word = "not comparable" if why else comparison.word
    reason = comparison.remedy if word == "too few runs" else why
    return Verdict(word, difference, comparison.interval(0.95), margin, cap, reason, unit)


def practical(metric: str, published: Published, narrower: float | None = None) -> tuple[float, float]:
    """The margin of practical importance and the cap of a comparison, in the unit of the published value.

    Args:
        metric: The name of the score.
        published: The published value.
        narrower: A narrower margin (default: the metric's).

    Raises:
        ValueError: If ``narrower`` is not positive, or wider than the metric's margin.
    """
    if published.unit == "log10":
        margin, cap = LOG10
    else:
        cls = find_metric(metric)
        scale = abs(published.value) or 1.0 if cls.relative else 100.0 if published.unit == "%" else 1.0
        margin, cap = cls.margin * scale, cls.cap * scale
    if narrower is None:
        return margin, cap
    if isinstance(narrower, bool) or not isinstance(narrower, int | float) or not 0 < narrower <= margin:
        raise ValueError(f"margin: {narrower!r}, must be a number above 0 and at most the {margin:.4g} of {metric}")
    return float(narrower), cap


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


def _not_above(scores: list[float], baselines: list[float], better: bool, overlap: float, cap: float) -> str:
    """Why the runs do not beat the baseline, if they do not: a one-sided t-test at 5 % of what they gain."""
    from scipy.special import stdtr

    gains = [(score - base) * (1 if better else -1) for score, base in zip(scores, baselines, strict=True)]
    n = len(gains)
    error = scatter(statistics.stdev(gains), n, cap) * math.sqrt(1 / n + overlap)
    if stdtr(n - 1, -statistics.fmean(gains) / error) <= 0.05:
        return ""
    return f"not shown to be better than {number(statistics.fmean(baselines))}, which needs no model"
