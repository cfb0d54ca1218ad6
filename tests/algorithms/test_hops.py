"""Hop pairs against networkx, and what is refused."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphkit.algorithms import hop_pairs


@st.composite
def graphs(draw):
    n = draw(st.integers(1, 14))
    node = st.integers(0, n - 1)
    edges = draw(st.lists(st.tuples(node, node), max_size=30))
    if draw(st.booleans()):
        edges = edges + [edge[::-1] for edge in edges]
    return n, torch.tensor(edges, dtype=torch.long).view(-1, 2).t()


@settings(max_examples=200, deadline=None)
@given(graphs(), st.integers(1, 8))
def test_pairs_are_those_of_networkx(graph, max_hop):
    n, edge_index = graph
    reference = nx.MultiDiGraph()
    reference.add_nodes_from(range(n))
    reference.add_edges_from(edge_index.t().tolist())
    expected = [
        (target, source, length)
        for source, lengths in nx.all_pairs_shortest_path_length(reference, cutoff=max_hop)
        for target, length in lengths.items()
        if length > 0
    ]
    pairs, distance = hop_pairs(edge_index, n, max_hop)
    assert list(zip(pairs[1].tolist(), pairs[0].tolist(), distance.tolist())) == sorted(expected)


def test_a_batch_is_one_graph_with_several_components():
    path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    pairs, distance = hop_pairs(torch.cat([path, path + 3], dim=1), 6, 5)
    single, alone = hop_pairs(path, 3, 5)
    assert torch.equal(pairs, torch.cat([single, single + 3], dim=1))
    assert torch.equal(distance, torch.cat([alone, alone]))


def test_long_distances_need_more_than_a_byte():
    nodes = torch.arange(400)
    pairs, distance = hop_pairs(torch.stack([nodes[:-1], nodes[1:]]), 400, 399)
    assert distance.dtype == torch.int16
    assert distance.max() == 399
    assert hop_pairs(torch.stack([nodes[:-1], nodes[1:]]), 400, 255)[1].max() == 255
    assert torch.equal(distance.long(), (pairs[1] - pairs[0]).long())


def test_too_many_pairs_are_counted_before_memory_is_taken():
    clique = torch.combinations(torch.arange(40)).t()
    clique = torch.cat([clique, clique.flip(0)], dim=1)
    assert hop_pairs(clique, 40, 1, max_pairs=40 * 39)[1].numel() == 40 * 39
    with pytest.raises(ValueError, match=r"about 1,560 pairs up to 1 hops apart, more than max_pairs=1,559"):
        hop_pairs(clique, 40, 1, max_pairs=40 * 39 - 1)
    with pytest.raises(ValueError, match=r"about 1,560 pairs .* more than max_pairs=100"):  # extrapolated from 3 nodes
        hop_pairs(clique, 40, 1, max_pairs=100)


@pytest.mark.parametrize(
    ("edges", "hops", "error", "message"),
    [
        ([[0], [1]], 0, ValueError, r"max_hop=0, must be in \[1, 32768\)"),
        ([[0], [3]], 1, IndexError, "names target node 3, but there are 3"),
        ([[0.0], [1.0]], 1, TypeError, "node ids must be integers"),
        ([[False], [True]], 1, TypeError, "torch.bool, but node ids must be integers of 32 or 64 bits"),
        ([[0, 1], [1, 2], [2, 0]], 1, ValueError, "expected"),
    ],
)
def test_bad_input_is_named(edges, hops, error, message):
    with pytest.raises(error, match=message):
        hop_pairs(torch.tensor(edges), 3, hops)
