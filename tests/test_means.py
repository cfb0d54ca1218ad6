"""Means over batches count known labels, and what cannot be missed is told."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import graphkit as gk
from graphkit import GraphTask, LinkTask, NodeTask
from tests import tiny
from tests.common.test_cross_product import STRATEGIES, OwnModule
from tests.losses import NAN, fit, own


def graphs_with_missing(count=40):
    graphs = tiny.graph_task("multilabel").graphs * 2
    graphs = [graph.clone() for graph in graphs[:count]]
    for position, graph in enumerate(graphs):
        missing = position % 20 in (3, 4, 5, 6, 12, 13, 14, 15)
        graph.y = (
            torch.tensor([[NAN, NAN]]) if missing else torch.tensor([[float(position % 2), float(position % 3 == 0)]])
        )
        if position % 5 == 0:
            graph.y[0, 1] = NAN
    return graphs


@pytest.mark.parametrize("metric", ["accuracy", "roc_auc", "exact_match", "f1_macro", "mcc"])
@pytest.mark.parametrize("loss", [None, nn.BCEWithLogitsLoss()])
def test_no_mean_depends_on_the_batch_size_with_missing_labels(loss, metric):
    split = gk.Split("s", torch.arange(10), torch.arange(20, 40), torch.arange(10, 20))
    task = GraphTask("t", graphs_with_missing(), split, target="multilabel", metric=metric, loss=loss)
    values = []
    for size in (1, 3, 4, 20):
        row = fit(OwnModule(task.num_features, 2), task, max_epochs=1, batch_size=size, lr=1e-12).history[0]
        values.append((row["train_loss"], row["val_loss"], row[f"val_{metric}"]))
    for other in values[1:]:
        assert other == pytest.approx(values[0], abs=1e-5)


def test_a_short_last_batch_counts_by_its_labels():
    task = tiny.graph_task("regression")
    values = [
        fit(gk.models.GIN.from_task(task, hidden_channels=4), task, max_epochs=1, batch_size=size, lr=1e-12).history[0]
        for size in (12, 5)
    ]
    assert values[0]["train_loss"] == pytest.approx(values[1]["train_loss"], abs=1e-5)


class Rare(gk.samplers.NeighborSampler):
    """Every other batch has no root."""

    def batches(self, data, nodes=None, *arguments, **named):
        for number, batch in enumerate(super().batches(data, nodes, *arguments, **named)):
            if number % 2:
                batch.root_index = batch.root_index[:0]
            yield batch


class AllMissing(Rare):
    def batches(self, data, nodes=None, *arguments, **named):
        for batch in super().batches(data, nodes, *arguments, **named):
            batch.root_index = batch.root_index[:0]
            yield batch


class NoValidation(gk.samplers.NeighborSampler):
    """No batch of validation has a root."""

    def batches(self, data, nodes=None, *arguments, **named):
        for batch in super().batches(data, nodes, *arguments, **named):
            if int(nodes.min()) == 12:
                batch.root_index = batch.root_index[:0]
            yield batch


@pytest.mark.parametrize("loss", [None, F.cross_entropy, "overridden"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_training_batch_without_a_label_teaches_nothing(strategy, loss):
    if "subgraphs" in STRATEGIES[strategy]().cannot() or (loss and "own losses" in STRATEGIES[strategy]().cannot()):
        pytest.skip("not for such tasks")
    plain = tiny.node_task()
    task = own(plain) if loss == "overridden" else NodeTask("t", plain.data, plain.split, loss=loss)
    task = task.sampled(Rare([3, 3]))
    cls = gk.models.Mowst if strategy == "ExpertTurns" else gk.models.GCN
    model = cls.from_task(task, **({} if strategy == "ExpertTurns" else {"hidden_channels": 4}))
    result = fit(model, task, STRATEGIES[strategy], batch_size=4)
    assert math.isfinite(result.history[-1]["train_loss"])
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_a_run_in_which_nothing_is_judged_says_so():
    task = tiny.node_task().sampled(AllMissing([3, 3], evaluate="sampled"))
    model = gk.models.GCN.from_task(task, hidden_channels=4)
    message = (
        "task 'tiny node multiclass': no batch of the train part of split 'tiny' has a label that is known and counts"
    )
    with pytest.raises(ValueError, match=message):
        fit(model, task)
    task = tiny.node_task().sampled(NoValidation([3, 3], evaluate="sampled"))
    with pytest.raises(ValueError, match=message.replace("train", "val")):
        fit(model, task)


def test_labels_of_one_class_are_warned_about():
    data = tiny.graph()
    data.y = torch.zeros(24, dtype=torch.long)
    with pytest.warns(UserWarning, match="task 't': all labels are of class 0, so that every answer is right"):
        NodeTask("t", data, tiny.split(24))
    data.y = torch.stack([torch.arange(24) % 2, torch.ones(24)], dim=1).float()
    data.y[3, 1] = NAN
    with pytest.warns(UserWarning, match="task 't': all labels of column 1 are of class 1") as caught:
        NodeTask("t", data, tiny.split(24), "multilabel")
    assert len(caught) == 1


@pytest.mark.filterwarnings("error")
def test_labels_that_are_left_out_or_differ_are_not():
    data = tiny.graph()
    data.y = torch.stack([torch.arange(24) % 2, torch.ones(24)], dim=1).float()
    NodeTask("t", data, tiny.split(24), "multilabel", "roc_auc")
    tiny.node_task("multilabel")
    tiny.node_task()


def test_links_that_no_model_can_miss_are_warned_about():
    plain = tiny.link_task()
    count = plain.split.val_negatives.size(1)
    with pytest.warns(
        UserWarning, match=f"has {count} val negatives, so every model scores 100 % in hits@100, as in OGB"
    ):
        LinkTask("t", plain.graphs[0], plain.split, metric="hits@100")
    fixed = gk.LinkSplit.random(plain.graphs[0].edge_index, 24, 0.2, 0.2, fixed_negatives=True)
    with pytest.warns(UserWarning, match="num_negatives=2 is unused, as split 'random/0' fixes train_negatives"):
        LinkTask("t", plain.graphs[0], fixed, num_negatives=2)
    with pytest.raises(
        ValueError, match=r"num_negatives=1e-09 draws no pair for .* training links, must be at least 0.0"
    ):
        LinkTask("t", plain.graphs[0], plain.split, num_negatives=1e-9)
