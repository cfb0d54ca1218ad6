"""Everything that was measured, in one table: published values beside ours."""

from __future__ import annotations

import base64
import html
import io
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphkit.core.files import atomic_write
from graphkit.recipes.comparison import Change
from graphkit.recipes.recipe import Published
from graphkit.recipes.reproduction import score, split_title

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
    """The results that lie in a folder, as :meth:`Reproduction.save` and its like have written them.

    Attributes:
        folder: The folder.
        contents: What the files hold, by recipe.
        failures: Recipes without a result, and why (``graphkit reproduce --all`` fills them in).
    """

    folder: Path
    contents: dict[str, dict[str, Any]]
    failures: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: str | os.PathLike[str], failures: dict[str, str] | None = None) -> Report:
        """Read all result files in and below a folder; JSON files of another kind are passed over.

        Raises:
            ValueError: If a file is not JSON; the message names it.
        """
        contents = {}
        for path in sorted(Path(folder).rglob("*.json")):
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise ValueError(f"{path} is not a result file ({error}); delete it and run its recipe again") from None
            if isinstance(content, dict) and "recipe" in content:
                contents[path.relative_to(folder).with_suffix("").as_posix()] = content
        return cls(Path(folder), contents, failures or {})

    def published(self) -> Table:
        """Every value that has a published one, and every single recipe: a row each."""
        header = ["recipe", "published", "measured", "n", "verdict", "split", "date"]
        return Table("Published and measured", header, [_row(*found) for found in self._measured().items()])

    def comparisons(self) -> list[Table]:
        """A table per comparison, a row per variant."""
        tables = []
        for name, content in self.contents.items():
            if variants := content.get("variants"):
                further = list(next(iter(variants.values()))["also_test"])
                changes = {name: str(Change(**part["change"])) for name, part in variants.items() if "change" in part}
                rows = []
                for variant, part in variants.items():
                    scores = [part, *(part["also_test"][split] for split in further)]
                    paper = "—" if part["published"] is None else f"{part['published']['value']:g}"
                    cells = [score(found["mean"], found["std"]) for found in scores]
                    change = [changes.get(variant, "—")] * bool(changes)
                    rows.append([variant, *cells, str(part["n"]), paper, *change])
                header = ["variant", split_title(content["split"]), *further, "n", "published"]
                header += [Change.TITLE] * bool(changes)
                tables.append(Table(_title(content), header, rows, content["note"], self._picture(name)))
        return tables

    def sweeps(self) -> list[Table]:
        """A table per sweep: a row per variant, a column per point."""
        tables = []
        for name, content in self.contents.items():
            if points := content.get("points"):
                rows = []
                for variant in next(iter(points.values()))["variants"]:
                    found = [point["variants"][variant] for point in points.values()]
                    rows.append([variant, *(score(part["mean"], part["std"]) for part in found)])
                header = ["variant", *points]
                tables.append(Table(_title(content), header, rows, content["note"], self._picture(name)))
        return tables

    def summary(self) -> str:
        """How many published values were reproduced and missed, in one line."""
        verdicts = Counter(part["verdict"] for part in self._measured().values() if part["published"] is not None)
        failed = f"; {len(self.failures)} recipes without a result" if self.failures else ""
        return f"{verdicts['reproduced']} published values reproduced, {verdicts['missed']} missed{failed}"

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
        from matplotlib.figure import Figure

        shares = {name: part for name, part in self._measured().items() if part["published"] and part["unit"] == "%"}
        figure = Figure(figsize=(8.0, 1.0 + 0.22 * len(shares)), layout="constrained")
        axes = figure.add_subplot()
        axes.barh(
            list(shares),
            [part["difference"] for part in shares.values()],
            xerr=[part["std"] or 0.0 for part in shares.values()],
            color=["tab:green" if part["verdict"] == "reproduced" else "tab:red" for part in shares.values()],
            error_kw={"elinewidth": 0.7},
        )
        axes.axvline(0.0, color="black", linewidth=0.8)
        axes.invert_yaxis()
        axes.set_xlabel("measured - published, percentage points (green: reproduced, red: missed)")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()

    def save(self) -> Path:
        """Write ``reproduced.md`` and ``reproduced.html`` into the folder; returns the second."""
        for name, text in (("reproduced.md", self.markdown()), ("reproduced.html", self.html())):
            with atomic_write(self.folder / name) as temporary:
                temporary.write_text(text, encoding="utf-8")
        return self.folder / "reproduced.html"

    def _measured(self) -> dict[str, dict[str, Any]]:
        """Single recipes, and variants that have a published value, with what they share with their comparison."""
        found = {}
        for name, content in self.contents.items():
            if "verdict" in content:
                found[name] = content
            for variant, part in content.get("variants", {}).items():
                if part["published"] is not None:
                    found[f"{name}: {variant}"] = content | part
        return found

    def _tables(self) -> list[Table]:
        tables = [self.published(), *self.comparisons(), *self.sweeps()]
        if self.failures:
            tables.append(Table("Without a result", ["recipe", "reason"], list(self.failures.items())))
        return [table for table in tables if table.rows]

    def _picture(self, name: str) -> Path | None:
        path = self.folder / f"{name}.png"
        return path if path.is_file() else None


def _row(name: str, part: dict[str, Any]) -> list[str]:
    paper = "—"
    if part["published"] is not None:
        found = Published(**part["published"])
        details = [found.paper, found.table, found.split]
        details += [f"n = {found.n}"] if found.n else []
        details += [] if found.verified else ["not checked against the paper"]
        spread = "" if found.std is None else f" ± {found.std}"
        paper = f"{f'{found.value}{spread} {found.unit}'.strip()} ({', '.join(filter(None, details))})"
    measured = f"{score(part['mean'], part['std'])} {part['unit']}".strip()
    split = f"{split_title(part['split'])} [{part['split_hash']}]"
    return [name, paper, measured, str(part["n"]), part["verdict"], split, part["date"]]


def _title(content: dict[str, Any]) -> str:
    unit = f" ({content['unit']})" if content["unit"] else ""
    return f"{content['recipe']}: test {content['metric']}{unit}, {content['date']}"


def _image(png: bytes, text: str) -> str:
    return f'<p><img alt="{html.escape(text)}" src="data:image/png;base64,{base64.b64encode(png).decode()}"></p>'
