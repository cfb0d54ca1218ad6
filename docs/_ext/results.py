"""Two directives whose tables are read from files: ``results`` (measured JSON) and ``datasets`` (cards)."""

from __future__ import annotations

import functools
import json
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.util.nodes import nested_parse_with_titles

from graphkit.core.resources import shipped
from graphkit.recipes.report import Report, Section
from graphkit.recipes.tables import macro

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
PICTURES = Path(__file__).parents[1] / "auto_gallery" / "results"
FIRST_PICTURE = Path(__file__).parents[1] / "published.svg"  # kept with the sources: README shows it, too


def list_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [".. list-table::", "   :header-rows: 1", "   :class: compact", ""]
    for row in [header, *rows]:
        lines += [f"   {'*' if column == 0 else ' '} - {cell}" for column, cell in enumerate(row)]
    return lines


def measured(kind: str) -> list[dict]:
    """The files of one folder of results."""
    return [json.loads(path.read_text()) for path in sorted((RESULTS / kind).glob("*.json"))]


@functools.cache
def report() -> Report:
    """All results; links to recipes lead to copies beside the pages."""
    return replace(Report.of(RESULTS), recipes="recipes")


def raw(html: str) -> list[str]:
    """HTML as it is."""
    return [".. raw:: html", "", *(f"   {line}" for line in html.splitlines()), ""]


def sections(parts: Sequence[Section]) -> list[str]:
    """Each part of the report below a title of its own."""
    lines = raw(macro("style"))
    for part in parts:
        title = part.title.partition(":")[0]
        lines += [title, "~" * len(title), "", *raw(f"<p>{escape(part.text)}</p>")]
        for name in pictures(part):
            lines += [f".. image:: /auto_gallery/results/{name}", f"   :alt: {part.title}", "   :width: 100%", ""]
        lines += raw(part.table.html())
        lines += raw(macro("hidden", part.details)) if part.details else []
    return lines


def pictures(part: Section) -> list[str]:
    """Draws a part's pictures where the pages find them; their names."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    names = []
    for i, png in enumerate(part.pngs()):
        names.append(re.sub(r"\W+", "-", part.title.partition(":")[0]) + f"-{i}.png")
        (PICTURES / names[-1]).write_bytes(png)
    return names


def speed_table() -> list[str]:
    rows = [
        [
            content["what"],
            content["against"],
            f"{1e3 * content['ours_seconds']:.1f} / {1e3 * content['opponent_seconds']:.1f} ms",
            f"{content['ratio']:.2f}x",
            "—" if content["goal"] is None else f"{content['goal']:g}x",
            f"{content['library_ratio']:.2f}x {content['library']}" if "library" in content else "—",
            megabytes(content),
            content["processor"],
        ]
        for content in measured("speed")
    ]
    header = ["what", "against", "ours / opponent", "ratio", "goal", "against a library", "memory", "processor"]
    return list_table(header, rows) if rows else []


def compiled_table() -> list[str]:
    """Epochs of compiled trainings, what compiling them costs, and when that has paid."""
    rows = []
    for content in measured("speed"):
        if "compile_seconds" in content:
            gain = (content["opponent_seconds"] - content["ours_seconds"]) / content["epochs"]
            after = f"{content['compile_seconds'] / gain:,.0f} epochs" if gain > 0 else "never"
            ratio, seconds = f"{content['ratio']:.2f}x", f"{content['compile_seconds']:.0f} s"
            rows.append([content["what"], ratio, seconds, after, content["processor"]])
    header = ["what", "ratio", "compiling", "has paid after", "processor, one thread"]
    return list_table(header, rows) if rows else []


def megabytes(content: dict[str, Any]) -> str:
    """What a run takes, ours and the opponent's, where it was measured."""
    if "ours_megabytes" not in content:
        return "—"
    return f"{content['ours_megabytes']:.0f} / {content['opponent_megabytes']:.0f} MB"


def memory_tables() -> list[str]:
    lines = []
    for content in measured("memory"):
        depths = list(next(iter(content["by depth"].values())))
        rows = [[name, *(f"{peaks[depth]:.0f}" for depth in depths)] for name, peaks in content["by depth"].items()]
        lines += [f"{content['what']}: {content['unit']}", ""]
        lines += [*list_table(["number of layers", *depths], rows), ""]
    return lines


# Of each kind of file in results/scale: what was done, what was measured, the memory that it took.
SECONDS = ("{what}", "{seconds:.0f} s", "{megabytes:,.0f} MB")
SCALE = {
    "deepwalk": SECONDS,
    "events": (
        "TGN trains on {what}",
        "",
        "{held[TGN][0]:,.0f} MiB after the first epoch, {held[TGN][3]:,.0f} after the last",
    ),
    "fastrp": SECONDS,
    "mapped": (
        "GCN on subgraphs of a graph of {nodes:,} nodes and {edges:,} edges, from files / memory",
        "{mapped[later_epochs]:,.0f} / {in_memory[later_epochs]:,.0f} roots per second",
        "{mapped[peak_gib]:.1f} / {in_memory[peak_gib]:.1f} GiB",
    ),
    "netmf": SECONDS,
    "processes": (
        "GCN on subgraphs of a mapped graph, by one process / {processes} processes of a thread each",
        "{roots_per_second[one]:,.0f} / {roots_per_second[several]:,.0f} roots per second",
        "",
    ),
}


def scale_table() -> list[str]:
    rows = []
    for path in sorted((RESULTS / "scale").glob("*.json")):
        content = json.loads(path.read_text())
        cells = [cell.format_map(content) or "—" for cell in SCALE[path.stem]]
        rows.append([*cells, content["processor"], f"``{content['command']}``"])
    return list_table(["what", "measured", "memory", "processor", "command"], rows) if rows else []


def routing_table() -> list[str]:
    header = ["graphs", "nodes", "policy", "delivery", "near shortest", "stretch"]
    rows = [
        [row["family"], str(row["nodes"]), row["policy"], *(f"{row[name]:.3f}" for name in header[3:])]
        for content in measured("routing")
        for row in content["rows"]
    ]
    return list_table(header, rows) if rows else []


def hypernetworks_table() -> list[str]:
    names = ["random", "predicted", "random, trained", "predicted, trained"]
    rows = [
        [row["networks"], row["unseen"], *(f"{row[name]:.1f}" for name in names)]
        for content in measured("hypernetworks")
        for row in content["rows"]
    ]
    return list_table(["networks", "unseen", *names], rows) if rows else []


def leaderboard_table() -> list[str]:
    header = ["dataset", "method", "test", "valid", "metric", "parameters", "seeds", "hardware", "command"]
    rows = [
        [*(str(scores[key]) for key in ("dataset", "method", "test", "val", *header[4:-1])), f"``{scores['command']}``"]
        for scores in measured("ogb")
    ]
    return list_table(header, rows) if rows else []


def expressivity_tables() -> list[str]:
    """All suites, then BREC in the paper's categories with the published counts, then the commands and charts."""
    from graphkit.expressivity.published import BREC, COLUMNS, SOURCE

    suites, brec, commands = {}, {}, []
    for path in sorted((RESULTS / "expressivity").glob("*.json")):
        result = json.loads(path.read_text())
        if (name := result.get("expressivity")) is None:  # a recipe's
            continue
        suites[name] = {suite: [part] for suite, part in result["suites"].items()}
        if "brec" in result["suites"]:
            parts = result["suites"]["brec"]["categories"]
            brec[name] = {column: [parts[part] for part in names] for column, names in COLUMNS.items()}
            brec[name]["total"] = list(parts.values())
        commands += [f"``{result['command']}``", ""]
        commands += [f".. image:: /../benchmarks/results/expressivity/{path.stem}.png", f"   :alt: {name}", ""]
    published = [[f"{name}, published", *map(str, counts), str(sum(counts))] for name, counts in BREC.items()]
    lines = told_apart(suites) if suites else []
    if brec:
        lines += [f"BREC by category; published counts are those of {SOURCE}.", "", *told_apart(brec, published)]
    return lines + commands


def told_apart(results: dict[str, dict[str, list[dict]]], further: Sequence[Sequence[str]] = ()) -> list[str]:
    """By name and column the parts of results that belong there; a row per name, then one per exact algorithm."""
    from graphkit.expressivity import BOUNDS
    from graphkit.expressivity.result import share

    columns = {column: parts for row in results.values() for column, parts in row.items()}
    pairs = {column: sum(part["pairs"] for part in parts) for column, parts in columns.items()}

    def cell(parts: list[dict], told: Iterable[int], lacking: Iterable[int]) -> str:
        total = sum(part["pairs"] for part in parts)
        return share(sum(told), total - sum(lacking), total)

    rows = []
    for name, row in results.items():
        cells = [(parts, [p["separated"] for p in parts], [p["refused"] for p in parts]) for parts in row.values()]
        shown = dict(zip(row, (cell(*counts) for counts in cells)))
        rows.append([name, *(shown.get(column, "—") for column in columns)])
    for bound in BOUNDS:
        cells = [(p, [q["exact"][bound] for q in p], [q["not computed"][bound] for q in p]) for p in columns.values()]
        rows.append([f"*{bound}*", *(cell(*counts) for counts in cells)])
    return [*list_table(["", *(f"{column} ({count})" for column, count in pairs.items())], [*rows, *further]), ""]


def dataset_table() -> list[str]:
    from graphkit.datasets import cards

    rows = []
    for name, card in sorted(cards().items()):
        size = ", ".join(f"{count:,} {what}" for what, count in card.expect.items())
        families = ", ".join(family.name for family in card.splits)
        rows.append([f"``{name}``", card.title, card.kind, card.metric or "—", size or "—", families or "—"])
    return list_table(["name", "what", "kind", "metric", "size", "splits"], rows)


class Generated(Directive):
    """Parses the lines that a function makes; says so when there is nothing yet."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        makers = {
            "summary": lambda: [report().summary()],
            "recipes": lambda: sections(report().methods()),
            "costs": lambda: sections(report().costs()),
            "comparisons": lambda: sections(report().comparisons()),
            "sweeps": lambda: sections(report().sweeps()),
            "hypernetworks": hypernetworks_table,
            "routing": routing_table,
            "scale": scale_table,
            "speed": speed_table,
            "compiled": compiled_table,
            "memory": memory_tables,
            "leaderboards": leaderboard_table,
            "expressivity": expressivity_tables,
            None: dataset_table,
        }
        self.state.document.settings.env.note_reread()  # what it tells of may have changed since the last build
        lines = makers[self.arguments[0] if self.arguments else None]() or ["*Nothing measured yet.*"]
        container = nodes.section()
        container.document = self.state.document
        nested_parse_with_titles(self.state, StringList(lines, source="generated"), container)
        return container.children


def draw_first_picture(app):
    """The picture of the first page and of the README, the same file for the same results."""
    from matplotlib import rc_context

    with rc_context({"svg.hashsalt": "graphkit"}):
        report().plot().savefig(FIRST_PICTURE, metadata={"Date": None})


def copy_recipes(app, error):
    """Put the recipes where the tables' links lead."""
    if error is None and app.builder.format == "html":
        shutil.copytree(shipped("recipes"), Path(app.outdir) / "recipes", dirs_exist_ok=True)


def setup(app):
    app.add_directive("results", Generated)
    app.add_directive("datasets", Generated)
    app.connect("builder-inited", draw_first_picture)
    app.connect("build-finished", copy_recipes)
    return {"parallel_read_safe": True}
