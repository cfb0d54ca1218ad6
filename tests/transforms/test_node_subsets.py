"""Sets of nodes against itertools and networkx."""

from __future__ import annotations

from itertools import combinations

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data

from graphkit.algorithms import node_subsets
from graphkit.transforms import NodeSubsets


@given(st.data())
@settings(deadline=None, max_examples=80)
def test_sets_are_those_of_networkx(data):
    n = data.draw(st.integers(0, 8))
    ends = st.integers(0, max(n - 1, 0))
    pairs = data.draw(st.lists(st.tuples(ends, ends), max_size=12)) if n else []
    size, limit = data.draw(st.integers(1, 4)), data.draw(st.one_of(st.none(), st.integers(1, 4)))
    cluster = data.draw(st.one_of(st.none(), st.lists(st.integers(0, 1), min_size=n, max_size=n)))
    graph = nx.Graph(pairs)
    graph.add_nodes_from(range(n))
    hops = dict(nx.all_pairs_shortest_path_length(graph))

    def near(a, b):
        together = cluster is None or cluster[a] == cluster[b]
        return together and (limit is None or hops[a].get(b, limit + 1) <= limit)

    expected = [s for s in combinations(range(n), size) if all(near(a, b) for a, b in combinations(s, 2))]
    edge_index = torch.tensor(pairs, dtype=torch.long).view(-1, 2).t()
    subsets = node_subsets(edge_index, n, size, limit, None if cluster is None else torch.tensor(cluster))
    assert subsets.dtype == torch.int32
    assert [tuple(column) for column in subsets.t().tolist()] == expected


def test_batches_count_nodes_on():
    path = NodeSubsets(2, max_distance=1)(Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=3))
    single = NodeSubsets(2)(Data(edge_index=torch.zeros(2, 0, dtype=torch.long), num_nodes=1))
    batch = Batch.from_data_list([path, single, path])
    assert batch.subset_index.tolist() == [[0, 1, 4, 5], [1, 2, 5, 6]]


def test_communities():
    """Two cliques joined by an edge; a heavy bond keeps its ends together."""
    graph = nx.disjoint_union(nx.complete_graph(4), nx.complete_graph(4))
    graph.add_edge(0, 4)
    edge_index = torch.tensor(list(graph.to_directed().edges)).t()
    data = Data(edge_index=edge_index, num_nodes=8)
    subsets = NodeSubsets(2, resolution=1.0)(data).subset_index
    assert ((subsets < 4).sum(0) % 2 == 0).all()
    assert subsets.size(1) == 12
    joined = NodeSubsets(2, resolution=0.01)(data).subset_index
    assert joined.size(1) == 28
    data.edge_attr = torch.where(
        (edge_index == torch.tensor([[0], [4]])).all(0) | (edge_index.flip(0) == torch.tensor([[0], [4]])).all(0), 50, 1
    )
    heavy = {tuple(column) for column in NodeSubsets(2, resolution=1.0)(data).subset_index.t().tolist()}
    assert (0, 4) in heavy


def test_bad_arguments():
    complete = torch.tensor(list(nx.complete_graph(30).to_directed().edges)).t()
    with pytest.raises(
        ValueError, match=r"30 nodes\) has more than max_subsets=1000 sets of 4 nodes; use smaller sets"
    ):
        NodeSubsets(4, max_subsets=1000)(Data(edge_index=complete, num_nodes=30))
    with pytest.raises(ValueError, match="size=0, must be at least 1"):
        node_subsets(complete, 30, 0)
    with pytest.raises(ValueError, match="max_distance=0, must be at least 1"):
        node_subsets(complete, 30, 2, 0)
    with pytest.raises(ValueError, match="dense matrix of pairs; 30000 nodes are more than 20000; use size=1"):
        node_subsets(complete, 30_000, 2)
    with pytest.raises(IndexError, match="node_subsets: edge_index names source node 29"):
        node_subsets(complete, 20, 2)
