"""RandomEdges: which pairs it draws, how many, and what happens to edge attributes."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data

from graphkit.transforms.rewiring import RandomEdges


def pairs(edge_index):
    return {tuple(sorted(edge)) for edge in edge_index.t().tolist() if edge[0] != edge[1]}


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_exactly_the_asked_number_of_new_undirected_pairs(data):
    n = data.draw(st.integers(1, 12))
    edges = data.draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=20))
    budget, seed = data.draw(st.integers(0, 30)), data.draw(st.integers(0, 5))
    graph = Data(edge_index=torch.tensor(edges, dtype=torch.long).view(-1, 2).t(), num_nodes=n)
    old = Counter(map(tuple, edges))
    joined = pairs(graph.edge_index)

    out = RandomEdges(budget, seed)(graph)
    new = Counter(map(tuple, out.edge_index.t().tolist()))
    added = new - old
    assert old - new == Counter(), "an old edge was lost"
    assert set(added.values()) <= {1}, "an edge was added twice"
    assert all(source != target for source, target in added), "a self-loop was added"
    assert all((target, source) in added for source, target in added), "only one direction was added"
    assert not pairs(torch.tensor(list(added), dtype=torch.long).view(-1, 2).t()) & joined
    assert len(added) == 2 * min(budget, n * (n - 1) // 2 - len(joined))
    assert torch.equal(RandomEdges(budget, seed)(graph).edge_index, out.edge_index)


@pytest.mark.parametrize("n", [8, 60])  # few free pairs are listed, many are drawn and rejected
def test_every_free_pair_is_equally_likely(n):
    graph = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=n)
    counts = Counter()
    runs, budget = 600, 3
    for seed in range(runs):
        out = RandomEdges(budget, seed)(graph)
        counts.update(pairs(out.edge_index) - {(0, 1), (1, 2)})
    free = n * (n - 1) // 2 - 2
    assert sum(counts.values()) == runs * budget
    expected = runs * budget / free
    observed = [counts.get((i, j), 0) for i in range(n) for j in range(i + 1, n) if (i, j) not in {(0, 1), (1, 2)}]
    chi_square = sum((count - expected) ** 2 / expected for count in observed)
    assert abs(chi_square - free) < 5 * (2 * free) ** 0.5, f"chi-square {chi_square:.0f} with {free} cells"
    by_node = torch.tensor([sum(c for pair, c in counts.items() if i in pair) for i in range(n)], dtype=torch.double)
    assert (by_node[3:] / by_node[3:].mean() - 1).abs().max() < 0.4, "small ids are favoured"


def test_a_share_of_the_edges():
    graph = Data(edge_index=torch.tensor([[0, 1, 2, 3, 3, 4], [1, 0, 3, 2, 4, 3]]), num_nodes=30)
    assert RandomEdges(2.0)(graph).num_edges == 6 + 2 * 6, "three undirected pairs are there, twice as many are added"


def test_weights_and_attributes():
    graph = Data(edge_index=torch.tensor([[2, 0], [0, 1]]), num_nodes=3, edge_weight=torch.tensor([5.0, 7.0]))
    graph.edge_attr = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    out = RandomEdges(1)(graph)
    attributes = {
        edge: (w, a)
        for edge, w, a in zip(
            map(tuple, out.edge_index.t().tolist()), out.edge_weight.tolist(), out.edge_attr.tolist(), strict=True
        )
    }
    assert attributes[2, 0] == (5.0, [1.0, 2.0])
    assert attributes[0, 1] == (7.0, [3.0, 4.0])
    assert attributes[1, 2] == attributes[2, 1] == (1.0, [0.0, 0.0])
    keys = [source * 3 + target for source, target in out.edge_index.t().tolist()]
    assert keys == sorted(keys)


def test_wrong_budget():
    with pytest.raises(ValueError, match="num_edges=-1, must be at least 0"):
        RandomEdges(-1)
