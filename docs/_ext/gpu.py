"""The directive ``gpu``: how often a step of each layer, aggregation and model waits for a GPU, as measured."""

from __future__ import annotations

import functools
import json

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from results import RESULTS, list_table

HEADER = [
    "",
    "runs on CUDA",
    "waits, known graph",
    "waits, new batch",
    "operations",
    "waits on a known graph",
    "because",
]


def table() -> list[str]:
    """A row per class, with the range over its instances."""
    return list_table(HEADER, ([name, "yes", *_ranges(rows)] for name, rows in measured_on_gpu().items()))


@functools.cache
def measured_on_gpu() -> dict[str, list[dict]]:
    """The counts of each class that runs on a GPU, one per instance."""
    classes: dict[str, list[dict]] = {}
    for name, row in json.loads((RESULTS / "gpu" / "waits.json").read_text())["rows"].items():
        classes.setdefault(name.partition("(")[0], []).append(row)
    return classes


def _ranges(rows: list[dict]) -> list[str]:
    spans = [sorted(row[key] for row in rows) for key in ("known", "new", "operations")]
    places = sorted({place for row in rows for place in row["where"]})
    reasons = sorted({reason for row in rows for reason in row["why"]})
    ranges = [str(span[0]) if span[0] == span[-1] else f"{span[0]} to {span[-1]}" for span in spans]
    return [*ranges, ", ".join(f"``{place}``" for place in places), "; ".join(reasons)]


class Gpu(Directive):
    def run(self) -> list[nodes.Node]:
        parent = nodes.section()
        self.state.nested_parse(StringList(table(), "gpu"), 0, parent)
        return parent.children


def setup(app):
    app.add_directive("gpu", Gpu)
    return {"parallel_read_safe": True}
