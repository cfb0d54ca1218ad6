"""What running a recipe gave, and the verdict on a published value."""

from __future__ import annotations

import math
import os
import statistics
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphkit.core.files import write_json
from graphkit.core.hashing import hash_config
from graphkit.core.resources import checkout
from graphkit.metrics import find as find_metric

if TYPE_CHECKING:
    from graphkit.recipes.recipe import Published

RUN_KEYS = ("seed", "split", "split_hash", "test", "val", "best_epoch", "epochs", "seconds")


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
        >>> paper = Published(81.5, paper="P", table="T", split="S")
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
class Reproduction:
    """What running a recipe gave.

    Attributes:
        recipe: The recipe's name.
        experiment: What was trained, in words.
        published: The published value; ``None`` if there is none for these splits.
        metric: The score's name.
        tolerance: The recipe's tolerance, in the table's unit.
        runs: One dict per seed and split: scores in the table's unit (``also_test``: by further split), best epoch,
            epochs, seconds, split and its hash.
        command: The command that repeats this.
        config_hash: The digest of the experiment.
        hardware: Where the runs ran.
        versions: Versions of graphkit and what it computes with.
        missing: The first raw file that is not at hand; then there are no runs.
        note: The recipe's note.
        name: The result file's name, ``method/dataset`` (with the split, where it is not the recipe's own).
        is_shipped: Whether the recipe came with graphkit.
        unit: The table's unit: ``"%"``, ``"log10"`` or none.
    """

    recipe: str
    experiment: str
    published: Published | None
    metric: str
    tolerance: float
    runs: list[dict[str, Any]]
    command: str
    config_hash: str
    hardware: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    missing: str = ""
    note: str = ""
    name: str = ""
    is_shipped: bool = False
    unit: str = ""

    @property
    def n(self) -> int:
        """The number of runs."""
        return len(self.runs)

    @property
    def mean(self) -> float:
        """The mean test score, in the table's unit; NaN without runs."""
        return statistics.fmean(run["test"] for run in self.runs) if self.runs else math.nan

    @property
    def std(self) -> float | None:
        """The unbiased standard deviation (divided by n - 1); ``None`` for fewer than two runs."""
        return statistics.stdev(run["test"] for run in self.runs) if self.n > 1 else None

    @property
    def also_test(self) -> dict[str, tuple[float, float | None]]:
        """Mean and unbiased standard deviation on the test part of each further split."""
        scores: dict[str, list[float]] = {}
        for run in self.runs:
            for split, score in run.get("also_test", {}).items():
                scores.setdefault(split, []).append(score)
        return {
            split: (statistics.fmean(found), statistics.stdev(found) if len(found) > 1 else None)
            for split, found in scores.items()
        }

    @property
    def difference(self) -> float | None:
        """Our mean minus the published value."""
        return None if self.published is None or not self.runs else self.mean - self.published.value

    @property
    def verdict(self) -> str:
        """See :func:`judge`; without the data, ``"data not at hand: <file>"``."""
        if self.missing:
            return f"data not at hand: {self.missing}"
        return self._judged()[0]

    def _judged(self) -> tuple[str, float]:
        better = find_metric(self.metric).higher_is_better
        return judge(self.mean, self.std, self.n, self.published, self.tolerance, better)

    @property
    def split(self) -> str:
        """The split's name, or the names of all."""
        return ", ".join(dict.fromkeys(run["split"] for run in self.runs))

    @property
    def split_hash(self) -> str:
        """The split's hash, or a digest of all hashes."""
        hashes = list(dict.fromkeys(run["split_hash"] for run in self.runs))
        return hashes[0] if len(hashes) == 1 else hash_config(hashes)

    def __str__(self) -> str:
        unit = f" {self.unit}".rstrip()
        lines = [f"{self.recipe}: {self.experiment}, {self.metric}"]
        if self.published is not None:
            known = self.published
            spread = "" if known.std is None else f" ± {known.std}"
            over = f", n={known.n}" if known.n else ""
            lines.append(
                f"  paper       {known.value}{spread}{unit}{over}; {known.paper}, {known.table}, {known.split}"
            )
            if not known.verified:
                lines[-1] += f" (unverified{': ' + known.note if known.note else ''})"
        if self.runs:
            spread = "" if self.std is None else f" ± {self.std:.2f}"
            lines.append(
                f"  ours        {self.mean:.2f}{spread}{unit}, n={self.n}; split {self.split} [{self.split_hash}]"
            )
        for split, (mean, std) in self.also_test.items():
            lines.append(f"  also        {score(mean, std)}{unit}; split {split}")
        if self.difference is not None:
            lines.append(f"  difference  {self.difference:+.2f}{unit}, allowed deficit {self._judged()[1]:.2f}{unit}")
        lines.append(f"  verdict     {self.verdict}")
        if self.runs:
            lines.append(
                f"  cost        {sum(run['seconds'] for run in self.runs):.1f} s of training on {self.hardware}"
            )
        if self.note:
            lines.append(f"  note        {self.note}")
        return "\n".join(lines)

    @property
    def default_path(self) -> Path:
        """``benchmarks/results`` of a checkout for graphkit's own recipes, else ``results`` of the current folder."""
        return results_folder(self.is_shipped) / f"{self.name}.json"

    def summary(self) -> dict[str, Any]:
        """What :meth:`save` writes, as plain values."""
        return {
            "recipe": self.recipe,
            "published": None if self.published is None else asdict(self.published),
            "mean": round(self.mean, 4),
            "std": None if self.std is None else round(self.std, 4),
            "n": self.n,
            "verdict": self.verdict,
            "difference": None if self.difference is None else round(self.difference, 4),
            "metric": self.metric,
            "unit": self.unit,
            "also_test": {
                split: {"mean": round(mean, 4), "std": None if std is None else round(std, 4)}
                for split, (mean, std) in self.also_test.items()
            },
            "split": self.split,
            "split_hash": self.split_hash,
            "note": self.note,
            "command": self.command,
            "seconds": round(sum(run["seconds"] for run in self.runs), 2),
            "hardware": self.hardware,
            "versions": self.versions,
            "config_hash": self.config_hash,
            "date": datetime.now(UTC).date().isoformat(),
            "runs": self.runs,
        }

    def save(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Write the result as JSON; scores are in the table's unit.

        Args:
            path: The file (default: :attr:`default_path`).

        Raises:
            ValueError: If there is nothing measured.
        """
        if not self.runs:
            raise ValueError(f"recipe {self.recipe}: nothing was measured ({self.verdict})")
        path = self.default_path if path is None else Path(path)
        write_json(path, self.summary())
        return path


def results_folder(is_shipped: bool) -> Path:
    """``benchmarks/results`` of a checkout for graphkit's own recipes, else ``results`` of the current folder."""
    root = checkout()
    return root / "benchmarks" / "results" if root is not None and is_shipped else Path("results")


def score(mean: float, std: float | None) -> str:
    """Mean ± standard deviation as printed."""
    return f"{mean:.2f}" + ("" if std is None else f" ± {std:.2f}")


def split_title(split: str) -> str:
    """The splits of a result, in short where there are many.

    Example:
        >>> split_title("cv-10/0, cv-10/1, cv-10/2, cv-10/3"), split_title("public")
        ('cv-10 (4 splits)', 'public')
    """
    names = split.split(", ")
    families = {name.rpartition("/")[0] for name in names}
    return f"{families.pop()} ({len(names)} splits)" if len(names) > 3 and len(families) == 1 else split


def in_unit(value: float, unit: str) -> float:
    """A metric's value in the unit of tables."""
    if unit == "log10":
        return math.log10(max(value, 1e-300))
    return value * 100.0 if unit == "%" else value
