"""Link tasks: splits, negatives, what a stage may see, and one clear error for every bad input."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch_geometric.data import Data
from torch_geometric.transforms import LargestConnectedComponents, RandomLinkSplit
from torch_geometric.utils import coalesce, to_undirected

import graphkit as gk
from graphkit import LinkSplit, LinkTask, Split
from graphkit.tasks.link_split import link_keys, sample_negatives
from graphkit.transforms.rewiring import RandomEdges
from tests import tiny

STAGES = ("train", "val", "test")


def pairs(*listed):
    return torch.tensor(listed).t()


def by_hand(**changes):
    """The path 0-1-2-3-4: two links to train on, one to validate, one to test."""
    parts = {
        "train": pairs((0, 1), (1, 2)),
        "val": pairs((2, 3)),
        "test": pairs((3, 4)),
        "val_negatives": pairs((0, 2), (0, 3)),
        "test_negatives": pairs((0, 4)),
    }
    return LinkSplit("s", **parts | changes)


def path(**changes):
    edge_index = to_undirected(pairs((0, 1), (1, 2), (2, 3), (3, 4)))
    return Data(**{"x": torch.arange(10.0).view(5, 2), "edge_index": edge_index} | changes)


def as_set(edge_index):
    return set(map(tuple, edge_index.t().tolist()))


def undirected_set(edge_index):
    return {tuple(sorted(pair)) for pair in as_set(edge_index)}


@pytest.fixture
def graph():
    data = tiny.graph(60, 200, seed=3)
    data.edge_index = coalesce(data.edge_index)
    return data


# Splits --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("undirected", [True, False])
@pytest.mark.parametrize("disjoint", [0.0, 0.3])
def test_a_random_split_divides_as_pyg_does(graph, undirected, disjoint):
    if not undirected:
        graph.edge_index = graph.edge_index[:, ::3]
    graph.edge_index = graph.edge_index[:, graph.edge_index[0] != graph.edge_index[1]]
    split = LinkSplit.random(
        graph.edge_index, 60, 0.16, 0.2, undirected=undirected, fixed_negatives=True, disjoint=disjoint
    )
    theirs = RandomLinkSplit(0.16, 0.2, is_undirected=undirected, disjoint_train_ratio=disjoint)(graph)
    task = LinkTask("toy", graph, split)
    for stage, other in zip(STAGES, theirs):
        (batch,) = task.batches(stage)
        assert batch.num_edges == other.num_edges, stage
        assert batch.edge_label.sum() == (other.edge_label > 0).sum(), stage
        assert batch.edge_label.numel() == other.edge_label.numel(), stage
    links = undirected_set if undirected else as_set
    parts = [links(getattr(split, stage)) for stage in STAGES]
    everything = links(graph.edge_index)
    assert sum(map(len, parts)) == len(set.union(*parts))
    assert set.union(*parts) <= everything
    assert (set.union(*parts) == everything) == (disjoint == 0)
    negatives = [links(split.negatives(stage)) for stage in STAGES]
    assert sum(map(len, negatives)) == sum(split.negatives(stage).size(1) for stage in STAGES) == sum(split.sizes)
    assert len(set.union(*negatives)) == sum(map(len, negatives)), "a pair is a negative of one part only"
    assert not set.union(*negatives) & everything


@pytest.mark.parametrize("val_messages", [True, False])
@pytest.mark.parametrize("disjoint", [0.0, 0.5])
def test_no_stage_sees_the_links_that_it_predicts(graph, disjoint, val_messages):
    split = LinkSplit.random(graph.edge_index, 60, 0.1, 0.2, disjoint=disjoint, val_messages=val_messages)
    task = LinkTask("toy", graph, split)
    seen = {stage: undirected_set(task.batches(stage)[0].edge_index) for stage in STAGES}
    links = {stage: undirected_set(getattr(split, stage)) for stage in STAGES}
    assert not seen["train"] & (links["val"] | links["test"])
    assert not seen["val"] & (links["val"] | links["test"])
    assert not seen["test"] & links["test"]
    assert seen["test"] == (seen["val"] | links["val"] if val_messages else seen["val"])
    if disjoint:
        assert not seen["train"] & links["train"]
        assert seen["val"] == seen["train"] | links["train"]
    else:
        assert links["train"] <= seen["train"] == seen["val"]


def test_edge_attributes_go_with_their_edges(graph):
    graph.edge_weight = (graph.edge_index[0] * 100 + graph.edge_index[1]).float()
    graph.edge_attr = graph.edge_weight.view(-1, 1)
    graph.y, graph.train_mask = torch.zeros(60), torch.ones(60, dtype=torch.bool)
    task = LinkTask("toy", graph, LinkSplit.random(graph.edge_index, 60))
    for stage in STAGES:
        batch = task.batches(stage)[0]
        assert torch.equal(batch.edge_weight, (batch.edge_index[0] * 100 + batch.edge_index[1]).float())
        assert torch.equal(batch.edge_attr[:, 0], batch.edge_weight)
        assert "y" not in batch
        assert "train_mask" not in batch
    assert set(graph.keys()) == {"x", "edge_index", "edge_weight", "edge_attr", "y", "train_mask"}


def test_repeated_edges_and_loops_of_the_graph_do_not_leak():
    edge_index = torch.cat([tiny.graph(20, 60).edge_index] * 2, dim=1)  # tiny graphs have loops and repeated edges
    split = LinkSplit.random(edge_index, 20, 0.2, 0.2)
    loops = edge_index[:, edge_index[0] == edge_index[1]]
    batch = LinkTask("toy", Data(x=torch.ones(20, 2), edge_index=edge_index), split).batches("train")[0]
    assert not undirected_set(batch.edge_index) & (undirected_set(split.val) | undirected_set(split.test))
    assert loops.numel()
    assert as_set(loops) <= as_set(batch.edge_index)


def test_a_split_is_its_seed(graph):
    first, again, other = (LinkSplit.random(graph.edge_index, 60, seed=seed) for seed in (0, 0, 1))
    assert first.hash == again.hash != other.hash
    assert first.name == "random/0"
    state = torch.get_rng_state()
    LinkSplit.random(graph.edge_index, 60)
    assert torch.equal(torch.get_rng_state(), state)


def test_split_hashes_are_of_content():
    split = by_hand()
    assert split.hash == "1dbb3fc33f87"  # pinned: results on disk quote it
    assert by_hand(train=pairs((2, 1), (1, 0))).hash == split.hash, "order and direction do not matter"
    changed = (
        {"train": pairs((0, 1), (1, 3))},
        {"val_negatives": pairs((0, 2))},
        {"train_negatives": pairs((1, 4))},
        {"disjoint": True},
        {"undirected": False},
    )
    assert len({split.hash, *(by_hand(**change).hash for change in changed)}) == 1 + len(changed)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"val": pairs((2, 3), (1, 0))}, ValueError, r"train and val share the link \(0, 1\) \(in either direction\)"),
        ({"train": pairs((0, 1), (0, 1))}, ValueError, r"split 's': train repeats the link \(0, 1\)"),
        ({"test": pairs((3, 3))}, ValueError, "the test part has the self-loop of node 3; leave self-loops out"),
        ({"val_negatives": pairs((1, 1))}, ValueError, "val_negatives has the self-loop of node 1"),
        ({"val_negatives": pairs((4, 3))}, ValueError, r"val_negatives contain \(3, 4\), which is a link; take it out"),
        ({"test_negatives": None}, ValueError, "test_negatives are missing; fix pairs without a link"),
        ({"train": torch.empty(2, 0).long()}, ValueError, "the train part is empty; give it at least one pair"),
        ({"train": torch.tensor([[0, 1], [1, 2], [2, 4]])}, ValueError, r"expected \[2, n\]; a list of pairs needs .t"),
        (
            {"train": pairs((0.0, 1.0))},
            TypeError,
            r"the train part has dtype torch.float32, but node ids must be int64",
        ),
        ({"train": pairs((0, -1))}, ValueError, "the train part has the negative id -1"),
        ({"val_negatives": pairs((0, 2), (0, 3)).view(2, 2, 1)}, ValueError, r"shape \[2, 2, 1\] for 1 links"),
    ],
)
def test_bad_splits(changes, error, message):
    with pytest.raises(error, match=message):
        by_hand(**changes)


def test_links_that_recur_may_be_in_several_parts_and_hide_no_edges():
    again = pairs((0, 1), (1, 2))
    with pytest.raises(ValueError, match="train and val share the link"):
        LinkSplit("events", again, again[:, :1], pairs((2, 3)), pairs((0, 3)), pairs((0, 2)))
    split = LinkSplit("events", again, again[:, :1], pairs((2, 3)), pairs((0, 3)), pairs((0, 1)), recurring=True)
    past = torch.cat([again, again.flip(0)], dim=1)
    task = LinkTask("events", Data(x=torch.eye(4), edge_index=past), split)
    for stage in ("train", "val", "test"):
        (batch,) = task.batches(stage)
        assert torch.equal(batch.edge_index, past)
    plain = LinkSplit("events", again, pairs((0, 3)), pairs((2, 3)), pairs((1, 3)), pairs((0, 2)))
    recurring = LinkSplit("events", again, pairs((0, 3)), pairs((2, 3)), pairs((1, 3)), pairs((0, 2)), recurring=True)
    assert plain.hash != recurring.hash


def test_both_directions_are_two_links_if_directed():
    split = by_hand(val=pairs((1, 0)), undirected=False)
    assert split.messages(pairs((0, 1), (1, 0)), "train").tolist() == [True, False]


def test_links_that_are_seen_in_reverse_are_named(graph):
    split = LinkSplit.random(graph.edge_index, 60, undirected=False)
    with pytest.warns(UserWarning, match=r"\d+ of \d+ test links .* in reverse.*use undirected=True"):
        LinkTask("both", graph, split)
    one_way = graph.edge_index[:, graph.edge_index[0] < graph.edge_index[1]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LinkTask("one way", Data(x=graph.x, edge_index=one_way), LinkSplit.random(one_way, 60, undirected=False))


def test_pairs_of_a_split_convert():
    parts = {key: value.numpy() for key, value in vars(by_hand()).items() if isinstance(value, torch.Tensor)}
    assert by_hand(**parts).hash == by_hand(**{key: value.tolist() for key, value in parts.items()}).hash
    assert by_hand(**parts).hash == by_hand().hash
    edges = path().edge_index
    assert LinkSplit.random(edges.numpy(), 5, 0.3, 0.3).hash == LinkSplit.random(edges, 5, 0.3, 0.3).hash


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"val": 0.0}, ValueError, r"val=0.0, must be in \(0, 1\)"),
        ({"val": 0.9}, ValueError, "val=0.9 and test=0.1 must have a sum below 1"),
        ({"disjoint": 1.0}, ValueError, r"disjoint=1.0, must be in \[0, 1\)"),
        ({"edge_index": torch.empty(2, 0).long()}, ValueError, "the graph has 0 links, too few for val=0.05"),
        ({"edge_index": pairs((0, 9))}, IndexError, "LinkSplit.random: edge_index names target node 9"),
        ({"num_negatives": 100.0}, ValueError, "pairs without a link were asked for, but 20 nodes with 30 links"),
    ],
)
def test_bad_random_splits(arguments, error, message):
    edge_index = (~torch.eye(20, dtype=torch.bool)).triu().nonzero()[::6][:30].t()
    with pytest.raises(error, match=message):
        LinkSplit.random(**{"edge_index": edge_index, "num_nodes": 5 if "edge_index" in arguments else 20} | arguments)


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


# Bad tasks and transforms --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "arguments", "error", "message"),
    [
        (
            path(),
            {"split": Split("s", *torch.arange(3).split(1))},
            TypeError,
            "split is a Split; link tasks need a gk.Li",
        ),
        (path(), {"split": by_hand(test=pairs((3, 9)))}, IndexError, "test links of split 's'.* target node 9"),
        (path(), {"split": by_hand(val_negatives=pairs((7, 0)))}, IndexError, "val negatives of .* source node 7"),
        (
            path(),
            {"metric": "mrr"},
            ValueError,
            r"are shared by all links; give negatives of shape \[2, num_links, k\]",
        ),
        (path(), {"metric": "mae"}, ValueError, "metric 'mae' cannot judge a link target"),
        (path(), {"metric": "hit@7"}, ValueError, "unknown metric 'hit@7'; did you mean 'hits@"),
        (path(), {"num_negatives": 0}, ValueError, "num_negatives=0, must be positive"),
        (path(x=None), {}, ValueError, "task 'toy' has no node features, so its size is not known; set data.num_nodes"),
        (path(x=torch.full((5, 2), float("nan"))), {}, ValueError, "feature 0 of node 0 is nan"),
        (path(edge_index=pairs((0, 8))), {}, IndexError, "edge_index names target node 8"),
    ],
)
def test_bad_tasks(data, arguments, error, message):
    with pytest.raises(error, match=message):
        LinkTask(**{"name": "toy", "data": data, "split": by_hand()} | arguments)


def test_too_many_negatives_are_refused():
    task = LinkTask("toy", path(), by_hand(), num_negatives=9.0)
    with pytest.raises(
        ValueError, match="18 pairs without a link were asked for, but 5 nodes with 2 links have only 8"
    ):
        task.batches("train")


def test_nodes_and_graphs_have_no_links_to_judge():
    with pytest.raises(ValueError, match=r"unknown target 'link'; .*choose from: binary, multiclass"):
        tiny.node_task("link")
    with pytest.raises(ValueError, match="metric 'mrr' cannot judge a binary target"):
        tiny.node_task("binary", "mrr")


def test_transforms_see_what_each_stage_may_see(graph):
    task = LinkTask("toy", graph, LinkSplit.random(graph.edge_index, 60))
    more = task.transform(RandomEdges(5))
    for stage in STAGES:
        before, after = task.batches(stage)[0], more.batches(stage)[0]
        assert after.num_edges == before.num_edges + 10
        assert torch.equal(after.edge_label_index, before.edge_label_index)
    assert task.transform(RandomEdges(5)) is more
    assert more.content_hash != task.content_hash
    assert more.batches("train")[0].edge_index is more.batches("val")[0].edge_index, "the same graph, once"
    other = LinkSplit.random(graph.edge_index, 60, seed=1)
    assert task.with_split(other).split is other
    with pytest.raises(ValueError, match="was transformed, which depends on its split; load the other split"):
        more.with_split(other)
    with pytest.raises(ValueError, match="the transform changed the number of nodes, but links are pairs of the old"):
        LinkTask("toy", path(), by_hand()).transform(LargestConnectedComponents())
