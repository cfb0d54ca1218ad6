"""Enumerated paths against networkx and against what they promise."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data

from graphkit.algorithms import enumerate_paths
from graphkit.algorithms.paths.enumeration import PATHS

KINDS = pytest.mark.parametrize("kind", PATHS)


@st.composite
def graphs(draw):
    """Numbers of nodes and edges; isolated nodes, self-loops and repeated edges come by themselves."""
    n = draw(st.integers(1, 9))
    pairs = draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=20))
    edge_index = torch.tensor(pairs, dtype=torch.long).view(-1, 2).t()
    if draw(st.booleans()):
        edge_index = torch.cat([edge_index, edge_index.flip(0)], dim=1)
    return edge_index, n


def expected(edge_index, n, length, kind):
    """Paths by length, as tuples from where they end to where they begin."""
    graph = nx.DiGraph()
    graph.add_nodes_from(range(n))
    graph.add_edges_from(edge_index.t().tolist())
    graph.remove_edges_from(list(nx.selfloop_edges(graph)))
    by_length = {k: set() for k in range(1, length + 1)}
    for begin in range(n):
        for end in range(n):
            if begin == end or not nx.has_path(graph, begin, end):
                continue
            if kind == "simple":
                paths = list(nx.all_simple_paths(graph, begin, end, cutoff=length))
            else:
                paths = list(nx.all_shortest_paths(graph, begin, end))
            if kind == "shortest":
                paths = [min(paths, key=lambda path: path if begin < end else path[::-1])]
            for path in paths:
                if len(path) - 1 <= length:
                    by_length[len(path) - 1].add(tuple(path[::-1]))
    return by_length, graph


@KINDS
@given(graphs(), st.integers(1, 5))
@settings(deadline=None, max_examples=60)
def test_paths_are_those_of_networkx(kind, graph, length):
    edge_index, n = graph
    wanted, network = expected(edge_index, n, length, kind)
    sets = enumerate_paths(edge_index, n, length, kind)
    assert len(sets) == length
    for k, paths in enumerate(sets, 1):
        rows = [tuple(row) for row in paths.nodes.t().tolist()]
        assert len(set(rows)) == len(rows)
        assert set(rows) == wanted[k]
        assert [row[0] for row in rows] == sorted(row[0] for row in rows)
        if kind != "simple":
            assert paths.distances is None
            continue
        for row, distances in zip(rows, paths.distances.tolist(), strict=True):
            to_end = nx.single_target_shortest_path_length(network, row[0])
            assert distances == [dict(to_end)[node] for node in row]


@KINDS
def test_a_batch_has_the_paths_of_its_graphs_in_any_number_of_threads(kind):
    generator = torch.Generator().manual_seed(0)
    parts = []
    for n in torch.randint(1, 12, (80,), generator=generator).tolist():
        edges = torch.randint(n, (2, 2 * n), generator=generator)
        parts.append(Data(edge_index=torch.cat([edges, edges.flip(0)], dim=1), num_nodes=n))
    batch = Batch.from_data_list(parts)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        together = enumerate_paths(batch.edge_index, batch.num_nodes, 3, kind)
    finally:
        torch.set_num_threads(threads)
    alone = [enumerate_paths(part.edge_index, part.num_nodes, 3, kind) for part in parts]
    for k in range(3):
        nodes = torch.cat([paths[k].nodes + int(start) for paths, start in zip(alone, batch.ptr)], dim=1)
        assert torch.equal(together[k].nodes, nodes)
        if kind == "simple":
            assert torch.equal(together[k].distances, torch.cat([paths[k].distances for paths in alone]))


@pytest.mark.parametrize("kind", ["all_shortest", "simple"])
def test_relabelling_relabels(kind):
    edge_index = torch.tensor(list(nx.petersen_graph().to_directed().edges)).t()
    order = torch.randperm(10, generator=torch.Generator().manual_seed(1))
    plain, renamed = (enumerate_paths(edges, 10, 4, kind) for edges in (edge_index, order[edge_index]))
    for before, after in zip(plain, renamed, strict=True):
        moved = {tuple(row) for row in order[before.nodes.long()].t().tolist()}
        assert moved == {tuple(row) for row in after.nodes.t().tolist()}


def test_a_single_shortest_path_depends_on_the_numbering():
    square = torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0], [1, 0, 2, 1, 3, 2, 0, 3]])
    through = {1: {(0, 1, 2), (2, 1, 0), (1, 0, 3), (3, 0, 1)}}
    paths = enumerate_paths(square, 4, 2, "shortest")[1]
    assert {tuple(row) for row in paths.nodes.t().tolist()} == through[1]
    turned = enumerate_paths((square + 1) % 4, 4, 2, "shortest")[1]
    back = (turned.nodes - 1) % 4
    assert {tuple(row) for row in back.t().tolist()} != through[1]


@KINDS
def test_too_many_paths_are_refused_before_they_are_made(kind):
    complete = torch.tensor(list(nx.complete_graph(60).to_directed().edges)).t()
    limit = 1000 if kind == "simple" else 60 * 59 - 1
    with pytest.raises(ValueError, match=rf"more than max_paths={limit} {kind} paths of length up to 9; use a smaller"):
        enumerate_paths(complete, 60, 9, kind, max_paths=limit)
    if kind != "simple":
        assert enumerate_paths(complete, 60, 9, kind, max_paths=60 * 59)[0].nodes.size(1) == 60 * 59


def test_bad_input_is_named():
    edge_index = torch.tensor([[0, 1], [1, 0]])
    with pytest.raises(ValueError, match=r"length=0, must be in \[1, 127\]"):
        enumerate_paths(edge_index, 2, 0)
    with pytest.raises(ValueError, match="unknown kind of paths 'longest'"):
        enumerate_paths(edge_index, 2, 2, "longest")
    with pytest.raises(IndexError, match="names source node 1, but there are 1"):
        enumerate_paths(edge_index, 1, 2)
    with pytest.raises(TypeError, match="node ids must be integers"):
        enumerate_paths(edge_index.float(), 2, 2)
