"""Everything that was measured, in one table: published values beside ours."""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from graphkit.core.files import atomic_write
from graphkit.recipes.cell_result import CellResult
from graphkit.recipes.drawing import draw_differences
from graphkit.recipes.result import RecipeResult, score, split_title

START = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    "<title>Reproduced results</title>"
)
STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}table{border-collapse:collapse}"
    "td,th{border-bottom:1px solid #ccc;padding:.3rem .6rem;text-align:left;vertical-align:top}"
    ".scroll{overflow-x:auto}img{max-width:100%}"
)


@dataclass(frozen=True)
class Table:
    """A table of results; the first column holds names.

    Attributes:
        title: What it shows.
        header: The columns' titles.
        rows: The cells.
        note: What a reader should know.
        picture: The file of its picture, if there is one.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    picture: Path | None = None


@dataclass(frozen=True)
class Report:
    """The results that lie in a folder, as :meth:`RecipeResult.save` has written them.

    Attributes:
        folder: The folder.
        results: The results, by the names of their files.
        failures: Recipes without a result, and why (``graphkit reproduce --all`` fills them in).
    """

    folder: Path
    results: dict[str, RecipeResult]
    failures: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: str | os.PathLike[str], failures: dict[str, str] | None = None) -> Report:
        """Read all result files in and below a folder; JSON files of another kind are passed over.

        Raises:
            ValueError: If a file is not JSON or has the layout of graphkit 0.1; the message names it.
        """
        paths = [
            path for path in sorted(Path(folder).rglob("*.json")) if '"recipe": ' in path.read_text(encoding="utf-8")
        ]
        results = {path.relative_to(folder).with_suffix("").as_posix(): RecipeResult.load(path) for path in paths}
        return cls(Path(folder), results, failures or {})

    def published(self) -> Table:
        """Every value that has a published one, and every single recipe: a row each."""
        header = ["recipe", "published", "measured", "n", "verdict", "split", "date"]
        rows = [_row(name, cell, result.date) for name, (result, cell) in self._measured().items()]
        return Table("Published and measured", header, rows)

    def comparisons(self) -> list[Table]:
        """A table per recipe with variants, a row per variant."""
        return [
            self._table(name) for name, result in self.results.items() if not (result.is_single or result.has_points)
        ]

    def sweeps(self) -> list[Table]:
        """A table per recipe with points: a row per variant, a column per point."""
        return [self._table(name) for name, result in self.results.items() if result.has_points]

    def summary(self) -> str:
        """How many confirmed and unconfirmed values are equivalent or consistent, and how many are lower."""
        cells = [cell for _, cell in self._measured().values() if cell.published is not None]
        failed = f"; {len(self.failures)} recipes without a result" if self.failures else ""
        return "; ".join(_counted(cells, confirmed) for confirmed in (True, False)) + failed

    def markdown(self) -> str:
        """The whole report as Markdown."""
        lines = ["# Reproduced results", "", f"{self.summary()}.", ""]
        for table in self._tables():
            cells = [[f"`{row[0]}`", *row[1:]] for row in table.rows]
            grid = [table.header, ["---"] * len(table.header), *cells]
            lines += [f"## {table.title}", ""]
            lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in grid]
            lines += ["", *([table.note, ""] if table.note else [])]
        return "\n".join(lines).rstrip() + "\n"

    def html(self) -> str:
        """The whole report as one HTML page that needs no other file."""
        parts = [f"<h1>Reproduced results</h1><p>{html.escape(self.summary())}.</p>"]
        if self._measured():
            parts.append(_image(self.plot(), "Differences from published values"))
        for table in self._tables():
            head = "".join(f"<th>{html.escape(cell)}</th>" for cell in table.header)
            body = "".join(
                f"<tr><td><code>{html.escape(row[0])}</code></td>"
                + "".join(f"<td>{html.escape(cell)}</td>" for cell in row[1:])
                + "</tr>"
                for row in table.rows
            )
            grid = f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'
            parts.append(f"<h2>{html.escape(table.title)}</h2>{grid}")
            if table.picture is not None:
                parts.append(_image(table.picture.read_bytes(), table.title))
            if table.note:
                parts.append(f"<p>{html.escape(table.note)}</p>")
        return f"{START}<style>{STYLE}</style>{''.join(parts)}</html>\n"

    def plot(self) -> bytes:
        """A PNG of measured minus published shares, with the standard deviation over our runs."""
        measured = {name: cell for name, (_, cell) in self._measured().items()}
        return draw_differences({name: cell for name, cell in measured.items() if cell.published and cell.unit == "%"})

    def save(self) -> Path:
        """Write ``reproduced.md`` and ``reproduced.html`` into the folder; returns the second."""
        for name, text in (("reproduced.md", self.markdown()), ("reproduced.html", self.html())):
            with atomic_write(self.folder / name) as temporary:
                temporary.write_text(text, encoding="utf-8")
        return self.folder / "reproduced.html"

    def _measured(self) -> dict[str, tuple[RecipeResult, CellResult]]:
        """Single recipes, and variants that have a published value."""
        return {
            f"{name}: {variant}" if variant else name: (result, cell)
            for name, result in self.results.items()
            for (point, variant), cell in result.cells.items()
            if not point and (result.is_single or cell.published is not None)
        }

    def _tables(self) -> list[Table]:
        tables = [self.published(), *self.comparisons(), *self.sweeps()]
        if self.failures:
            tables.append(Table("Without a result", ["recipe", "reason"], list(self.failures.items())))
        return [table for table in tables if table.rows]

    def _table(self, name: str) -> Table:
        result = self.results[name]
        header, *rows = result.rows(verdicts=False)
        unit = f" ({result.unit})" if result.unit else ""
        title = f"{result.recipe}: test {result.metric}{unit}, {result.date}"
        picture = self.folder / f"{name}.png"
        return Table(title, header, rows, result.note, picture if picture.is_file() else None)


def _counted(cells: Sequence[CellResult], confirmed: bool) -> str:
    words = [cell.verdict.word for cell in cells if cell.published and cell.published.confirmed == confirmed]
    same = sum(word in ("equivalent", "consistent") for word in words)
    kind = "confirmed" if confirmed else "unconfirmed"
    return f"{same} of {len(words)} {kind} values are equivalent or consistent, {words.count('higher')} higher"


def _row(name: str, cell: CellResult, date: str) -> list[str]:
    paper = "—"
    if (known := cell.published) is not None:
        details = [str(known.paper), known.table, known.split]
        details += [f"n = {known.n}"] if known.n else []
        details += [] if known.confirmed else ["unconfirmed"]
        spread = "" if known.spread is None else f" ± {known.spread}"
        paper = f"{f'{known.value}{spread} {known.unit}'.strip()} ({', '.join(filter(None, details))})"
    measured = f"{score(cell.mean, cell.std)} {cell.unit}".strip()
    split = f"{split_title(cell.split)} [{cell.split_hash}]"
    return [name, paper, measured, str(cell.n), str(cell.verdict), split, date]


def _image(png: bytes, text: str) -> str:
    return f'<p><img alt="{html.escape(text)}" src="data:image/png;base64,{base64.b64encode(png).decode()}"></p>'
