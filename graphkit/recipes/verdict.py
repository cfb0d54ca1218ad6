"""The runs of a cell beside its published value: whether they agree, by which rule, and the words for it."""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphkit.core.constraints import Finite, NonNegative, Numbers, Positive, checked
from graphkit.core.hashing import hash_config
from graphkit.core.text import number
from graphkit.metrics import find as find_metric
from graphkit.metrics import is_percent
from graphkit.recipes.papers import Published, with_new_keys
from graphkit.recipes.statistics import (
    DIFFERENCES_IN,
    Comparison,
    Score,
    by_split,
    doubted_unit,
    in_words,
    mean_std,
    not_above,
)

RULE = "Welch; two one-sided 5 % tests within the margin, 95 % interval of the difference; see graphkit.recipes.judge"
GOOD = ("equivalent", "consistent", "higher")
WORDS = (*GOOD, "lower", "too few runs", "not comparable", "no published value")
LOG10 = 0.1, 0.5  # margin and cap of errors given as decimal logarithms


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
    why = why or (not_above(runs, by_split(bases, splits), better, overlap, cap) if bases else "")
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


@dataclass(repr=False)
class CellResult:
    """The runs of one cell of a recipe, beside its published value.

    Attributes:
        model: The name of the model's class.
        published: The published value; ``None`` if there is none for these splits.
        metric: The score's name.
        unit: The table's unit: ``"%"``, ``"log10"`` or none.
        config_hash: The digest of the experiment.
        against: The variant that it is compared with, run by run.
        runs: One dict per seed and split: scores in the table's unit (``also_test``: by further split), ``baseline``,
            best epoch, epochs, seconds, parameters, how many items were judged, split and its hash.
        missing: The first raw file that is not at hand; then there are no runs.
        margin: A margin narrower than the metric's, in the table's unit.
        not_comparable: Why the published value stands for something else.
        overlap: Nadeau and Bengio's ratio, if the runs are folds of one cross-validation.
    """

    model: str
    published: Published | None
    metric: str
    unit: str
    config_hash: str
    against: str = ""
    runs: list[dict[str, Any]] = field(default_factory=list)
    missing: str = ""
    margin: float | None = None
    not_comparable: str = ""
    overlap: float = 0.0

    @property
    def n(self) -> int:
        """The number of runs."""
        return len(self.runs)

    @property
    def mean(self) -> float:
        """The mean test score, in the table's unit; NaN without runs."""
        return self._test[0]

    @property
    def std(self) -> float | None:
        """The unbiased standard deviation (divided by n - 1); ``None`` for fewer than two runs."""
        return self._test[1]

    @property
    def judged(self) -> str:
        """How many items a test score is of, in words; empty where no run has kept it."""
        return " or ".join(dict.fromkeys(run["judged"] for run in self.runs if "judged" in run))

    @property
    def measured(self) -> str:
        """The mean with the standard deviation, the unit and :attr:`judged`, in words."""
        score = f"{in_words(self.mean, self.std)} {self.unit}".strip()
        return f"{score} on {self.judged}" if self.judged else score

    @property
    def _test(self) -> Score:
        return mean_std(self._tests)

    @property
    def _tests(self) -> list[float]:
        return [run["test"] for run in self.runs]

    @property
    def _also_test(self) -> dict[str, list[float]]:
        scores: dict[str, list[float]] = {}
        for run in self.runs:
            for split, score in run.get("also_test", {}).items():
                scores.setdefault(split, []).append(score)
        return scores

    @property
    def also_test(self) -> dict[str, Score]:
        """Mean and unbiased standard deviation on the test part of each further split."""
        return {split: mean_std(values) for split, values in self._also_test.items()}

    @property
    def samples(self) -> list[list[float]]:
        """Independent scores (:func:`by_split`) on the own test part, then those on each further split."""
        return [by_split(scores, self._splits) for scores in (self._tests, *self._also_test.values())]

    @property
    def scores(self) -> list[Score]:
        """Mean and standard deviation on the own test part, then those of :attr:`also_test`."""
        return [self._test, *self.also_test.values()]

    @property
    def difference(self) -> float | None:
        """Our mean minus the published value."""
        return self.verdict.difference

    @property
    def baseline(self) -> float | None:
        """The mean score of predictors that ignore their input; ``None`` if it is unknown."""
        return None if self._baselines is None else statistics.fmean(self._baselines)

    @property
    def num_parameters(self) -> int | None:
        """The number of trainable parameters; ``None`` if it is unknown."""
        return next((run["num_parameters"] for run in self.runs if run.get("num_parameters") is not None), None)

    @property
    def _baselines(self) -> list[float] | None:
        scores = [run["baseline"] for run in self.runs if run.get("baseline") is not None]
        return scores if scores and len(scores) == self.n else None

    @property
    def verdict(self) -> Verdict:
        """What :func:`judge` says of the runs."""
        return judge(
            self._tests,
            self.published,
            self.metric,
            margin=self.margin,
            baseline=self._baselines,
            splits=self._splits,
            overlap=self.overlap,
            not_comparable=self.not_comparable,
        )

    @property
    def _splits(self) -> list[str]:
        return [run["split"] for run in self.runs]

    @property
    def split(self) -> str:
        """The split's name, or the names of all."""
        return ", ".join(dict.fromkeys(self._splits))

    @property
    def split_hash(self) -> str:
        """The split's hash, or a digest of all hashes."""
        hashes = list(dict.fromkeys(run["split_hash"] for run in self.runs))
        return hashes[0] if len(hashes) == 1 else hash_config(hashes)

    @property
    def seconds(self) -> float:
        """The time of all runs."""
        return sum(run["seconds"] for run in self.runs)

    def __repr__(self) -> str:
        return f"CellResult({self.model}: {self.measured}, n={self.n}; {self.verdict})"

    def content(self) -> dict[str, Any]:
        """What a result file holds of it, as plain values."""
        return {
            "against": self.against,
            "model": self.model,
            "published": None if self.published is None else self.published.config(),
            **_rounded(*self._test),
            "n": self.n,
            "baseline": None if self.baseline is None else round(self.baseline, 4),
            "verdict": self.verdict.content(),
            "margin": self.margin,
            "not_comparable": self.not_comparable,
            "overlap": self.overlap,
            "also_test": {split: _rounded(*score) for split, score in self.also_test.items()},
            "split": self.split,
            "split_hash": self.split_hash,
            "seconds": round(self.seconds, 2),
            "config_hash": self.config_hash,
            "runs": self.runs,
        }

    @classmethod
    def from_content(cls, content: Mapping[str, Any], metric: str, unit: str) -> CellResult:
        """What a result file holds; means and verdicts are computed from the runs."""
        paper = content["published"] and Published.from_config(with_new_keys(content["published"]))
        names = ("model", "config_hash", "against", "runs")
        later = {name: content[name] for name in ("margin", "not_comparable", "overlap") if name in content}
        return cls(published=paper, metric=metric, unit=unit, **{name: content[name] for name in names}, **later)


def _rounded(mean: float, std: float | None) -> dict[str, float | None]:
    return {"mean": round(mean, 4), "std": None if std is None else round(std, 4)}
