"""What type checkers know of gk.load."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from graphkit.datasets import cards, names

ROOT = Path(__file__).parents[2]
SNIPPET = """
import graphkit as gk

node, graph, link = gk.load("cora"), gk.load("zinc", split=0), gk.load("karate-links")
reveal_type(node)
reveal_type(graph)
reveal_type(link.split)
reveal_type(gk.load(input()))
node.data, graph.graphs
graph.data
"""


@pytest.mark.parametrize("kind", ["node", "graph", "link", "event", "ranking"])
def test_the_names_are_those_of_the_cards(kind):
    listed = get_args(getattr(names, kind.title()))
    assert sorted(listed) == sorted(name for name, card in cards().items() if card.kind == kind)


def test_a_type_checker_knows_the_kind_of_task_by_the_name(tmp_path):
    api = pytest.importorskip("mypy.api")
    snippet = tmp_path / "snippet.py"
    snippet.write_text(SNIPPET)
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
    told, _, code = api.run([*options, str(snippet)])
    kinds = ["node.NodeTask", "graph.GraphTask", "link_split.LinkSplit", "base.Task"]
    assert [line.rpartition(": note: ")[2] for line in told.splitlines() if "note: Revealed" in line] == [
        f'Revealed type is "graphkit.tasks.{kind}"' for kind in kinds
    ]
    assert [line.rpartition(" error: ")[2] for line in told.splitlines() if " error: " in line] == [
        '"GraphTask" has no attribute "data"  [attr-defined]'
    ]
    assert code == 1
