"""Edge tasks: each edge once, labels that stay hidden, outputs of nodes and of pairs, subgraphs, changes, errors."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_geometric.data import Data
from torch_geometric.transforms import LargestConnectedComponents, ToUndirected

import graphkit as gk
from graphkit import EdgeTask, Split
from graphkit.transforms.rewiring import FoSR, VirtualNode
from tests import tiny


def ring(n=12, **changes):
    """A ring in both directions; an edge's class is that of the smaller end, modulo 3."""
    nodes = torch.arange(n)
    there = torch.stack([nodes, nodes.roll(-1)])
    edge_index = torch.cat([there, there.flip(0)], dim=1)
    label = edge_index.min(0).values % 3
    x = torch.randn(n, 4, generator=torch.Generator().manual_seed(0))
    return Data(**{"x": x, "edge_index": edge_index, "edge_label": label} | changes)


def halves(n=12):
    """The edges after each of the first six nodes train, of the next three validate; both directions."""
    ids = torch.arange(n)
    return Split("halves", *(torch.cat([part, part + n]) for part in (ids[:6], ids[6:9], ids[9:])))


def task(**changes):
    return EdgeTask(**{"name": "ring", "data": ring(), "split": halves()} | changes)


# What is judged ------------------------------------------------------------------------------------------------------


def test_an_undirected_edge_is_judged_once():
    made = task()
    assert made.split.sizes == (12, 6, 6)
    for stage, ids in (("train", range(6)), ("val", range(6, 9)), ("test", range(9, 12))):
        (batch,) = made.batches(stage)
        assert torch.equal(batch.edge_label_index, ring().edge_index[:, list(ids)])
        assert batch.edge_label.tolist() == [int(ring().edge_label[i]) for i in ids]
        assert batch.num_edges == 24, "all edges carry messages"
    directed = task(
        undirected=False, split=Split("s", range(8), range(8, 10), range(10, 12)), allow_missing_classes=True
    )
    assert directed.batches("train")[0].edge_label_index.size(1) == 8


def test_several_edges_between_two_nodes_keep_their_own_labels_and_features():
    """Parallel edges in any order: each copy finds the reverse with its label, part and features."""
    there = torch.tensor([[0, 1, 0, 2, 0], [1, 0, 1, 1, 0]])  # three edges between 0 and 1, a loop at the end
    label, feature = torch.tensor([0, 1, 1, 0, 1]), torch.tensor([[5.0], [6.0], [7.0], [8.0], [9.0]])
    order = torch.tensor([8, 3, 0, 5, 7, 2, 6, 1, 4])  # of the five and the reverses of the first four
    data = Data(
        num_nodes=3,
        edge_index=torch.cat([there, there[:, :4].flip(0)], dim=1)[:, order],
        edge_label=torch.cat([label, label[:4]])[order],
        edge_attr=torch.cat([feature, feature[:4]])[order],
    )
    part_of = torch.tensor([0, 0, 1, 1, 2])
    parts = torch.cat([part_of, part_of[:4]])[order]
    split = Split.from_masks("s", *(parts == number for number in range(3)))
    made = EdgeTask("several", data, split, "binary", allow_missing_classes=True)
    found = []
    for number, stage in enumerate(("train", "val", "test")):
        (batch,) = made.batches(stage)
        for pair, y, attr in zip(batch.edge_label_index.t().tolist(), batch.edge_label, batch.edge_label_attr):
            found.append((number, *sorted(pair), int(y), float(attr)))
    expected = [
        (int(part), *sorted(pair), int(y), float(attr))
        for part, pair, y, attr in zip(part_of, there.t().tolist(), label, feature)
    ]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("target", ["multiclass", "binary", "multilabel", "regression"])
def test_kinds_of_labels(target):
    number = ring().edge_index.min(0).values
    labels = {
        "multiclass": number % 3,
        "binary": number % 2,
        "multilabel": torch.stack([number % 2, (number + 1) % 2], dim=1)
        .float()
        .index_fill(0, torch.tensor([0, 12]), math.nan),
        "regression": number.float(),
    }[target]
    made = task(data=ring(edge_label=labels), target=target, allow_missing_classes=True)
    model = gk.models.GCN.from_task(made, hidden_channels=8)
    result = gk.Trainer(max_epochs=3, progress=False).fit(model, made)
    assert math.isfinite(result.test)
    assert math.isfinite(result.baseline)
    assert made.num_outputs == {"multiclass": 3, "multilabel": 2}.get(target, 1)


def test_baseline_and_class_weights_count_each_edge_once():
    data = ring(edge_label=(ring().edge_index.min(0).values < 4).long())
    made = task(data=data, class_weight="balanced", allow_missing_classes=True)
    train = made.batches("train")[0].edge_label
    assert train.tolist() == [1, 1, 1, 1, 0, 0]
    assert made.baseline() == pytest.approx(1 / 3)  # of the last three edges one, at node 0, is of class 1
    out = torch.randn(12, 2, requires_grad=True)
    batch = made.batches("train")[0]
    scores = out[batch.edge_label_index].mean(0)
    expected = F.cross_entropy(scores, train, weight=torch.tensor([6 / 4, 6 / 8]))
    torch.testing.assert_close(made.loss(out, batch), expected)


# Labels stay hidden --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", [None, gk.samplers.NeighborSampler([3, 3])])
def test_training_knows_nothing_of_the_test(sampler):
    """Other labels of test edges: the same run, bit by bit, up to the test score."""
    runs = []
    for shift in (0, 1):
        data = ring()
        data.edge_label[halves().test] = (data.edge_label[halves().test] + shift) % 3
        made = task(data=data)
        made = made if sampler is None else made.sampled(sampler)
        model = gk.models.LinkPredictor.from_task(made, "GCN", hidden_channels=8)
        trainer = gk.Trainer(max_epochs=4, progress=False, batch_size=None if sampler is None else 4)
        result = trainer.fit(model, made)
        runs.append((result.history, result.val, trainer.predict(made)[0], [p.clone() for p in model.parameters()]))
    (history, val, prediction, weights), other = runs
    assert (history, val) == other[:2]
    assert torch.equal(prediction, other[2])
    assert all(map(torch.equal, weights, other[3]))


def test_a_model_sees_no_label_of_the_test():
    class Cheat(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = nn.Linear(4, 3)

        def forward(self, batch):
            assert "y" not in batch
            seen.append(batch.edge_label.clone())
            return self.lin(batch.x)

    seen = []
    made = task(data=ring(y=torch.zeros(12)))
    trainer = gk.Trainer(max_epochs=1, progress=False)
    trainer.fit(Cheat(), made)
    train, val, test = seen[0], seen[1], seen[-1]
    assert train.tolist() == [0, 1, 2, 0, 1, 2]
    assert val.tolist() == [0, 1, 2]
    assert test.tolist() == [-1, -1, -1]
    prediction, label = trainer.predict(made)
    assert label.tolist() == [0, 1, 0]
    assert prediction.shape == (3, 3)


# Outputs -------------------------------------------------------------------------------------------------------------


def test_outputs_of_an_edge_are_the_mean_of_those_of_its_ends():
    made = task()
    (batch,) = made.batches("val")
    out = torch.randn(12, 3, requires_grad=True)
    score, label = made.select(out, batch, "val")
    expected = torch.stack([(out[u] + out[v]) / 2 for u, v in batch.edge_label_index.t().tolist()])
    torch.testing.assert_close(score, expected)
    loss = made.loss(out, batch, "val")
    torch.testing.assert_close(loss, F.cross_entropy(expected, label))
    (grad,) = torch.autograd.grad(loss, out)
    torch.testing.assert_close(grad, torch.autograd.grad(F.cross_entropy(expected, label), out)[0])
    own = torch.randn(3, 3)
    assert made.select(own, batch, "val")[0] is own
    for wrong, message in (
        (torch.randn(4, 3), "needs 12 rows"),
        (torch.randn(12, 2), r"\[12, 3\]"),
        (None, "NoneType"),
    ):
        with pytest.raises(ValueError, match=message):
            made.select(wrong, batch, "val")


def test_as_many_nodes_as_judged_edges():
    """Rows of either kind are told apart by what the model declares."""
    split = Split("s", torch.arange(12), torch.arange(12, 18), torch.arange(18, 24))
    made = task(split=split, undirected=False)  # 12 nodes, 12 training edges
    (batch,) = made.batches("train")
    out = torch.randn(12, 3)
    with pytest.raises(ValueError, match=r"12 rows of outputs may be of the nodes or of the edges .*; say which by"):
        made.select(out, batch, "train")
    assert made.scored_by(True).select(out, batch, "train")[0] is out
    torch.testing.assert_close(
        made.scored_by(False).select(out, batch, "train")[0], out[batch.edge_label_index].mean(0)
    )
    for model in (gk.models.GCN.from_task(made, hidden_channels=8), gk.models.LinkPredictor.from_task(made)):
        assert math.isfinite(gk.Trainer(max_epochs=1, progress=False).fit(model, made).test)


STRATEGIES = {n: c for n, c in gk.strategies.registry.classes().items() if c.__module__.startswith("graphkit.")}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_strategies_train_on_edges_or_say_why_not(strategy):
    made = task()
    trainer = gk.Trainer(max_epochs=2, strategy=strategy, progress=False)
    model = gk.models.GCN.from_task(made, hidden_channels=8, readout="nodes" if strategy == "ScalableFF" else None)
    model = gk.models.Mowst.from_task(made, strong=model) if strategy == "ExpertTurns" else model
    if strategy in ("Backprop", "ExpertTurns", "LocalToGlobal", "MLPInit", "ScalableFF", "DirectFeedbackAlignment"):
        assert math.isfinite(trainer.fit(model, made).test)
        return
    with pytest.raises(ValueError, match=rf"{strategy} does not train on edge tasks, of which 'ring' is one"):
        trainer.fit(model, made)


def test_a_model_learns_labels_of_edges():
    """Whether two nodes are of one kind: neither node alone tells, their product does."""
    data, kind = tiny.graph(60, 300), torch.arange(60) % 2
    data.x = F.one_hot(kind).float() + 0.1 * data.x[:, :2]
    data.edge_label = (kind[data.edge_index[0]] == kind[data.edge_index[1]]).long()
    made = EdgeTask("same", data, Split.random_edges(data.edge_index, stratify=data.edge_label), "binary")
    model = gk.models.LinkPredictor.from_task(made, "MLP", hidden_channels=16)
    assert gk.Trainer(max_epochs=100, progress=False).fit(model, made).test > 0.95


# Subgraphs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["train", "val", "test"])
def test_scores_on_subgraphs_are_those_of_the_whole_graph(stage):
    made = task(data=ring(x=ring().x.double(), edge_attr=torch.rand(12, 2).repeat(2, 1)))
    sampled = made.sampled(gk.samplers.NeighborSampler([-1, -1], evaluate="sampled"))
    model = tiny.with_random_weights(gk.models.LinkPredictor.from_task(made, "GIN", decoder="concat"))
    (whole,) = made.batches(stage)
    scores, label = made.select(model(whole), whole, stage)
    parts = [sampled.select(model(batch), batch, stage) for batch in sampled.batches(stage, 2)]
    assert len(parts) > 1
    torch.testing.assert_close(torch.cat([part[0] for part in parts]), scores)
    assert torch.equal(torch.cat([part[1] for part in parts]), label)


@pytest.mark.parametrize("size", [4, 5])
def test_every_edge_is_trained_on_once_an_epoch(size):
    sampled = task().sampled(gk.samplers.NeighborSampler([2]))
    draw = torch.Generator().manual_seed(0)
    shares = [list(sampled.batches("train", size, True, draw, (rank, 1))) for rank in range(1)]
    ends = [tuple(pair) for b in shares[0] for pair in b.n_id[b.edge_label_index].t().tolist()]
    assert sorted(ends) == [(i, i + 1) for i in range(6)]


@pytest.mark.parametrize("sampler", [gk.samplers.GraphSAINTNode(8), gk.samplers.GraphSAINTEdge(8)])
def test_weighted_losses_have_the_mean_over_all_edges_as_expectation(sampler):
    """Loops, too: a subgraph holds both their ends as soon as it holds one."""
    data, split = ring(), halves()
    data.edge_index = torch.cat([data.edge_index, torch.tensor([[0, 3], [0, 3]])], dim=1)
    data.edge_label = torch.cat([data.edge_label, torch.tensor([1, 1])])
    split = Split("s", torch.cat([split.train, torch.tensor([24, 25])]), split.val, split.test)
    made = task(data=data, split=split)
    out = torch.randn(12, 3, generator=torch.Generator().manual_seed(1))
    sampled, draw = made.sampled(sampler).scored_by(False), torch.Generator().manual_seed(2)
    losses = []
    for _ in range(400):
        for batch in sampled.batches("train", shuffle=True, generator=draw):
            losses.append(sampled.loss(out[batch.n_id], batch))
    losses = torch.stack(losses)
    error = losses.std() / math.sqrt(losses.numel())
    assert abs(losses.mean() - made.loss(out, made.batches("train")[0])) < 4 * error


# Predictions and changes ---------------------------------------------------------------------------------------------


def test_predictions_of_all_edges_and_of_new_ones(tmp_path):
    made = task(data=ring(edge_attr=torch.rand(12, 2).repeat(2, 1)))
    model = gk.models.LinkPredictor.from_task(made, "GCN")
    trainer = gk.Trainer(max_epochs=2, progress=False, run_dir=tmp_path)
    trainer.fit(model, made)
    everything = trainer.predict(made, None)
    assert everything.shape == (12, 3), "each edge once"
    torch.testing.assert_close(everything[9:], trainer.predict(made)[0])
    data = ring(edge_attr=made.edge_features)
    del data.edge_label
    both = trainer.predict(data)
    torch.testing.assert_close(both, everything.repeat(2, 1), msg="a row for each column of edge_index")
    data.edge_label_index = torch.tensor([[0, 3], [5, 4]])
    with pytest.raises(ValueError, match=r"0 rows of them for 2 pairs; set data.edge_label_attr"):
        trainer.predict(data)
    data.edge_label_attr = torch.stack([torch.zeros(2), made.edge_features[3]])
    named = trainer.predict(data)
    torch.testing.assert_close(named[1], everything[3])
    run = gk.load_run(tmp_path)
    assert torch.equal(run.predict(data), named)
    assert run.task.kind == "edge"
    assert trainer.embed(made).shape == (12, 64)


def test_transforms_change_the_messages_and_not_what_is_judged():
    made = task()
    more = made.transform(FoSR(num_edges=4)).transform(VirtualNode())
    assert more.graphs[0].num_edges > 24
    assert more.num_nodes == 13
    assert more.content_hash != made.content_hash
    for stage in ("train", "val", "test"):
        before, after = made.batches(stage)[0], more.batches(stage)[0]
        assert torch.equal(after.edge_label_index, before.edge_label_index)
        assert torch.equal(after.edge_label, before.edge_label)
    other = Split("other", halves().val, halves().train, halves().test)
    assert more.with_split(other).batches("train")[0].edge_label.numel() == 3
    assert more.with_split(other).graphs[0] is more.graphs[0]
    assert torch.equal(made.transform(ToUndirected()).batches("val")[0].edge_label, made.batches("val")[0].edge_label)
    apart = ring(num_nodes=13, x=None)
    with pytest.raises(ValueError, match="a transform left 12 of 13 nodes, but edges are pairs of the old ones"):
        task(data=apart).transform(LargestConnectedComponents())


# Errors --------------------------------------------------------------------------------------------------------------


def changed(position, value):
    label = ring().edge_label
    label[position] = value
    return ring(edge_label=label)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": ring(edge_label=None)}, r"the edges have no labels; set data.edge_label \[num_edges\]"),
        ({"data": ring(edge_label=torch.zeros(12).long())}, "there are 12 labels for 24 edges"),
        ({"data": changed(3, 1)}, "edges 3 -> 4 and 4 -> 3 have different labels, but are one in an undirected graph"),
        ({"split": Split("s", range(12), range(12, 18), range(18, 24))}, "0 -> 1 and 1 -> 0 are in different parts"),
        ({"data": ring(edge_index=ring().edge_index[:, :12], edge_label=ring().edge_label[:12]),
          "split": Split("s", range(6), range(6, 9), range(9, 12))},
         "not every edge between 0 and 1 has its reverse, .*; add it .*or say undirected=False"),
        ({"split": Split("s", range(6), range(6, 9), range(9, 30))}, "names edge 29, but there are 24 labelled edges"),
        ({"target": "link"}, "unknown target 'link'; .*choose from: binary, multiclass"),
        ({"metric": "mrr"}, "metric 'mrr' cannot judge a multiclass target"),
    ],
)  # fmt: skip
def test_bad_tasks(changes, message):
    with pytest.raises(ValueError, match=message):
        task(**changes)


def test_reverses_that_are_trained_on_are_named():
    with pytest.warns(
        UserWarning,
        match=r"most test edges \(a, b\) stand in the train part of split .* as \(b, a\).* use undirected=True",
    ):
        task(split=Split("s", range(14), range(14, 20), range(20, 24)), undirected=False)


def test_models_of_links_are_refused():
    made = task(data=ring(edge_label=ring().edge_label.clamp(max=1)), target="binary", allow_missing_classes=True)
    with pytest.raises(ValueError, match="NCN tells links from pairs without one, but task 'ring' has labels of edges"):
        gk.models.NCN.from_task(made)
