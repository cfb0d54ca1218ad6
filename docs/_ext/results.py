"""Two directives whose tables are read from files: ``results`` (measured JSON) and ``datasets`` (cards)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


def list_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in [header, *rows]:
        lines += [f"   {'*' if column == 0 else ' '} - {cell}" for column, cell in enumerate(row)]
    return lines


def measured(kind: str) -> list[dict]:
    """All result files of one kind: recipes carry a verdict, speed files do not."""
    found = [json.loads(path.read_text()) for path in sorted(RESULTS.rglob("*.json"))]
    return [content for content in found if ("verdict" in content) == (kind == "recipes")]


def recipe_row(result: dict) -> list[str]:
    published = result.get("published") or {}
    paper = "—"
    if published.get("value") is not None:
        deviation = f" ± {published['std']}" if published.get("std") is not None else ""
        where = ", ".join(str(published[key]) for key in ("paper", "table") if published.get(key))
        paper = f"{published['value']}{deviation} ({where})" if where else f"{published['value']}{deviation}"
    deviation = f" ± {result['std']:.2f}" if result.get("std") is not None else ""
    return [
        f"``{result['recipe']}``",
        paper,
        f"{result['mean']:.2f}{deviation}",
        str(result["n"]),
        str(result["verdict"]),
        f"{result['split']} [{result['split_hash']}]",
    ]


def recipe_table() -> list[str]:
    rows = [recipe_row(result) for result in measured("recipes")]
    return list_table(["recipe", "published", "measured", "n", "verdict", "split"], rows) if rows else []


def speed_table() -> list[str]:
    rows = [
        [
            content["what"],
            content["against"],
            f"{1e3 * content['ours_seconds']:.1f} / {1e3 * content['opponent_seconds']:.1f} ms",
            f"{content['ratio']:.2f}x",
            "—" if content["goal"] is None else f"{content['goal']:g}x",
            content["processor"],
        ]
        for content in measured("speed")
    ]
    header = ["what", "against", "ours / opponent", "ratio", "goal", "processor, one thread"]
    return list_table(header, rows) if rows else []


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
        tables = {"recipes": recipe_table, "speed": speed_table, None: dataset_table}
        lines = tables[self.arguments[0] if self.arguments else None]() or ["*Nothing measured yet.*"]
        container = nodes.container()
        self.state.nested_parse(StringList(lines, source="generated"), self.content_offset, container)
        return container.children


def setup(app):
    app.add_directive("results", Generated)
    app.add_directive("datasets", Generated)
    return {"parallel_read_safe": True}
