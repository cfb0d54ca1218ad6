"""Negatives, batches and scores of link tasks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch_geometric.data import Data
from torch_geometric.utils import coalesce

import graphkit as gk
from graphkit import LinkSplit, LinkTask
from graphkit.tasks.negatives import link_keys, sample_negatives
from tests import tiny
from tests.tasks.links import as_set, by_hand, pairs, path, undirected_set

# Negatives -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("undirected", [True, False])
@pytest.mark.parametrize("count", [5, 60])  # few by rejection, many by listing all
def test_negatives_are_uniform_over_the_free_pairs(count, undirected):
    edge_index = pairs((0, 1), (2, 1), (5, 7), (3, 4), (11, 2))
    links = link_keys(edge_index, 12, undirected).unique()
    draw = torch.Generator().manual_seed(0)
    free = 12 * 11 // (2 if undirected else 1) - 5
    counts, rounds = np.zeros((12, 12)), 4000
    for _ in range(rounds):
        drawn = sample_negatives(links, 12, count, undirected, draw)
        assert drawn.shape == (2, count)
        counts[drawn[0], drawn[1]] += 1
        assert counts.max() <= rounds, "a pair is drawn twice"
    reached = counts[counts > 0]
    assert reached.size == free
    assert not any(counts[u, v] for u, v in (edge_index.t().tolist() + ([[1, 2]] if undirected else [])))
    share = count / free
    assert np.abs(reached / rounds - share).max() < 5 * np.sqrt(share * (1 - share) / rounds)


def test_all_free_pairs_can_be_had_and_not_more():
    links = link_keys(pairs((0, 1), (1, 2)), 4, True)
    assert as_set(sample_negatives(links, 4, 4, True)) == {(0, 2), (0, 3), (1, 3), (2, 3)}
    with pytest.raises(ValueError, match="5 pairs without a link were asked for, but 4 nodes with 2 links have only 4"):
        sample_negatives(links, 4, 5, True)
    assert sample_negatives(torch.empty(0).long(), 50, 3, True).shape == (2, 3), "a graph without links"


def test_training_negatives_are_drawn_by_the_generator(graph):
    task = LinkTask("toy", graph, LinkSplit.random(graph.edge_index, 60), num_negatives=2.0)

    def negatives(seed):
        (batch,) = task.batches("train", generator=torch.Generator().manual_seed(seed))
        assert torch.equal(batch.edge_label_index[:, batch.edge_label > 0], task.split.train)
        return batch.edge_label_index[:, batch.edge_label == 0]

    assert torch.equal(negatives(0), negatives(0))
    assert not torch.equal(negatives(0), negatives(1))
    assert negatives(0).size(1) == 2 * task.split.train.size(1)
    trained = undirected_set(task.split.train)
    tested = undirected_set(torch.cat([task.split.val, task.split.test], dim=1))
    drawn = [undirected_set(negatives(seed)) for seed in range(30)]
    assert not any(found & trained for found in drawn)
    assert any(found & tested for found in drawn), "what is excluded would tell the held-out links"


def test_fixed_negatives_stay(graph):
    split = LinkSplit.random(graph.edge_index, 60, fixed_negatives=True)
    task = LinkTask("toy", graph, split)
    first, second = (task.batches("train", generator=torch.Generator().manual_seed(seed))[0] for seed in (0, 1))
    assert first.edge_label_index is second.edge_label_index, "kept, and with it what is computed from it once"
    assert torch.equal(first.edge_label_index, torch.cat([split.train, split.train_negatives], dim=1))


# Batches -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize("world", [1, 3])
def test_mini_batches_share_the_pairs(graph, fixed, world):
    split = LinkSplit.random(graph.edge_index, 60, fixed_negatives=fixed)
    task = LinkTask("toy", graph, split)
    found, steps = [], []
    for rank in range(world):
        draw = torch.Generator().manual_seed(5)
        batches = list(task.batches("train", 10, shuffle=True, generator=draw, shard=(rank, world)))
        assert all(batch.edge_label.sum() <= 10 for batch in batches)
        assert all(batch.num_edges == task.graphs[0].num_edges for batch in batches), "each step has the whole graph"
        steps.append(len(batches))
        found += batches
    assert steps == [-(-split.sizes[0] // (10 * world))] * world
    together = torch.cat([batch.edge_label_index[:, batch.edge_label > 0] for batch in found], dim=1)
    assert as_set(together) == as_set(split.train)
    assert not torch.equal(together, split.train), "shuffled"
    labels = torch.cat([batch.edge_label for batch in found])
    assert labels.numel() == 2 * labels.sum() == 2 * split.sizes[0]


def test_links_come_before_their_own_negatives():
    own = torch.tensor([[[0, 0, 1]], [[2, 3, 4]]])
    task = LinkTask("toy", path(), by_hand(val_negatives=own, test_negatives=own), metric="mrr")
    batch = task.batches("val")[0]
    assert batch.edge_label_index.tolist() == [[2, 0, 0, 1], [3, 2, 3, 4]]
    assert batch.edge_label.tolist() == [1, 0, 0, 0]


def test_scores_are_dot_products_or_the_models_own():
    task = LinkTask("toy", path(), by_hand())
    torch.manual_seed(0)
    h = torch.randn(5, 3, requires_grad=True)
    (batch,) = task.batches("val")
    source, target = batch.edge_label_index
    expected = (h[source] * h[target]).sum(1, keepdim=True)
    score, label = task.select(h, batch, "val")
    torch.testing.assert_close(score, expected)
    assert label.tolist() == [1, 0, 0]
    loss = task.loss(h, batch, "val")
    by_textbook = (F.softplus(expected) - label.view(-1, 1) * expected).mean()
    torch.testing.assert_close(loss, by_textbook)
    for a, b in zip(torch.autograd.grad(loss, h), torch.autograd.grad(by_textbook, h)):
        torch.testing.assert_close(a, b)
    own = torch.randn(3, 1)
    assert task.select(own, batch, "val")[0] is own
    for wrong in (torch.randn(1, 3), torch.randn(5, 1), torch.randn(5), None):
        with pytest.raises(
            ValueError, match=r"needs an embedding per node, \[5, width\] .* or a score per pair, \[3, 1\]"
        ):
            task.select(wrong, batch, "val")


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision", "hits@20", "mrr"])
def test_training_knows_nothing_of_the_test(graph, metric):
    """Other test links, other negatives of theirs: the same run, bit by bit, up to the test score."""
    links = coalesce(graph.edge_index[:, graph.edge_index[0] < graph.edge_index[1]])
    links = links[:, torch.randperm(links.size(1), generator=torch.Generator().manual_seed(0))]
    draw = torch.Generator().manual_seed(1)
    keys = link_keys(graph.edge_index, 60, True).unique()
    negatives = sample_negatives(keys, 60, 400, True, draw).view(2, 40, 10)
    histories = []
    for test in (slice(0, 20), slice(5, 20)):
        split = LinkSplit(
            "s",
            links[:, 40:],
            links[:, 20:40],
            links[:, test],
            negatives[:, :20],
            negatives[:, 40 - (test.stop - test.start) :],
        )
        # links left out of the split would carry messages
        known = split.messages(graph.edge_index, "test") & LinkSplit.messages(
            LinkSplit("s", links[:, 40:], links[:, 20:40], links[:, :20], negatives[:, :20], negatives[:, 20:]),
            graph.edge_index,
            "test",
        )
        data = Data(x=graph.x, edge_index=graph.edge_index[:, known])
        task = LinkTask("toy", data, split, metric)
        model = gk.models.GCN.from_task(task, hidden_channels=8)
        result = gk.Trainer(max_epochs=4, progress=False).fit(model, task)
        histories.append((result.history, result.val, [p.clone() for p in model.parameters()]))
    assert histories[0][:2] == histories[1][:2]
    assert all(torch.equal(a, b) for a, b in zip(histories[0][2], histories[1][2]))


def test_the_test_batch_is_asked_for_once_and_last(graph, monkeypatch):
    asked = []
    original = LinkTask.batches

    def batches(self, stage, *arguments, **named):
        asked.append(stage)
        return original(self, stage, *arguments, **named)

    monkeypatch.setattr(LinkTask, "batches", batches)
    task = LinkTask("toy", graph, LinkSplit.random(graph.edge_index, 60))
    gk.Trainer(max_epochs=3, progress=False).fit(gk.models.GCN.from_task(task, hidden_channels=8), task)
    assert asked == ["train", "val", "train", "train", "test"]


@pytest.mark.parametrize("batch_size", [None, 50])
def test_runs_repeat_and_resume(graph, batch_size, tmp_path):
    task = LinkTask("toy", graph, LinkSplit.random(graph.edge_index, 60))

    def run(max_epochs, folder, resume=False):
        trainer = gk.Trainer(max_epochs=max_epochs, batch_size=batch_size, progress=False, run_dir=tmp_path / folder)
        return trainer.fit(gk.models.GCN.from_task(task, hidden_channels=8), task, resume=resume)

    whole = run(6, "whole")
    assert len({row["train_loss"] for row in whole.history}) == 6
    run(3, "parts")
    parts = run(6, "parts", resume=True)
    assert parts.history == whole.history
    assert parts.test == whole.test


def test_a_model_learns_links():
    """Two blocks without edges between them: a pair across is never linked, which embeddings of nodes can say."""
    graph, block = tiny.graph(60, 1200), torch.arange(60) % 2
    edge_index = graph.edge_index[:, block[graph.edge_index[0]] == block[graph.edge_index[1]]]
    data = Data(x=torch.eye(60), edge_index=edge_index)
    task = LinkTask("blocks", data, LinkSplit.random(edge_index, 60, 0.1, 0.3))
    result = gk.Trainer(max_epochs=100, progress=False).fit(gk.models.GCN.from_task(task, hidden_channels=16), task)
    assert result.test > 0.7
