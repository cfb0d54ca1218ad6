"""Colours as features: the same for equal colours of any two graphs, apart for others."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from graphkit.algorithms import colour_hashes
from graphkit.datasets import load_graphs
from graphkit.datasets.generators.expressive import csl_edges
from graphkit.diagnostics import separation
from graphkit.models import GIN
from graphkit.testing import random_graph
from graphkit.transforms.features import KLWL


def ring(skip):
    return Data(x=torch.ones(13, 1), edge_index=csl_edges(13, skip))


def test_signs_are_the_bits_of_the_hash():
    graph = random_graph(9, 30)
    hashes = colour_hashes(graph, 1, 1, iterations=3, node_attr="x")[0].tolist()
    signs = KLWL(channels=64, node_attr="x")(graph).x[:, 5:]
    for value, row in zip(hashes, signs.tolist(), strict=True):
        assert row == [1.0 if value >> bit & 1 else -1.0 for bit in range(64)]
    assert torch.equal(KLWL(channels=10, node_attr="x")(graph).x[:, 5:], signs[:, :10])
    longer = KLWL(channels=200, node_attr="x")(graph).x[:, 5:]
    assert torch.equal(longer[:, :64], signs)
    blocks = longer[:, :192].view(9, 3, 64)
    similar = (blocks[:, :, None] * blocks[:, None]).mean(-1)[:, [0, 0, 1], [1, 2, 2]]
    assert similar.abs().max() < 0.6, "further bits repeat the first"


def test_buckets():
    graph = random_graph(9, 30)
    hashes = [value % 2**64 for value in colour_hashes(graph, 1, 1, iterations=3)[0].tolist()]
    x = KLWL(channels=7, code="one_hot")(graph).x[:, 5:]
    assert x.argmax(1).tolist() == [value % 7 for value in hashes]
    assert torch.equal(x.sum(1), torch.ones(9, dtype=x.dtype))


@pytest.mark.parametrize("whole", [False, True])
def test_any_network_tells_apart_what_the_test_does(whole):
    """Features of one graph do not depend on others, so they are made one graph at a time."""
    torch.manual_seed(0)
    for graphs, l, apart in (([ring(2), ring(3)], 1, 1), (load_graphs("sr16"), 1, 0), (load_graphs("sr16"), 2, 1)):  # noqa: E741
        plain = separation(GIN(1, 8, readout="sum").double(), graphs)
        assert plain.separated == 0
        coloured = [KLWL(l=l, whole=whole)(graph) for graph in graphs]
        assert separation(GIN(17, 8, readout="sum").double(), coloured).separated == apart
        if whole:
            assert all((graph.x == graph.x[0]).all() for graph in coloured)


def test_graphs_without_features_and_sparse_ones():
    bare = Data(edge_index=ring(2).edge_index, num_nodes=13)
    assert torch.equal(KLWL()(bare).x, KLWL()(ring(2)).x[:, 1:])
    sparse = Data(x=torch.eye(13).to_sparse_csr(), edge_index=bare.edge_index)
    with pytest.raises(ValueError, match="KLWL: x is sparse; add features before SparseFeatures"):
        KLWL()(sparse)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 2}, "2-WL has two meanings"),
        ({"channels": 0}, "KLWL: channels=0, must be at least 1"),
        ({"code": "signed"}, "KLWL: code='signed', did you mean 'signs'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        KLWL(**arguments)
