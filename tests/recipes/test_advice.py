"""Advice comes from what was measured on similar datasets, and says so."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch_geometric.data import Data

import graphkit as gk
from graphkit.core.resources import shipped
from graphkit.recipes.advice import EVIDENCE, _advice, profile
from graphkit.recipes.files import recipe_files
from tests import tiny


def dataset(task: Any, title: str, shift: float, *scores: tuple[str, float]) -> dict[str, Any]:
    measures = {name: value + shift for name, value in profile(task).items()}
    rows = [
        {"model": model, "variant": "", "recipe": f"{model}/{title}", "mean": mean, "half_width": 0.5, "n": 5}
        for model, mean in scores
    ]
    return {"title": title, "kind": type(task).__name__, "unit": "%", "profile": measures, "methods": rows}


def test_near_datasets_weigh_more_and_far_ones_do_not_count() -> None:
    task = gk.load("karate")
    near = dataset(task, "near", 0.1, ("GCN", 80.0), ("MLP", 79.5), ("GAT", 60.0))
    middle = dataset(task, "middle", 1.0, ("MLP", 90.0), ("GCN", 70.0), ("SGC", 10.0))
    far = dataset(task, "far", 9.0, ("DRew", 90.0), ("GCN", 10.0))
    other = {**near, "kind": "GraphTask", "title": "of graphs"}
    advice = _advice(task, [far, other, middle, near], 2)
    assert [one.title for one in advice.datasets] == ["near", "middle"]
    assert [name for name, _ in advice.shortlist] == ["GCN", "MLP", "GAT", "SGC"]
    assert advice.shortlist[0] == ("GCN", "GCN/near")
    text = repr(advice)
    assert "near: 2 of 3 (79.50 ± 0.50 (95 %) %, n 5, not apart from the first)" in text
    assert "middle: 2 of 3 (70.00 ± 0.50 (95 %) %, n 5)" in text
    assert "How sure:" in text


def test_labels_of_the_test_part_are_not_looked_at() -> None:
    task = gk.load("minesweeper")
    task.split = gk.Split("less", task.split.train, task.split.val, task.split.test[:1])
    before = profile(task)
    task.labels[gk.load("minesweeper").split.test] = 1
    assert profile(task) == before


def test_what_no_edge_between_labelled_nodes_tells_is_left_out() -> None:
    data = Data(torch.ones(6, 1), torch.tensor([[0, 1], [2, 2]]), y=torch.tensor([0, 1, -1, 0, 1, 0]))
    split = gk.Split("lonely", torch.tensor([0, 1]), torch.tensor([3, 4]), torch.tensor([5]))
    assert set(profile(gk.NodeTask("lonely", data, split))) == {"nodes", "edges per node", "features", "graphs"}


def test_no_evidence_no_advice() -> None:
    with pytest.raises(ValueError, match="no methods were compared on any GraphTask"):
        _advice(tiny.task("graph regression"), [], 3)


def test_the_evidence_names_recipes_that_are_there() -> None:
    evidence = json.loads((shipped("recipes") / EVIDENCE).read_text())["datasets"]
    assert {row["kind"] for row in evidence} >= {"NodeTask", "GraphTask"}
    assert {row["recipe"] for one in evidence for row in one["methods"]} <= set(recipe_files())
