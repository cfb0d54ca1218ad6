"""What is known of every method: the table of the first page and the sections of the page ``methods``.

A method is a class of a room with a registry whose docstring names a paper. What is told of it comes from the golden
files and the ``METHODS`` of their adapters, the measured recipes, the measured speed and the scripts of the gallery.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import torch
from docutils import nodes
from docutils.core import publish_doctree
from docutils.parsers.rst import Directive, directives, roles
from docutils.statemachine import StringList
from gallery import Script, key, uses
from gpu import measured_on_gpu
from results import list_table, measured, raw, report
from sphinx.util.nodes import nested_parse_with_titles

import graphkit as gk
from benchmarks.speed.__main__ import registered
from graphkit.core.registry import Registry
from graphkit.recipes import Cell, Recipe
from graphkit.recipes.entries import HEADER, Count, Entry
from graphkit.recipes.files import recipe_files
from graphkit.recipes.tables import Linked, Table, macro
from graphkit.testing.instances import factories
from tests.golden.files import find_adapter, golden_root

# Every room that `import graphkit` offers and that has a registry; of the layers only those that stand alone.
OFFERED = [gk.models, gk.nn.aggr, *(getattr(gk, name) for name in gk.__all__ if name != "nn")]
ROOMS = {room.__name__: room for room in OFFERED if isinstance(getattr(room, "registry", None), Registry)}
NOT_YET = "not yet"


@dataclass
class Method:
    """One method and what is known of it."""

    cls: type
    room: str
    golden: list[tuple[str, int, Any]] = field(default_factory=list)  # folder, number of files, adapter
    recipes: list[Entry] = field(default_factory=list)  # with a published value, or of a single cell
    compared: list[str] = field(default_factory=list)  # recipes without a published value
    speed: list[dict[str, Any]] = field(default_factory=list)
    scripts: list[Script] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.cls.__name__

    @property
    def link(self) -> str:
        return f":class:`~{self.room}.{self.name}`"

    def section(self, text: str) -> str:
        """A link to the method's section."""
        return f":ref:`{text} <method-{self.name.lower()}>`"

    def first_sentence(self) -> str:
        return " ".join((inspect.getdoc(self.cls) or "").split("\n\n")[0].split())

    # The cells of the table ---------------------------------------------------------------------------------------

    def golden_cell(self) -> str:
        counts: dict[str, int] = {}
        for _, count, adapter in self.golden:
            counts[adapter.ORACLE] = counts.get(adapter.ORACLE, 0) + count
        cells = [f"{oracle} ({count})" for oracle, count in counts.items()]
        return self.section(", ".join(cells)) if cells else NOT_YET

    def recipes_cell(self) -> str:
        if counted := Count.of(self.recipes).short():
            return self.section(counted.replace(" confirmed", ""))
        return self.section("compared") if self.compared else NOT_YET

    def speed_cell(self) -> str:
        return self.section(span(row["ratio"] for row in self.speed)) if self.speed else NOT_YET

    def gpu_cell(self) -> str:
        return ":doc:`yes </guide/gpu>`" if self.name in measured_on_gpu() else "—"

    def takes_cell(self) -> str:
        if not (issubclass(self.cls, torch.nn.Module) and self.room == "graphkit.models"):
            return "—"
        fields = {"weights": "edge_weight", "directions": "direction"}
        letters = [word[0] for word, name in fields.items() if reads(self.cls, name) != "no"]
        letters += ["l"] if tasks_of(self.cls)["links"] else []
        return f":ref:`{' '.join(letters)} <what-models-read>`" if letters else "—"

    def gallery_cell(self) -> str:
        return ", ".join(script.link(str(script.number)) for script in self.scripts) or NOT_YET


def files(count: int) -> str:
    return f"{count} file{'s' if count > 1 else ''}"


def span(ratios: Iterable[float]) -> str:
    """The lowest and the highest ratio."""
    ordered = sorted(ratios)
    low, high = (f"{end:.2g}" if end < 10 else f"{end:.0f}" for end in (ordered[0], ordered[-1]))
    return f"{low}x" if low == high else f"{low}x to {high}x"


@functools.cache
def papers(cls: type) -> list[str]:
    """The papers that a class's docstring links to, as links."""
    with patch.dict(directives._directives, clear=True), patch.dict(roles._roles, clear=True):  # Sphinx's need a page
        document = publish_doctree(inspect.getdoc(cls) or "", settings_overrides={"report_level": 5})
    links = [link for link in document.findall(nodes.reference) if "refuri" in link]
    titles = [" ".join(link.astext().split()).strip('"') for link in links]
    return [f"`{title} <{link['refuri']}>`__" for title, link in zip(titles, links)]


@functools.cache
def classes() -> dict[str, tuple[str, type]]:
    """Room and class of all methods by name."""
    return {
        name: (room, cls)
        for room, package in ROOMS.items()
        for name, cls in package.registry.classes().items()
        if cls.__module__.startswith("graphkit.") and papers(cls)
    }


@functools.cache
def methods() -> dict[str, Method]:
    """All methods by name."""
    known = {name: Method(cls, room) for name, (room, cls) in classes().items()}
    for folder, count, adapter in golden_folders():
        for name in adapter.METHODS:
            known[name].golden.append((folder, count, adapter))
    for entry in report().published():
        if (owner := about(recipe(entry.recipe).cells[entry.point, entry.variant])) in known:
            known[owner].recipes.append(entry)
    for owner, name in comparisons():
        if owner in known and name not in known[owner].compared:
            known[owner].compared.append(name)
    benchmarks = registered()
    for row in measured("speed"):
        owner = benchmarks[row["name"]].of
        if owner in known:
            known[owner].speed.append(row)
    for method in known.values():
        method.scripts = uses().get(key(method.cls), [])
    return known


def golden_folders() -> Iterator[tuple[str, int, Any]]:
    """Name, number of files and adapter of each folder of golden files."""
    for folder in sorted(path for path in golden_root().iterdir() if path.is_dir()):
        adapter = find_adapter(folder.name)
        if adapter is not None:
            yield folder.name, len(list(folder.glob("*.npz"))), adapter


def comparisons() -> Iterator[tuple[str, str]]:
    """The recipes that compare variants, with the method of each."""
    for name, result in report().results.items():
        if name in recipe_files() and not result.is_single:  # not those of suites
            for cell in recipe(name).cells.values():
                yield about(cell), name


@functools.cache
def recipe(name: str) -> Recipe:
    return gk.recipes.load(name)


def about(cell: Cell) -> str:
    """What a cell of a recipe is about: its strategy, rewiring, features or learned aggregation, else its model."""
    config = cell.experiment.config
    parts = [part for name, part in config.items() if name != "model" and isinstance(part, dict)]
    chosen = [part["class_path"] for part in parts if "class_path" in part]
    if chosen:
        return chosen[-1].rpartition(".")[2]
    aggregations = {name.removesuffix("Aggregation").lower(): name for name in gk.nn.aggr.registry.classes()}
    for value in config["model"]["init_args"].values():
        if isinstance(value, str) and value in aggregations:
            return aggregations[value]
    return config["model"]["class_path"].rpartition(".")[2]


def table() -> list[str]:
    """A row per method."""
    rows = [
        [m.link, m.golden_cell(), m.recipes_cell(), m.speed_cell(), m.gpu_cell(), m.takes_cell(), m.gallery_cell()]
        for m in methods().values()
    ]
    return list_table(["method", "matches", "reproduces", "speed", "GPU", "takes", "gallery"], rows)


READS = {
    "features": "x",
    "edges": "edge_index",
    "direction": "direction",
    "edge weights": "edge_weight",
    "edge features": "edge_attr",
}


def reads_table() -> list[str]:
    """A row per model: what it reads of a graph, and which tasks it can be trained on."""
    rows = []
    for name, cls in gk.models.registry.classes().items():
        if cls.__module__.startswith("graphkit."):
            tasks = tasks_of(cls)
            does = [reads(cls, field) for field in READS.values()] + ["yes" if tasks[kind] else "no" for kind in tasks]
            rows.append([f":class:`~graphkit.models.{name}`", *does])
    return list_table(["model", *READS, "nodes", "graphs", "links", "sampled", "rankings", "events"], rows)


def reads(cls: type, field: str) -> str:
    """Whether all, no or some of a class's small instances read something; for scores of pairs, the encoder decides."""
    if issubclass(cls, gk.models.PairScorer):
        return "as encoder"
    found = {getattr(make().reads, field) for make in factories(cls).values()} | {getattr(cls.reads, field)}
    return "by arguments" if len(found) > 1 else "yes" if found.pop() else "no"


def tasks_of(cls: type) -> dict[str, bool]:
    """Which tasks a model can be trained on, by what it returns: rows per node, graph or pair, of events or not.

    A ranking is judged by rows of nodes, too.
    """
    of_pairs, of_events = (issubclass(cls, base) for base in (gk.models.PairScorer, gk.models.EventModel))
    of_one_graph = issubclass(cls, gk.models.recommend.NodeEmbeddings)
    of_rankings = of_one_graph or issubclass(cls, gk.models.ItemKNN | gk.models.Popularity)
    readout = inspect.signature(cls).parameters.get("readout")
    of_nodes = not (of_pairs or of_events or of_rankings) and (readout is None or readout.default is None)
    of_classes = issubclass(cls, gk.models.Mowst | gk.models.MowstStar)  # of nodes or, by what experts read out, graphs
    return {
        "nodes": of_nodes,
        "graphs": readout is not None or of_classes,
        "links": (of_nodes and not of_classes) or of_pairs or of_one_graph,
        "sampled": of_nodes or of_pairs,
        "rankings": (of_nodes and not of_classes) or of_rankings,
        "events": of_events,
    }


def sections() -> list[str]:
    """A section per method, below one per room."""
    lines = raw(macro("style"))
    for room in ROOMS:
        lines += [room, "=" * len(room), ""]
        for method in methods().values():
            if method.room == room:
                lines += section(method)
    return lines


def section(method: Method) -> list[str]:
    lines = [f".. _method-{method.name.lower()}:", "", method.name, "-" * len(method.name), ""]
    lines += [f"{method.link}: {method.first_sentence()}", "", f"Paper: {'; '.join(papers(method.cls))}", ""]
    lines += [f"Golden files: {'' if method.golden else NOT_YET}", ""]
    for folder, count, adapter in method.golden:
        lines += [f"- ``{folder}``: {files(count)}, {adapter.ORACLE}. {adapter.__doc__.strip().splitlines()[0]}"]
    lines += ["", f"Published values: {'' if method.recipes else NOT_YET}", ""]
    if method.recipes:
        entries = sorted(method.recipes, key=lambda entry: entry.order)
        rows = [[Linked(f"{entry.method}/{entry.name}", entry.url), *entry.row()[1:]] for entry in entries]
        lines += [str(Count.of(method.recipes)), "", *raw(Table(method.name, HEADER, rows).html())]
    if method.compared:
        names = ", ".join(f"``{name}``" for name in method.compared)
        lines += [f"Compared with others, without a published value: {names} (:doc:`/results`)", ""]
    lines += [f"Speed: {'' if method.speed else NOT_YET}", ""]
    if method.speed:
        rows = [[row["what"], row["against"], f"{row['ratio']:.2f}x"] for row in method.speed]
        lines += [*list_table(["what", "against", "ratio"], rows), ""]
    lines += [f"Gallery: {', '.join(script.link() for script in method.scripts) or NOT_YET}", ""]
    return lines


class Methods(Directive):
    """``.. methods::`` is the table, ``.. methods:: reads`` what models read, ``.. methods:: sections`` sections."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        self.state.document.settings.env.note_reread()  # what it tells of may have changed since the last build
        lines = {"reads": reads_table, "sections": sections}.get("".join(self.arguments), table)()
        container = nodes.section()
        container.document = self.state.document
        nested_parse_with_titles(self.state, StringList(lines, source="generated"), container)
        return container.children


def setup(app: Any) -> dict[str, bool]:
    classes()  # before Sphinx puts roles of its own in docutils' place
    app.add_directive("methods", Methods)
    return {"parallel_read_safe": True}
