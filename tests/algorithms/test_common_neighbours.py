"""Neighbours of pairs of nodes against networkx and sets."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch

from graphkit.algorithms import common_neighbours, distinct_pairs, joint_neighbours, neighbourhoods
from graphkit.ops import sparsity_pattern


def directed(graph: nx.Graph) -> torch.Tensor:
    """Each edge once, in whatever direction."""
    return torch.tensor(list(graph.edges), dtype=torch.long).view(-1, 2).t().contiguous()


def random_pairs(n: int, count: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(n, (2, count), generator=torch.Generator().manual_seed(seed))


def rows(pattern) -> list[list[int]]:
    return [part.tolist() for part in pattern.col.split(pattern.in_degree.tolist())]


GRAPHS = {
    "hubs": nx.barabasi_albert_graph(60, 4, seed=0),
    "sparse, with isolated nodes": nx.gnm_random_graph(40, 25, seed=1),
    "dense": nx.gnp_random_graph(25, 0.6, seed=2),
    "complete": nx.complete_graph(8),
    "no edges": nx.empty_graph(5),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_common_neighbours_are_networkxs(name):
    graph = GRAPHS[name]
    pairs = random_pairs(len(graph), 200)  # with equal and with joined nodes
    result = common_neighbours(directed(graph), pairs, len(graph))
    assert result.shape == (200, len(graph))
    expected = [sorted(set(graph[i]) & set(graph[j])) for i, j in pairs.t().tolist()]
    assert rows(result) == expected
    apart = [(i, j) for i, j in pairs.t().tolist() if i != j]
    assert [len(list(nx.common_neighbors(graph, i, j))) for i, j in apart] == [
        len(near) for near, (i, j) in zip(expected, pairs.t().tolist()) if i != j
    ]


@pytest.mark.parametrize("name", GRAPHS)
def test_joint_neighbours_say_whose_they_are(name):
    graph = GRAPHS[name]
    pairs = random_pairs(len(graph), 200, seed=1)
    result, side = joint_neighbours(directed(graph), pairs, len(graph))
    sides = [part.tolist() for part in side.split(result.in_degree.tolist())]
    for near, whose, (i, j) in zip(rows(result), sides, pairs.t().tolist(), strict=True):
        assert near == sorted(set(graph[i]) | set(graph[j]))
        assert whose == [0 if u in graph[i] and u in graph[j] else 1 if u in graph[i] else 2 for u in near]


def test_the_order_of_pairs_and_of_their_nodes_does_not_matter():
    graph = GRAPHS["hubs"]
    edge_index, pairs = directed(graph), random_pairs(60, 300)
    expected = rows(common_neighbours(edge_index, pairs, 60))
    order = torch.randperm(300, generator=torch.Generator().manual_seed(3))
    assert rows(common_neighbours(edge_index, pairs[:, order].flip(0), 60)) == [expected[p] for p in order]
    halves = pairs.split(150, dim=1)
    assert [row for half in halves for row in rows(common_neighbours(edge_index, half, 60))] == expected


@pytest.mark.parametrize("name", GRAPHS)
def test_distinct_pairs(name):
    graph = GRAPHS[name]
    n = len(graph)
    pairs = random_pairs(n, 500, seed=2)
    result, which = distinct_pairs(directed(graph), pairs, n)
    assert torch.equal(result[:, which].sort(0).values, pairs.sort(0).values)
    assert result.size(1) == len({tuple(sorted(pair)) for pair in pairs.t().tolist()})
    degree = torch.tensor([len(graph[i]) for i in range(n)])
    assert (degree[result[0]] >= degree[result[1]]).all()
    assert result[0].unique_consecutive().numel() == result[0].unique().numel()  # grouped


def test_neighbourhoods_are_simple_and_symmetric():
    edge_index = torch.tensor([[0, 0, 1, 3, 2, 2], [1, 1, 0, 3, 0, 4]])
    dense = np.zeros((6, 6), dtype=int)
    dense[edge_index[0], edge_index[1]] = 1
    result = neighbourhoods(edge_index, 6)
    assert rows(result) == [np.flatnonzero(row).tolist() for row in dense | dense.T]
    assert neighbourhoods(edge_index, 6) is result
    both = torch.tensor([[0, 1], [1, 0]])
    assert neighbourhoods(both, 2) is sparsity_pattern(both, 2), "nothing is made where nothing has to be"


def test_no_pairs():
    none = torch.empty(2, 0, dtype=torch.long)
    assert common_neighbours(torch.tensor([[0], [1]]), none, 3).shape == (0, 3)
    result, side = joint_neighbours(torch.tensor([[0], [1]]), none, 3)
    assert result.shape == (0, 3)
    assert side.numel() == 0
    assert distinct_pairs(torch.tensor([[0], [1]]), none, 3)[0].shape == (2, 0)


@pytest.mark.parametrize("function", [common_neighbours, joint_neighbours, distinct_pairs])
def test_bad_ids(function):
    edge_index, pairs = torch.tensor([[0], [1]]), torch.tensor([[0], [2]])
    with pytest.raises(IndexError, match=f"{function.__name__}: pairs: edge_index names target node 2, but there"):
        function(edge_index, pairs, 2)
    with pytest.raises(TypeError, match="must be integers"):
        function(edge_index, pairs.float(), 3)
    with pytest.raises(IndexError, match="names target node 1"):
        function(edge_index, pairs[:, :0], 1)
