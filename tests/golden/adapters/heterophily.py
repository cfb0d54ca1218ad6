"""Heterophily: the closed-form metrics."""

from __future__ import annotations

import pytest
import torch

from graphkit import diagnostics
from tests.golden.files import GoldenFile

METHODS = ()
ORACLE = "independent computation"

TOLERANCE = 1e-9


def check(file: GoldenFile) -> None:
    if "edge_u" not in file:
        pytest.skip("a model of another method")
    edge_index = torch.stack([file.tensor("edge_u"), file.tensor("edge_v")]).long()
    y = file.tensor("y").long()
    assert y.numel() == file.scalar("num_nodes")
    node = diagnostics.node_homophily
    measured = {
        "edge_homophily": diagnostics.edge_homophily(edge_index, y),
        "node_homophily_nonisolated": node(edge_index, y),
        "node_homophily_isolated_as_zero": node(edge_index, y, isolated_as_zero=True),
        "class_insensitive_homophily": diagnostics.class_insensitive_homophily(edge_index, y),
        "adjusted_homophily": diagnostics.adjusted_homophily(edge_index, y),
        "label_informativeness": diagnostics.label_informativeness(edge_index, y),
        "ccns": diagnostics.cross_class_similarity(edge_index, y),
    }
    for key, value in measured.items():
        file.assert_close(key, torch.as_tensor(value, dtype=torch.float64), TOLERANCE)
