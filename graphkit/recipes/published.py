"""A published value, the runs that were measured beside it, and the verdict."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any

from graphkit.core.hashing import hash_config
from graphkit.core.validate import unknown_name
from graphkit.metrics import find as find_metric
from graphkit.recipes.papers import Paper

Score = tuple[float, float | None]  # mean and unbiased standard deviation


@dataclass(frozen=True)
class Published:
    """A number from a paper's table.

    Attributes:
        value: The mean, in ``unit``.
        paper: The paper: a key of the bibliography, a citation in words, or a :class:`Paper`.
        table: Where it stands in the paper.
        split: The paper's split, in words.
        std: The standard deviation, if the table gives it.
        n: The number of runs behind the mean, if the paper says so.
        unit: ``"%"`` for shares, empty for errors, ``"log10"`` for their decimal logarithms.
        url: The address at which the number was read, if not the paper's own.
        verified: Whether somebody compared the number with the paper.
        note: What a reader of the comparison should know.
    """

    value: float
    paper: Paper
    table: str
    split: str
    std: float | None = None
    n: int | None = None
    unit: str = "%"
    url: str = ""
    verified: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.paper, Paper):
            object.__setattr__(self, "paper", Paper.from_config(self.paper))

    @classmethod
    def from_config(cls, config: Any) -> Published:
        """Check the keys and types of the ``published`` part of a recipe or a result.

        Raises:
            ValueError: Naming the key.
        """
        known = {field.name: field for field in fields(cls)}
        if not isinstance(config, Mapping):
            raise ValueError(f"published: expected the keys {', '.join(known)}, got {config!r}")
        for key, value in config.items():
            if key not in known:
                raise ValueError(f"published: {unknown_name(key, known, 'key')}")
            wanted = str(known[key].type)
            number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            fits = {
                "float": number,
                "float | None": value is None or number,
                "int | None": value is None or (number and value == int(value)),
                "bool": isinstance(value, bool),
                "str": isinstance(value, str),
                "Paper": isinstance(value, str | Mapping),
            }
            if not fits[wanted]:
                raise ValueError(f"published.{key}: expected {wanted}, got {value!r}")
        for key, field_ in known.items():
            if field_.default is MISSING and key not in config:
                raise ValueError(f"published: the key {key!r} is missing")
        try:
            return cls(**config)
        except ValueError as error:
            raise ValueError(f"published.paper: {error}") from None

    def config(self) -> dict[str, Any]:
        """What :meth:`from_config` reads."""
        return asdict(self) | {"paper": self.paper.config()}


def judge(
    mean: float,
    std: float | None,
    n: int,
    published: Published | None,
    tolerance: float,
    higher_is_better: bool = True,
) -> tuple[str, float]:
    r"""Whether a measurement confirms a published value.

    With the published mean :math:`p`, ours :math:`m`, the unbiased standard deviation :math:`s` of our :math:`n` runs
    and the published :math:`s_p` of :math:`n_p` runs, it is ``"reproduced"`` if :math:`m` is not worse than :math:`p`
    by more than

    .. math::
        \max\Bigl(\mathrm{tolerance},\; 2 \sqrt{s^2 / n + s_p^2 / n_p}\Bigr),

    else ``"missed"``. A better measurement is no miss. Terms whose numbers are unknown are 0: :math:`s_p^2 / n_p`
    without a published std or n, :math:`s^2 / n` with a single run.

    Args:
        mean: Our mean, in the table's unit.
        std: Our unbiased standard deviation; ``None`` for a single run.
        n: The number of our runs.
        published: The published value, or ``None``.
        tolerance: The allowed deficit, in the table's unit.
        higher_is_better: Whether a larger score is a better one (default: ``True``).

    Returns:
        The verdict (``"reproduced"``, ``"missed"`` or ``"no published value"``) and the allowed deficit.

    Example:
        >>> from graphkit.recipes import Published
        >>> paper = Published(81.5, paper="A and B (2020)", table="T", split="S")
        >>> judge(81.1, 0.8, 20, paper, tolerance=0.5)
        ('reproduced', 0.5)
        >>> judge(80.9, 0.8, 20, paper, tolerance=0.5)
        ('missed', 0.5)
    """
    ours = 0.0 if std is None else std**2 / n
    if published is None:
        return "no published value", max(tolerance, 2 * math.sqrt(ours))
    theirs = published.std**2 / published.n if published.std is not None and published.n else 0.0
    allowed = max(tolerance, 2 * math.sqrt(ours + theirs))
    deficit = published.value - mean if higher_is_better else mean - published.value
    return ("reproduced" if deficit <= allowed else "missed"), allowed


@dataclass
class CellResult:
    """The runs of one cell of a recipe, beside its published value.

    Attributes:
        model: The name of the model's class.
        published: The published value; ``None`` if there is none for these splits.
        tolerance: The allowed deficit, in the table's unit.
        metric: The score's name.
        unit: The table's unit: ``"%"``, ``"log10"`` or none.
        config_hash: The digest of the experiment.
        against: The variant that it is compared with, run by run.
        runs: One dict per seed and split: scores in the table's unit (``also_test``: by further split), best epoch,
            epochs, seconds, split and its hash.
        missing: The first raw file that is not at hand; then there are no runs.
    """

    model: str
    published: Published | None
    tolerance: float
    metric: str
    unit: str
    config_hash: str
    against: str = ""
    runs: list[dict[str, Any]] = field(default_factory=list)
    missing: str = ""

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
    def _test(self) -> Score:
        return _mean_std([run["test"] for run in self.runs])

    @property
    def also_test(self) -> dict[str, Score]:
        """Mean and unbiased standard deviation on the test part of each further split."""
        scores: dict[str, list[float]] = {}
        for run in self.runs:
            for split, score in run.get("also_test", {}).items():
                scores.setdefault(split, []).append(score)
        return {split: _mean_std(values) for split, values in scores.items()}

    @property
    def scores(self) -> list[Score]:
        """Mean and standard deviation on the own test part, then those of :attr:`also_test`."""
        return [self._test, *self.also_test.values()]

    @property
    def difference(self) -> float | None:
        """Our mean minus the published value."""
        return None if self.published is None or not self.runs else self.mean - self.published.value

    @property
    def judgement(self) -> tuple[str, float]:
        """What :func:`judge` says: the verdict and the allowed deficit."""
        better = find_metric(self.metric).higher_is_better
        return judge(self.mean, self.std, self.n, self.published, self.tolerance, better)

    @property
    def verdict(self) -> str:
        """See :func:`judge`; without the data, ``"data not at hand: <file>"``."""
        return f"data not at hand: {self.missing}" if self.missing else self.judgement[0]

    @property
    def split(self) -> str:
        """The split's name, or the names of all."""
        return ", ".join(dict.fromkeys(run["split"] for run in self.runs))

    @property
    def split_hash(self) -> str:
        """The split's hash, or a digest of all hashes."""
        hashes = list(dict.fromkeys(run["split_hash"] for run in self.runs))
        return hashes[0] if len(hashes) == 1 else hash_config(hashes)

    @property
    def seconds(self) -> float:
        """The time of all runs."""
        return sum(run["seconds"] for run in self.runs)

    def content(self) -> dict[str, Any]:
        """What a result file holds of it, as plain values."""
        return {
            "against": self.against,
            "model": self.model,
            "published": None if self.published is None else self.published.config(),
            "tolerance": self.tolerance,
            **_rounded(*self._test),
            "n": self.n,
            "verdict": self.verdict,
            "difference": None if self.difference is None else round(self.difference, 4),
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
        names = ("model", "tolerance", "config_hash", "against", "runs")
        paper = content["published"] and Published.from_config(content["published"])
        return cls(published=paper, metric=metric, unit=unit, **{name: content[name] for name in names})


def _mean_std(values: Sequence[float]) -> Score:
    mean = statistics.fmean(values) if values else math.nan
    return mean, statistics.stdev(values) if len(values) > 1 else None


def _rounded(mean: float, std: float | None) -> dict[str, float | None]:
    return {"mean": round(mean, 4), "std": None if std is None else round(std, 4)}
