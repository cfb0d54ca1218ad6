"""Comparisons: one recipe in several variants, in one table, one file and one picture."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from graphkit.core.files import atomic_write, write_json
from graphkit.core.resources import shipped
from graphkit.core.text import aligned
from graphkit.metrics import find as find_metric
from graphkit.recipes.recipe import Recipe
from graphkit.recipes.reproduction import Reproduction, results_folder, score, split_title


class Comparison:
    r"""A recipe with ``variants``: names, and what each changes in the rest of the file.

    Changes are merged key by key; a variant may change the model, the strategy, features, rewiring and the trainer, and
    has its own published value. Task, splits and seeds are shared. A variant may name another with ``against``: the
    table then has the mean of its differences to that one, run by run with the same seed and split.

    Args:
        name: ``method/dataset``.
        config: The file's content: that of a :class:`Recipe`, and ``variants``.
        path: The file it was read from, if any (default: ``None``).

    Raises:
        ValueError: As :class:`Recipe`; the message names the variant.
    """

    def __init__(self, name: str, config: Mapping[str, Any], path: Path | None = None) -> None:
        changes = config["variants"]
        if not isinstance(changes, Mapping) or not all(isinstance(part, Mapping) for part in changes.values()):
            raise ValueError(f"variants: expected names, and for each what it changes, got {changes!r}")
        self.name = name
        self.path = path
        self.variants: dict[str, Recipe] = {}
        self.against: dict[str, str] = {}
        shared = {key: value for key, value in config.items() if key != "variants"}
        for variant, part in changes.items():
            for key in ("task", "seeds", "splits", "also_test", "unit"):
                if key in part:
                    raise ValueError(f"variants.{variant}: {key!r} is shared by all variants; put it at the top")
            own = dict(part)
            if (other := own.pop("against", None)) is not None:
                if other == variant or other not in changes:
                    raise ValueError(f"variants.{variant}: against: {other!r} is no other variant")
                self.against[str(variant)] = str(other)
            try:
                self.variants[str(variant)] = Recipe(f"{name}/{variant}", merged(shared, own), path)
            except ValueError as error:
                raise ValueError(f"variants.{variant}: {error}") from error
        first = next(iter(self.variants.values()))
        self.experiment, self.metric, self.unit = first.experiment, first.metric, first.unit
        self.seeds, self.splits, self.also_test = first.seeds, first.splits, first.also_test
        self.note = " ".join(str(config.get("note") or "").split())

    @property
    def is_shipped(self) -> bool:
        """Whether it is one of graphkit's own."""
        return self.path is not None and self.path.resolve().is_relative_to(shipped("recipes").resolve())

    @property
    def parts(self) -> list[Recipe]:
        """The recipes in it: one per variant."""
        return list(self.variants.values())

    def run(
        self, seeds: int | Sequence[int] | None = None, splits: Sequence[int | str] | None = None, **execution: Any
    ) -> ComparisonResult:
        """Run every variant with every seed; arguments and errors as for :meth:`Recipe.run`."""
        results = {}
        for variant, recipe in self.variants.items():
            recipe.name = f"{self.name}/{variant}"
            results[variant] = recipe.run(seeds, splits, **execution)
        any_result = next(iter(results.values()))
        name = any_result.name.replace(f"{self.name}/{next(iter(results))}", self.name)
        command = any_result.command.replace(any_result.recipe, self.name)
        return ComparisonResult(self.name, results, command, self.note, name, self.against)

    def __repr__(self) -> str:
        task = self.experiment.config["task"]["name"]
        return f"Comparison({self.name}: {', '.join(self.variants)} on {task}, {len(self.seeds)} seeds)"


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``changes``, mappings key by key."""
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


@dataclass(frozen=True)
class Change:
    """The mean difference of one variant's runs to another's with the same seed and split.

    Attributes:
        against: The other variant.
        mean: The mean difference, in the table's unit.
        standard_error: Its standard error.

    Example:
        >>> print(Change("GCN", -1.5, 2.0))
        -1.50 ± 2.00 to GCN
    """

    TITLE: ClassVar[str] = "change ± standard error"

    against: str
    mean: float
    standard_error: float

    def __str__(self) -> str:
        return f"{self.mean:+.2f} ± {self.standard_error:.2f} to {self.against}"


@dataclass
class ComparisonResult:
    """What running a comparison gave.

    Attributes:
        recipe: The comparison's name.
        variants: The result of each variant.
        command: The command that repeats this.
        note: The recipe's note.
        name: The result file's name.
        against: Which variant another is compared with.
    """

    recipe: str
    variants: dict[str, Reproduction] = field(default_factory=dict)
    command: str = ""
    note: str = ""
    name: str = ""
    against: dict[str, str] = field(default_factory=dict)

    @property
    def first(self) -> Reproduction:
        """The first variant's result: task, metric and unit are those of all."""
        return next(iter(self.variants.values()))

    @property
    def missing(self) -> str:
        """The first raw file that is not at hand; then there are no runs."""
        return self.first.missing

    def changes(self) -> dict[str, Change]:
        """What each variant with an ``against`` gains or loses, over the runs that both have."""
        found = {}
        for variant, other in self.against.items():
            theirs = {(run["seed"], run["split"]): run["test"] for run in self.variants[other].runs}
            pairs = [(run["test"], theirs.get((run["seed"], run["split"]))) for run in self.variants[variant].runs]
            differences = [test - before for test, before in pairs if before is not None]
            if len(differences) > 1:
                error = statistics.stdev(differences) / math.sqrt(len(differences))
                found[variant] = Change(other, round(statistics.fmean(differences), 4), round(error, 4))
        return found

    def rows(self) -> list[list[str]]:
        """The table: variant, scores on the own test part and on each further one, runs, published value, verdict.

        Where variants have an ``against``, the last column is :meth:`changes`.
        """
        changes = self.changes()
        header = ["variant", split_title(self.first.split), *self.first.also_test, "n", "published", "verdict"]
        rows = [header + [Change.TITLE] * bool(changes)]
        for variant, result in self.variants.items():
            paper = "—" if result.published is None else f"{result.published.value:g}"
            scores = [score(result.mean, result.std), *(score(*found) for found in result.also_test.values())]
            change = [str(changes.get(variant, "—"))] * bool(changes)
            rows.append([variant, *scores, str(result.n), paper, result.verdict, *change])
        return rows

    def __str__(self) -> str:
        unit = f" ({self.first.unit})" if self.first.unit else ""
        task = self.first.experiment.rpartition(" on ")[2]
        lines = [f"{self.recipe}: {task}, test {self.first.metric}{unit}"]
        if self.missing:
            return f"{lines[0]}\n  verdict     {self.first.verdict}"
        lines += [f"  {line}" for line in aligned(self.rows())]
        seconds = sum(run["seconds"] for result in self.variants.values() for run in result.runs)
        lines.append(f"  cost        {seconds:.1f} s of training on {self.first.hardware}")
        if self.note:
            lines.append(f"  note        {self.note}")
        return "\n".join(lines)

    @property
    def default_path(self) -> Path:
        """As :attr:`Reproduction.default_path`."""
        return results_folder(self.first.is_shipped) / f"{self.name}.json"

    def content(self) -> dict[str, Any]:
        """What :meth:`save` writes, as plain values."""
        summaries = {variant: result.summary() for variant, result in self.variants.items()}
        shared = ("metric", "unit", "split", "split_hash", "hardware", "versions")
        own = ("published", "mean", "std", "n", "verdict", "difference", "also_test", "seconds", "config_hash", "runs")
        content: dict[str, Any] = {"recipe": self.recipe, "task": self.first.experiment.rpartition(" on ")[2]}
        content |= {key: summaries[next(iter(summaries))][key] for key in shared}
        content |= {"note": self.note, "command": self.command, "date": datetime.now(UTC).date().isoformat()}
        content["variants"] = {
            variant: {key: summary[key] for key in own if key in summary} for variant, summary in summaries.items()
        }
        for variant, change in self.changes().items():
            content["variants"][variant]["change"] = asdict(change)
        return content

    def save(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Write the result as JSON, and the picture of :meth:`plot` beside it.

        Args:
            path: The file (default: :attr:`default_path`).

        Raises:
            ValueError: If there is nothing measured.
        """
        if self.missing:
            raise ValueError(f"recipe {self.recipe}: nothing was measured ({self.first.verdict})")
        path = self.default_path if path is None else Path(path)
        write_json(path, self.content())
        self.plot(path.with_suffix(".png"))
        return path

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draw the scores of all variants with published values: a group of bars each; with many splits, a line each.

        Args:
            path: The picture's file.
        """
        from matplotlib.figure import Figure

        splits = [split_title(self.first.split), *self.first.also_test]
        by_line = len(splits) > 3
        height = 4.0 if by_line else 1.2 + 0.12 * (len(splits) + 2) * len(self.variants)
        figure = Figure(figsize=(7.0, height), layout="constrained")
        axes = figure.add_subplot()
        better = "higher" if find_metric(self.first.metric).higher_is_better else "lower"
        unit = f", {self.first.unit}" if self.first.unit else ""
        label = f"test {self.first.metric}{unit} ({better} is better)"
        if by_line:
            for variant, result in self.variants.items():
                means, stds = zip((result.mean, result.std), *result.also_test.values())
                axes.errorbar(splits, means, [std or 0.0 for std in stds], label=variant, capsize=2)
            axes.tick_params(axis="x", rotation=45)
            axes.set_ylabel(label)
        else:
            self._draw_bars(axes, splits)
            axes.set_xlabel(label)
        axes.set_title(self.recipe)
        if by_line or len(axes.get_legend_handles_labels()[0]) > 1:
            figure.legend(loc="outside lower center", ncols=4)
        with atomic_write(Path(path)) as temporary:
            figure.savefig(temporary, format="png", dpi=120)

    def _draw_bars(self, axes: Any, splits: Sequence[str]) -> None:
        width = 0.8 / len(splits)
        scores = [[(result.mean, result.std), *result.also_test.values()] for result in self.variants.values()]
        for i, split in enumerate(splits):
            means, stds = zip(*(found[i] for found in scores))
            places = [place + i * width for place in range(len(scores))]
            axes.barh(places, means, width, xerr=[std or 0.0 for std in stds], label=split, capsize=2, color=f"C{i}")
        papers = [(i, found.published.value) for i, found in enumerate(self.variants.values()) if found.published]
        if papers:
            axes.plot([value for _, value in papers], [i for i, _ in papers], "kD", markersize=5, label="published")
        axes.set_yticks([i + width * (len(splits) - 1) / 2 for i in range(len(scores))], list(self.variants))
        axes.invert_yaxis()
