"""The runs of one cell of a recipe, beside its published value."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphkit.core.hashing import hash_config
from graphkit.recipes.statistics import by_split
from graphkit.recipes.verdict import Published, Verdict, judge, with_new_keys

Score = tuple[float, float | None]  # mean and unbiased standard deviation


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
        return _mean_std(self._tests)

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
        return {split: _mean_std(values) for split, values in self._also_test.items()}

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


def _mean_std(values: Sequence[float]) -> Score:
    mean = statistics.fmean(values) if values else math.nan
    return mean, statistics.stdev(values) if len(values) > 1 else None


def _rounded(mean: float, std: float | None) -> dict[str, float | None]:
    return {"mean": round(mean, 4), "std": None if std is None else round(std, 4)}
