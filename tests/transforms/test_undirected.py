"""Undirected: what is added, merged and left alone."""

from __future__ import annotations

import torch
from torch_geometric.data import Data

from graphkit.transforms import Undirected


def test_loops_go_duplicates_merge_and_reverses_come():
    edge_index = torch.tensor([[0, 0, 1, 2, 1], [1, 1, 0, 2, 2]])
    data = Data(edge_index=edge_index, edge_weight=torch.tensor([1.0, 2.0, 6.0, 5.0, 4.0]), num_nodes=4)
    out = Undirected()(data)
    assert out.edge_index.tolist() == [[0, 1, 1, 2], [1, 0, 2, 1]]
    assert out.edge_weight.tolist() == [3.0, 3.0, 4.0, 4.0]
    assert torch.equal(data.edge_index, edge_index)


def test_a_simple_undirected_graph_keeps_its_edges():
    edge_index = torch.tensor([[2, 1, 0, 1], [1, 2, 1, 0]])
    data = Data(edge_index=edge_index, num_nodes=5)
    assert Undirected()(data).edge_index is edge_index
    assert Undirected()(Data(edge_index=edge_index[:, :0], num_nodes=2)).num_edges == 0


def test_attributes_of_other_pairs_are_left_alone():
    data = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), edge_attr=torch.tensor([[1.0], [2.0]]), num_nodes=3)
    data.hop_index, data.hop_distance = torch.tensor([[0, 0], [2, 1]]), torch.tensor([2, 1])  # as many as edges
    made = Undirected()(data)
    assert made.edge_index.size(1) == 4
    assert made.edge_attr.size(0) == 4
    assert torch.equal(made.hop_index, data.hop_index)
    assert torch.equal(made.hop_distance, data.hop_distance)


def test_codes_stay_codes_and_the_smallest_is_kept():
    data = Data(edge_index=torch.tensor([[0, 1, 1], [1, 0, 2]]), edge_attr=torch.tensor([[3, 1], [3, 4], [2, 0]]))
    data.num_nodes = 3
    made = Undirected()(data)
    assert made.edge_attr.tolist() == [[3, 1], [3, 1], [2, 0], [2, 0]]
    assert made.edge_attr.dtype == torch.long
