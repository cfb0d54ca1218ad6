"""What running a recipe gave: the recipe's table, with runs."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphkit.core.deprecation import RenamedAttribute
from graphkit.core.display import html_table
from graphkit.core.figures import OF_RESULTS, chosen_kind, save_figure
from graphkit.core.files import write_json
from graphkit.core.text import aligned
from graphkit.datasets import card
from graphkit.datasets.splits import resampling_ratio
from graphkit.metrics import find as find_metric
from graphkit.recipes.cells import CellTable
from graphkit.recipes.comparison import PairedDifference, compare_runs
from graphkit.recipes.drawing import SECONDS, Bar, Curves, Row, draw_costs, draw_curves, draw_intervals, spots
from graphkit.recipes.statistics import by_split, in_words, mean_interval, score
from graphkit.recipes.tables import Table
from graphkit.recipes.verdict import CellResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MANY_SPLITS = 4  # rows would be too full


@dataclass(repr=False)
class RecipeResult(CellTable[CellResult]):
    """What running a recipe gave: its cells by point and variant, each with its runs.

    Attributes:
        recipe: The recipe's name.
        task: The dataset's name.
        cells: The result of each point and variant.
        note: The recipe's note.
        command: The command that repeats this.
        hardware: Where the runs ran.
        versions: Versions of graphkit and what it computes with.
        date: The day on which it was measured.
        path: The file that :meth:`save` writes unless told otherwise.
    """

    recipe: str
    task: str
    cells: dict[tuple[str, str], CellResult]
    note: str = ""
    command: str = ""
    hardware: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    date: str = ""
    path: Path = Path("result.json")

    default_path = RenamedAttribute("path")
    changes = RenamedAttribute("differences")
    figure = RenamedAttribute("plot")

    @property
    def metric(self) -> str:
        """The score's name."""
        return self.first.metric

    @property
    def unit(self) -> str:
        """The unit of all scores."""
        return self.first.unit

    @property
    def missing(self) -> str:
        """The first raw file that is not at hand; then there is nothing to save."""
        return next((cell.missing for cell in self.cells.values() if cell.missing), "")

    def differences(self, point: str = "") -> dict[str, PairedDifference]:
        """What each variant with an ``against`` gains or loses, by the runs that all have; see :func:`compare_runs`.

        Args:
            point: The point, if there are points (default: none).
        """
        cells = self.points[point]
        scores = {v: {(run["seed"], run["split"]): run["test"] for run in cell.runs} for v, cell in cells.items()}
        scores = {variant: runs for variant, runs in scores.items() if all(map(math.isfinite, runs.values()))}
        pairs = {v: other for v in scores if (other := cells[v].against) and other in scores}
        shared = [run for run in next(iter(scores.values()), {}) if all(run in runs for runs in scores.values())]
        if not pairs or len(shared) < 2:
            return {}
        splits = [split for _, split in shared]
        in_step = {variant: by_split([runs[run] for run in shared], splits) for variant, runs in scores.items()}
        overlap = resampling_ratio(card(self.task), splits)
        return dict(compare_runs(in_step, pairs, overlap=overlap).differences)

    def rows(self, verdicts: bool = True) -> list[list[str]]:
        """The table: mean ± standard deviation over runs.

        With points a row per variant and a column per point. Else a row per variant: scores on the own test part and on
        each further one, runs, published value, verdict; where variants have an ``against``, :meth:`differences`.

        Args:
            verdicts: Show the column of verdicts (default: ``True``).
        """
        if self.has_points:
            scores = [[variant, *(score(*row[variant].scores[0]) for row in self.points.values())]
                      for variant in self.variants]  # fmt: skip
            return [["variant", *(f"{point} ± std" for point in self.points)], *scores]
        differences = self.differences()
        header = ["variant", *(f"{split} ± std" for split in self._splits), "n", "published"]
        rows = [header + ["verdict"] * verdicts + [PairedDifference.TITLE] * bool(differences)]
        for variant, cell in self.variants.items():
            paper = "—" if cell.published is None else f"{cell.published.value:g}"
            row = [variant, *(score(*values) for values in cell.scores), str(cell.n), paper]
            row += [str(cell.verdict)] if verdicts else []
            rows.append(row + [str(differences.get(variant, "—"))] * bool(differences))
        return rows

    def __str__(self) -> str:
        table = [] if self.is_single or self.missing else aligned(self.rows())
        lines = [*table, *(f"{name:<12}{text}" for name, text in self._facts())]
        return "\n".join([self._title, *(f"  {line}" for line in lines)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        header, *rows = [[]] if self.is_single or self.missing else self.rows()
        return html_table(self._title, self._facts()) + (Table("", header, rows).html() if rows else "")

    @property
    def _title(self) -> str:
        if self.is_single:
            return f"{self.recipe}: {self.first.model} on {self.task}, {self.metric}"
        unit = f" ({self.unit})" if self.unit else ""
        place = "" if self.has_points else f"{self.task}, "
        items = {cell.judged for cell in self.cells.values()} - {""}
        on = f" on {items.pop()}" if len(items) == 1 and not self.has_points else ""
        return f"{self.recipe}: {place}test {self.metric}{unit}{on}"

    def _facts(self) -> Iterator[tuple[str, str]]:
        if self.is_single:
            yield from self._comparison()
        elif self.missing:
            yield "verdict", f"data not at hand: {self.missing}"
            return
        if not (self.has_points or self.missing):
            seconds = sum(cell.seconds for cell in self.cells.values())
            yield "cost", f"{seconds:.1f} s of training on {self.hardware}"
        if self.note:
            yield "note", self.note

    def _comparison(self) -> Iterator[tuple[str, str]]:
        """What there is to say of a single published value."""
        cell, paper = self.first, self.first.published
        unit = f" {self.unit}".rstrip()
        if paper is not None:
            kind = "as printed" if paper.spread_kind == "unknown" else paper.spread_kind
            spread = "" if paper.spread is None else f" ± {paper.spread} ({kind})"
            over = f", n={paper.n}" if paper.n else ""
            doubt = "" if paper.confirmed else f" (unconfirmed{': ' + paper.note if paper.note else ''})"
            place = f"{paper.paper}, {paper.table}, {paper.split}"
            yield "paper", f"{paper.value}{spread}{unit}{over}; {place}{doubt}"
        if cell.runs:
            yield "ours", f"{cell.measured}, n={cell.n}; split {cell.split} [{cell.split_hash}]"
        for split, values in cell.also_test.items():
            yield "also", f"{in_words(*values)}{unit}; split {split}"
        if cell.baseline is not None:
            yield "baseline", f"{cell.baseline:.2f}{unit}, ignoring the input"
        yield "verdict", f"data not at hand: {cell.missing}" if cell.missing else str(cell.verdict)

    def content(self) -> dict[str, Any]:
        """What :meth:`save` writes, as plain values."""
        names = ("recipe", "task", "metric", "unit", "note", "command", "hardware", "versions", "date")
        cells = []
        for (point, variant), cell in self.cells.items():
            difference = self.differences(point).get(variant)
            own = {"paired_difference": difference and difference.content()} if cell.against else {}
            cells.append({"point": point, "variant": variant, **cell.content(), **own})
        return {name: getattr(self, name) for name in names} | {"cells": cells}

    def save(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Write the result as JSON, scores in the table's unit; beside it the picture of :meth:`plot`, if it compares.

        Args:
            path: The file (default: :attr:`path`).

        Raises:
            ValueError: If there is nothing measured.
        """
        if self.missing or not all(cell.runs for cell in self.cells.values()):
            raise ValueError(f"recipe {self.recipe}: nothing was measured (data not at hand: {self.missing})")
        path = self.path if path is None else Path(path)
        write_json(path, self.content())
        if not self.is_single:
            self.plot(path=path.with_suffix(".png"))
        return path

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> RecipeResult:
        """Read what :meth:`save` has written.

        Args:
            path: The JSON file.

        Raises:
            FileNotFoundError: If there is no file.
            ValueError: If it is no such file; the message names it.
        """
        path = Path(path)
        if not path.exists():
            raise FileNotFoundError(f"there is no file {path}; give the one that a run of the recipe has saved")
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            cells = {
                (cell["point"], cell["variant"]): CellResult.from_content(cell, content["metric"], content["unit"])
                for cell in content["cells"]
            }
            names = ("recipe", "task", "note", "command", "hardware", "versions", "date")
            return cls(cells=cells, path=path, **{name: content[name] for name in names})
        except (ValueError, KeyError, TypeError, IsADirectoryError) as error:
            why = f"no {error}, as in files of graphkit 0.1" if isinstance(error, KeyError) else error
            raise ValueError(f"{path} is not a result file ({why}); move it away and run its recipe again") from None

    def plot(self, kind: str = "scores", path: str | os.PathLike[str] | None = None) -> Figure:
        """A picture of the result.

        Args:
            kind: ``"scores"``, as curves over points or many splits, else as intervals beside those of
                :meth:`differences`; or ``"costs"``, mean scores of all cells by seconds of a run, with the Pareto
                front (default: ``"scores"``).
            path: The picture's file (default: none).

        Raises:
            ValueError: If there is no such picture.
        """
        kind, path = chosen_kind("RecipeResult", kind, path, OF_RESULTS)
        figure = self._costs() if kind == "costs" else self._scores()
        save_figure(figure, path)
        return figure

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger score is a better one."""
        return find_metric(self.metric).higher_is_better

    def curves(self) -> Curves:
        """Scores by variant, over points where there are any, else over splits."""
        places = list(self.points) if self.has_points else self._splits
        by_point = {v: [row[v].scores[0] for row in self.points.values()] for v in self.variants}
        by_split = {v: cell.scores for v, cell in self.variants.items()}
        return Curves(self.recipe, self._label, places, by_point if self.has_points else by_split)

    @property
    def _label(self) -> str:
        unit = f", {self.unit}" if self.unit else ""
        return f"test {self.metric}{unit} ({'higher' if self.higher_is_better else 'lower'} is better)"

    def _costs(self) -> Figure:
        cells = {" at ".join(filter(None, reversed(key))) or cell.model: cell for key, cell in self.cells.items()}
        scores, costs = zip(*((cell.mean, cell.seconds / cell.n) for cell in cells.values()))
        return draw_costs(spots(list(cells), scores, costs, self.higher_is_better), self._label, SECONDS)

    def _scores(self) -> Figure:
        if self.has_points or len(self._splits) >= MANY_SPLITS:
            return draw_curves([self.curves()])
        return draw_intervals(self._lines(), self._label, "gain, corrected 95 % interval", self.recipe)

    def _lines(self) -> list[Row]:
        differences = self.differences()
        rows = []
        for variant, cell in self.variants.items():
            intervals = [mean_interval(runs, cell.overlap) for runs in cell.samples]
            values = {split: Bar.around(*interval) for split, interval in zip(self._splits, intervals)}
            if cell.published is not None:
                values["published"] = Bar(cell.published.value)
            if (found := differences.get(variant)) is None:
                rows.append(Row(variant, values))
            else:
                word = found.word(self.higher_is_better)
                rows.append(Row(f"{variant} to {found.against}", values, Bar(found.mean, found.interval), word))
        return rows

    @property
    def _splits(self) -> list[str]:
        return [split_title(self.first.split), *self.first.also_test]


def split_title(split: str) -> str:
    """The splits of a result, in short where there are many.

    Example:
        >>> split_title("cv-10/0, cv-10/1, cv-10/2, cv-10/3"), split_title("public")
        ('cv-10 (4 splits)', 'public')
    """
    names = split.split(", ")
    families = {name.rpartition("/")[0] for name in names}
    return f"{families.pop()} ({len(names)} splits)" if len(names) > 3 and len(families) == 1 else split
