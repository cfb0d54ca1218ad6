"""Everything that was measured: published values beside ours, by method, with pictures and tables."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from graphkit.core.display import html_table
from graphkit.core.figures import png
from graphkit.core.files import atomic_write
from graphkit.core.resources import shipped
from graphkit.recipes import cost
from graphkit.recipes.drawing import SECONDS, draw_agreement, draw_costs, draw_intervals
from graphkit.recipes.entries import DETAILS, HEADER, Count, Entry
from graphkit.recipes.files import recipe_files
from graphkit.recipes.result import RecipeResult
from graphkit.recipes.tables import Table, data_frame, templates

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame


@dataclass(frozen=True)
class Section:
    """One part of a report.

    Attributes:
        title: What it is about.
        text: What a reader should know.
        figures: What draws its pictures.
        table: Its table.
        details: What only some want to know.
    """

    title: str
    text: str
    figures: Sequence[Callable[[], Figure]]
    table: Table
    details: Table | None = None

    def pngs(self) -> list[bytes]:
        """Its pictures, drawn."""
        return [png(figure()) for figure in self.figures]

    def pictures(self) -> list[str]:
        """Its pictures as text, for addresses that hold their data."""
        return [base64.b64encode(png).decode() for png in self.pngs()]


@dataclass(frozen=True, repr=False)
class Report:
    """The results that lie in a folder, as :meth:`RecipeResult.save` has written them.

    Attributes:
        folder: The folder.
        results: The results, by the names of their files.
        failures: Recipes without a result, and why (``graphkit reproduce --all`` fills them in).
        recipes: Where the files of the recipes lie, as links from the report lead there.
    """

    folder: Path
    results: dict[str, RecipeResult]
    failures: dict[str, str] = field(default_factory=dict)
    recipes: str = ""

    @classmethod
    def of(cls, folder: str | os.PathLike[str], failures: dict[str, str] | None = None) -> Report:
        """Read a result file, or all in and below a folder, where JSON files of another kind are passed over.

        Raises:
            ValueError: If a file is not JSON or has the layout of graphkit 0.1; the message names it.
        """
        if (file := Path(folder)).is_file():
            folder, paths = file.parent, [file]
        else:
            found = sorted(Path(folder).rglob("*.json"))
            paths = [path for path in found if '"recipe": ' in path.read_text(encoding="utf-8")]
        results = {path.relative_to(folder).with_suffix("").as_posix(): RecipeResult.load(path) for path in paths}
        recipes = Path(os.path.relpath(shipped("recipes"), folder)).as_posix()
        return cls(Path(folder), results, failures or {}, recipes)

    def only(self, name: str) -> Report:
        """What is told of one recipe.

        Raises:
            ValueError: If it has no result here.
        """
        results = {key: result for key, result in self.results.items() if result.recipe == name}
        if not results:
            raise ValueError(
                f"{self.folder}: no result of {name}; measure it with `graphkit reproduce {name}`, or name the "
                "place of its result with --output"
            )
        return replace(self, results=results, failures={})

    def entries(self) -> list[Entry]:
        """Every measured cell."""
        files = recipe_files()
        return [
            Entry(name, *key, cell, result, f"{self.recipes}/{result.recipe}.yaml" if result.recipe in files else "")
            for name, result in self.results.items()
            for key, cell in result.cells.items()
        ]

    def published(self) -> list[Entry]:
        """Every cell that has a published value, and every recipe of a single cell."""
        return [entry for entry in self.entries() if entry.cell.published is not None or entry.result.is_single]

    def methods(self) -> list[Section]:
        """A section per method, a row per published value, confirmed ones first, by standardised difference."""
        sections = []
        entries = sorted(self.published(), key=lambda entry: entry.order)
        for method in sorted({entry.method for entry in entries}):
            own = [entry for entry in entries if entry.method == method]
            units = dict.fromkeys(entry.cell.unit for entry in own if entry.cell.published is not None)
            shown = [[e for e in own if e.cell.published is not None and e.cell.unit == unit] for unit in units]
            figures = [partial(_figure, entries) for entries in shown]
            table = Table(method, HEADER, [entry.row() for entry in own])
            details = Table("Differences, sources, splits, baselines and dates", DETAILS, [e.details() for e in own])
            sections.append(Section(method, str(Count.of(own)), figures, table, details))
        return sections

    def comparisons(self) -> list[Section]:
        """A section per recipe with variants, a row per variant."""
        return [
            self._compared(name) for name, result in self.results.items() if not (result.is_single or result.has_points)
        ]

    def sweeps(self) -> list[Section]:
        """A section per recipe with points: a row per variant, a column per point."""
        return [self._compared(name) for name, result in self.results.items() if result.has_points]

    def costs(self) -> list[Section]:
        """A section per dataset and kind of split: all models with seconds and parameters beside the score."""
        return [self._costs(group) for group in cost.groups(self.entries())]

    def summary(self) -> str:
        """How many published values got which verdict, confirmed and unconfirmed ones apart."""
        failed = f" {len(self.failures)} recipes are without a result." if self.failures else ""
        return f"{Count.of(self.entries())}{failed}"

    def plot(self) -> Figure:
        """Every value that is published in percent and was measured here: measured over published."""
        entries = [entry for entry in self.published() if entry.cell.published is not None and entry.cell.n]
        return draw_agreement([entry.line() for entry in entries if entry.cell.unit == "%"], "%")

    def frame(self) -> DataFrame:
        """The numbers of every measured cell as a pandas table.

        Raises:
            ImportError: If pandas is not installed.
        """
        entries = self.entries()
        tables = {(entry.recipe, entry.point): entry.result for entry in entries}
        gains = {(name, point): result.differences(point) for (name, point), result in tables.items()}
        return data_frame([entry.record(gains[entry.recipe, entry.point].get(entry.variant)) for entry in entries])

    def text(self) -> str:
        """All tables, for a terminal."""
        tables = [f"{section.title}\n{section.table.text()}" for section in self._sections()]
        return "\n\n".join([*tables, self.summary()])

    def __repr__(self) -> str:
        return f"Report({self.folder}: {self.summary()})"

    def _repr_html_(self) -> str:
        return html_table(self.summary(), ()) + "".join(section.table._repr_html_() for section in self._sections())

    def csv(self) -> str:
        """:meth:`frame` as comma-separated values."""
        return self.frame().to_csv(index=False)

    def latex(self) -> str:
        """All tables, for the package booktabs."""
        return "\n".join(f"% {section.title}\n{section.table.latex()}" for section in self._sections())

    def markdown(self) -> str:
        """All tables, as Markdown."""
        parts = ["# Results beside published ones", self.summary()]
        for section in self._sections():
            parts += [f"## {section.title}", section.text, section.table.markdown()]
        return "\n\n".join(filter(None, parts)) + "\n"

    def html(self) -> str:
        """The whole report as one HTML page that needs no other file."""
        return templates().get_template("page.html").render(summary=self.summary(), sections=self._sections())

    def save(self) -> Path:
        """Write ``reproduced.md`` and ``reproduced.html`` into the folder; returns the second."""
        for name, text in (("reproduced.md", self.markdown()), ("reproduced.html", self.html())):
            with atomic_write(self.folder / name) as temporary:
                temporary.write_text(text, encoding="utf-8")
        return self.folder / "reproduced.html"

    def _sections(self) -> list[Section]:
        sections = [*self.methods(), *self.costs(), *self.comparisons(), *self.sweeps()]
        if self.failures:
            table = Table("Without a result", ["recipe", "reason"], list(self.failures.items()))
            sections.append(Section(table.title, "", [], table))
        return sections

    def _costs(self, group: cost.Group) -> Section:
        cell = group.entries[0].cell
        unit = f" ({cell.unit})" if cell.unit else ""
        figure = partial(draw_costs, group.spots(), f"test {cell.metric}{unit}", SECONDS)
        return Section(group.title, "", [figure], Table(group.title, cost.HEADER, group.rows()))

    def _compared(self, name: str) -> Section:
        result = self.results[name]
        header, *rows = result.rows(verdicts=False)
        unit = f" ({result.unit})" if result.unit else ""
        title = f"{result.recipe}: test {result.metric}{unit}, {result.date}"
        return Section(title, result.note, [result.plot], Table(title, header, rows))


def _figure(entries: Sequence[Entry]) -> Figure:
    """The picture of entries of one unit."""
    cells = [entry.cell for entry in entries]
    unit = f", {cells[0].unit}" if cells[0].unit else ""
    values = f"test {' / '.join(dict.fromkeys(cell.metric for cell in cells))}{unit}"
    return draw_intervals([entry.line() for entry in entries], values, f"measured - published{unit}")
