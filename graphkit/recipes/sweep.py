"""Sweeps: one comparison at several points, as curves in one picture."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from graphkit.core.files import atomic_write, write_json
from graphkit.core.text import aligned
from graphkit.metrics import find as find_metric
from graphkit.recipes.comparison import Comparison, ComparisonResult, merged
from graphkit.recipes.recipe import Recipe
from graphkit.recipes.reproduction import results_folder, score


class Sweep:
    r"""A comparison with ``points``: names, usually sizes, and what each changes in the rest of the file.

    Unlike a variant, a point may change the task's options, too, and each is trained on its own. Variants are merged
    last, so what they set holds at all points.

    Args:
        name: ``method/dataset``.
        config: The file's content: that of a :class:`Comparison`, and ``points``.
        path: The file it was read from, if any (default: ``None``).

    Raises:
        ValueError: As :class:`Comparison`; the message names the point.
    """

    def __init__(self, name: str, config: Mapping[str, Any], path: Path | None = None) -> None:
        points = config["points"]
        if not isinstance(points, Mapping) or not all(isinstance(part, Mapping) for part in points.values()):
            raise ValueError(f"points: expected names, and for each what it changes, got {points!r}")
        if not config.get("variants"):
            raise ValueError("points: there is nothing to compare without variants")
        self.name = name
        self.path = path
        self.points: dict[str, Comparison] = {}
        shared = {key: value for key, value in config.items() if key != "points"}
        for point, part in points.items():
            for key in ("seeds", "splits", "also_test", "unit", "variants"):
                if key in part:
                    raise ValueError(f"points.{point}: {key!r} is shared by all points; put it at the top")
            try:
                self.points[str(point)] = Comparison(f"{name}/{point}", merged(shared, part), path)
            except ValueError as error:
                raise ValueError(f"points.{point}: {error}") from error
        first = next(iter(self.points.values()))
        self.experiment, self.metric, self.unit = first.experiment, first.metric, first.unit
        self.seeds, self.splits, self.is_shipped = first.seeds, first.splits, first.is_shipped
        self.note = first.note

    @property
    def parts(self) -> list[Recipe]:
        """The recipes in it: one per point and variant."""
        return [recipe for comparison in self.points.values() for recipe in comparison.parts]

    def run(
        self, seeds: int | Sequence[int] | None = None, splits: Sequence[int | str] | None = None, **execution: Any
    ) -> SweepResult:
        """Run every variant with every seed at every point; arguments and errors as for :meth:`Recipe.run`."""
        results = {}
        for point, comparison in self.points.items():
            comparison.name = f"{self.name}/{point}"
            results[point] = comparison.run(seeds, splits, **execution)
        command = next(iter(results.values())).command.replace(next(iter(self.points.values())).name, self.name)
        return SweepResult(self.name, results, command, self.note, results_folder(self.is_shipped))

    def __repr__(self) -> str:
        variants = ", ".join(next(iter(self.points.values())).variants)
        return f"Sweep({self.name}: {variants} at {', '.join(self.points)}, {len(self.seeds)} seeds)"


@dataclass
class SweepResult:
    """What running a sweep gave.

    Attributes:
        recipe: The sweep's name.
        points: The result of each point.
        command: The command that repeats this.
        note: The recipe's note.
        folder: Where result files lie.
    """

    recipe: str
    points: dict[str, ComparisonResult]
    command: str
    note: str
    folder: Path

    @property
    def missing(self) -> str:
        """The first raw file that is not at hand; then there are no runs."""
        return next(iter(self.points.values())).missing

    @property
    def default_path(self) -> Path:
        """As :attr:`ComparisonResult.default_path`."""
        return self.folder / f"{self.recipe}.json"

    def rows(self) -> list[list[str]]:
        """The table: a row per variant, a column per point, mean ± standard deviation over runs."""
        first = next(iter(self.points.values()))
        return [["variant", *self.points]] + [
            [variant, *(score(result.variants[variant].mean, result.variants[variant].std) for result in self._results)]
            for variant in first.variants
        ]

    @property
    def _results(self) -> list[ComparisonResult]:
        return list(self.points.values())

    def __str__(self) -> str:
        first = self._results[0].first
        unit = f" ({first.unit})" if first.unit else ""
        lines = [f"{self.recipe}: test {first.metric}{unit}"]
        if self.missing:
            return f"{lines[0]}\n  verdict     {first.verdict}"
        lines += [f"  {line}" for line in aligned(self.rows())]
        return "\n".join(lines + ([f"  note        {self.note}"] if self.note else []))

    def save(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Write the result as JSON, and the picture of :meth:`plot` beside it.

        Args:
            path: The file (default: :attr:`default_path`).

        Raises:
            ValueError: If there is nothing measured.
        """
        if self.missing:
            raise ValueError(f"recipe {self.recipe}: nothing was measured ({self._results[0].first.verdict})")
        path = self.default_path if path is None else Path(path)
        contents = {point: result.content() for point, result in self.points.items()}
        shared = ("task", "metric", "unit", "hardware", "versions")
        content: dict[str, Any] = {"recipe": self.recipe}
        content |= {key: next(iter(contents.values()))[key] for key in shared}
        content |= {"note": self.note, "command": self.command, "date": datetime.now(UTC).date().isoformat()}
        own = ("split", "split_hash", "variants")
        content["points"] = {point: {key: part[key] for key in own} for point, part in contents.items()}
        write_json(path, content)
        self.plot(path.with_suffix(".png"))
        return path

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draw one curve per variant over the points.

        Args:
            path: The picture's file.
        """
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.0, 4.0), layout="constrained")
        axes = figure.add_subplot()
        for variant in self._results[0].variants:
            found = [result.variants[variant] for result in self._results]
            axes.errorbar(
                list(self.points),
                [result.mean for result in found],
                [result.std or 0.0 for result in found],
                label=variant,
                marker="o",
                capsize=2,
            )
        first = self._results[0].first
        better = "higher" if find_metric(first.metric).higher_is_better else "lower"
        axes.set_ylabel(f"test {first.metric}{', ' + first.unit if first.unit else ''} ({better} is better)")
        axes.set_title(self.recipe)
        axes.legend()
        with atomic_write(Path(path)) as temporary:
            figure.savefig(temporary, format="png", dpi=120)
