"""Gathered batches equal those of PyG, attribute by attribute."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch, Data

from graphkit.tasks.collate import Collator


class Pairs(Data):
    def __inc__(self, key, value, *args, **kwargs):
        return self.num_edges if key == "line" else super().__inc__(key, value, *args, **kwargs)

    def __cat_dim__(self, key, value, *args, **kwargs):
        return None if key == "whole" else super().__cat_dim__(key, value, *args, **kwargs)


def graph(position: int, cls=Pairs, **extra) -> Data:
    generator = torch.Generator().manual_seed(position)
    n, e = position + 1, 3 * position
    edges = torch.randint(n, (2, e), generator=generator)
    data = cls(
        x=torch.rand(n, 2, generator=generator), edge_index=edges, edge_attr=torch.rand(e, 3, generator=generator)
    )
    data.y = torch.tensor(position % 2)
    data.line = torch.arange(e)
    data.whole = torch.rand(2, 2, generator=generator)
    data.weight = float(position)
    data.root_index = position // 2
    data.path_index = torch.randint(n, (4, 2), generator=generator)
    data.wide = torch.rand(n, 3, generator=generator, dtype=torch.float64)
    data.readout_mask = torch.rand(n, generator=generator) > 0.5
    for key, value in extra.items():
        data[key] = value
    return data


def assert_equal(ours: Batch, theirs: Batch) -> None:
    assert type(ours) is type(theirs)
    assert_same_values(ours, theirs)
    assert ours.num_graphs == theirs.num_graphs
    assert ours.num_nodes == theirs.num_nodes
    for first, second in zip(ours.to_data_list(), theirs.to_data_list(), strict=True):
        assert_same_values(first, second)


def assert_same_values(ours: Data, theirs: Data) -> None:
    assert sorted(ours.keys()) == sorted(theirs.keys())
    for key in sorted(theirs.keys()):
        if isinstance(theirs[key], torch.Tensor):
            assert ours[key].dtype == theirs[key].dtype, key
            assert torch.equal(ours[key].to_dense(), theirs[key].to_dense()), key
        else:
            assert ours[key] == theirs[key], key


ORDERS = ([0], [3], [0, 1, 2, 3, 4, 5], [5, 0, 3], [2, 2, 2], [4, 1, 4, 0])


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("extra", [{}, {"num_nodes": 9}, {"name": "text"}, {"values": [1, 2]}], ids=str)
def test_a_batch_is_pygs(order, extra):
    graphs = [graph(position, **extra) for position in range(6)]
    collator = Collator(graphs)
    assert (collator._columns is None) == ("name" in extra or "values" in extra)
    assert_equal(collator.batch(torch.tensor(order)), Batch.from_data_list([graphs[position] for position in order]))


def test_what_cannot_be_gathered_goes_through_pyg():
    def assert_falls_back(graphs):
        collator = Collator(graphs)
        assert collator._columns is None
        assert_equal(collator.batch(torch.tensor([1, 0])), Batch.from_data_list(graphs[::-1]))

    assert_falls_back([graph(1, extra=torch.eye(2).to_sparse()), graph(1, extra=torch.eye(2).to_sparse())])
    first, second = graph(1, cls=Data), graph(2, cls=Data)
    first.kind, second.kind = torch.ones(2, 1), torch.ones(1, 1, dtype=torch.float64)
    assert Collator([first, second])._columns is None


def test_batches_follow_the_order_and_are_copies():
    graphs = [graph(position) for position in range(5)]
    batch = Collator(graphs).batch(torch.tensor([4, 0]))
    assert torch.equal(batch.x, torch.cat([graphs[4].x, graphs[0].x]))
    batch = Collator(graphs).batch(torch.tensor([1, 2]))
    batch.x += 1.0  # a batch is a copy
    assert torch.equal(graphs[1].x, graph(1).x)
