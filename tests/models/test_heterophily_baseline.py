"""What of the heterophilous baselines the golden files and common checks do not see."""

from __future__ import annotations

import pytest

import graphkit as gk


def test_rows_of_the_adjacency_matrix_are_of_one_graph():
    task = gk.load("karate")
    model = gk.models.HeterophilyBaseline.from_task(task, hidden_channels=8, module="adj")
    assert model(task.data).shape == (34, 4)
    with pytest.raises(ValueError, match="module='adj' has weights for 34 nodes of one graph, but this one has 30"):
        model(task.data.subgraph(task.data.y.new_tensor(range(30))))


def test_heads_are_of_modules_that_have_them():
    with pytest.raises(ValueError, match="heads=4, but module='GCN' has none; use GAT, GAT-sep, GT, GT-sep"):
        gk.models.HeterophilyBaseline(5, 8, heads=4)
    usual, given = (gk.models.HeterophilyBaseline(5, 8, module="GAT", heads=heads) for heads in (None, 8))
    assert str(usual.layers) == str(given.layers)
