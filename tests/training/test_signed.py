"""Negative weights of edges: refused before any training where a model refuses them, and else without a trace."""

from __future__ import annotations

from unittest import mock

import pytest
import torch
from torch_geometric.data import Data

import graphkit as gk

PATH = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])


def graphs(signed: int) -> list[Data]:
    """Twenty graphs, of which one has a node whose weights have a negative sum."""
    generator = torch.Generator().manual_seed(0)
    made = [
        Data(torch.randn(3, 2, generator=generator), PATH, edge_weight=torch.ones(4), y=torch.tensor([i % 2]))
        for i in range(20)
    ]
    made[signed].edge_weight = torch.tensor([1.0, 1.0, -5.0, -5.0])
    return made


def task_of(signed: int) -> gk.GraphTask:
    return gk.GraphTask("signed", graphs(signed), gk.Split("s", range(10), range(10, 14), range(14, 20)))


@pytest.mark.parametrize("signed", [3, 12, 17])
def test_a_graph_that_a_model_refuses_is_named_before_any_epoch(signed, tmp_path):
    task = task_of(signed)
    trainer = gk.Trainer(max_epochs=2, batch_size=4, progress=False, run_dir=tmp_path / "run")
    expected = rf"task 'signed', graph {signed}: .*node 1 .* edge with node 2 has the weight -5"
    with (
        mock.patch.object(gk.training.strategies.Backprop, "train_step", side_effect=AssertionError("trained")),
        pytest.raises(ValueError, match=expected),
    ):
        trainer.fit(gk.models.GCN.from_task(task), task)
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_test_part_that_is_not_read_is_not_tried():
    task = task_of(17)
    result = gk.Trainer(max_epochs=1, progress=False).fit(gk.models.GCN.from_task(task), task, test=False)
    assert result.test is None


def test_links_that_carry_messages_in_the_test_alone_are_tried():
    edges = torch.stack([torch.arange(30), (torch.arange(30) + 1) % 30])
    edges = torch.cat([edges, edges.flip(0)], 1)
    weight = torch.ones(60)
    split = gk.LinkSplit.random(edges, 30, val=0.2, test=0.2, seed=0, undirected=True, val_messages=True)
    ends = split.val[:, 0]
    joins = ((edges[0] == ends[0]) & (edges[1] == ends[1])) | ((edges[0] == ends[1]) & (edges[1] == ends[0]))
    weight[joins] = -9.0
    data = Data(torch.randn(30, 2), edges, edge_weight=weight)
    task = gk.LinkTask("ring", data, split)
    model = gk.models.LinkPredictor(gk.models.GCN(2, 4, num_layers=1, out_channels=4))
    with pytest.raises(ValueError, match=r"task 'ring', test: .* has the weight -9"):
        gk.Trainer(max_epochs=1, progress=False).fit(model, task)


@pytest.mark.parametrize("strategy", ["Backprop", "ForwardForward", "LocalToGlobal"])
def test_where_weights_are_taken_trying_leaves_no_trace(strategy):
    task = task_of(3)

    def history():
        trainer = gk.Trainer(max_epochs=2, batch_size=4, progress=False, strategy=strategy, seed=1)
        return trainer.fit(gk.models.GIN(2, 8, num_layers=2, out_channels=2, readout="sum", dropout=0.5), task).history

    tried = history()
    with mock.patch("graphkit.training.trainer.try_negative_weights"):
        assert history() == tried
