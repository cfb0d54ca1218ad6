"""Tasks put together from targets and loaders: what survives a change, own targets, graphs without features, links."""

from __future__ import annotations

import inspect
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_geometric.data import Data
from torch_geometric.utils import coalesce

import graphkit as gk
from graphkit import GraphTask, LinkSplit, LinkTask, NodeTask, Split
from graphkit.metrics import MeanSquaredError
from graphkit.models import Reads
from graphkit.tasks.targets import Binary, Link, Multilabel, Regression, Target
from graphkit.training import layerwise_inference
from graphkit.transforms.rewiring import RandomEdges
from tests import tiny

# What survives -------------------------------------------------------------------------------------------------------


class OwnNodes(NodeTask):
    """A user's task, with an attribute and a constructor of its own."""

    def __init__(self, note, **arguments):
        super().__init__("own", **arguments)
        self.note = note


class OwnLinks(LinkTask):
    note = "of the class"


class Scaled(MeanSquaredError):
    """A metric with an argument."""

    name = "scaled"

    def __init__(self, scale=1.0):
        super().__init__()
        self.scale = scale

    def compute(self):
        return self.scale * super().compute()


def other_split(task):
    split = task.split
    if isinstance(split, LinkSplit):
        return LinkSplit.random(task.graphs[0].edge_index, task.num_nodes, 0.2, 0.2, seed=5)
    return Split("other", split.val, split.train, split.test)


def node_task(cls=NodeTask, **own):
    data = tiny.graph()
    data.y = torch.randn(24, 2)
    named = {"name": "all"} if cls is NodeTask else own
    return cls(
        **named,
        data=data,
        split=tiny.split(24),
        target=Regression(),
        metric=Scaled(3.0),
        num_outputs=2,
        loss=F.huber_loss,
    )


def rare_class_task(make):
    """Of classes 0..4 only 0..2 occur, which has to be allowed."""
    task = tiny.node_task() if make is NodeTask else tiny.graph_task()
    first = task.data if make is NodeTask else task.graphs
    return make(
        "rare", first, task.split, "multiclass", "accuracy", 5, allow_missing_classes=True, class_weight=range(5)
    )


def link_task(cls=LinkTask):
    data = tiny.graph()
    split = LinkSplit.random(data.edge_index, 24, 0.2, 0.2)
    return cls("links", data, split, metric="hits@3", num_negatives=2.5, pos_weight=3)


TASKS = {
    "regression": node_task,
    "own nodes": lambda: node_task(OwnNodes, note="hello"),
    "rare node classes": lambda: rare_class_task(NodeTask),
    "rare graph classes": lambda: rare_class_task(GraphTask),
    "links": link_task,
    "own links": lambda: link_task(OwnLinks),
}
CHANGES = {
    "transform": lambda task: task.transform(RandomEdges(3)),
    "split": lambda task: task.with_split(other_split(task)),
    "sampled": lambda task: task.sampled(gk.samplers.NeighborSampler([3])),
    "sampled, transform": lambda task: task.sampled(gk.samplers.NeighborSampler([3])).transform(RandomEdges(3)),
    "sampled, split": lambda task: task.sampled(gk.samplers.NeighborSampler([3])).with_split(other_split(task)),
    "split, transform": lambda task: task.with_split(other_split(task)).transform(RandomEdges(3)),
}


def settings(task):
    """Everything that a constructor was told, and what a user added."""
    told = {
        "type": type(task),
        "name": task.name,
        "target": type(task.target),
        "num_outputs": task.num_outputs,
        "allow_missing_classes": task.target.allow_missing_classes,
        "metric": (task.metric, getattr(task.new_metric(), "scale", None), type(task.target.metric)),
        "num_negatives": getattr(task, "num_negatives", None),
        "note": getattr(task, "note", None),
        "loss": task.target.given_loss and task.target.given_loss.loss,
        "class_weight": task.target.class_weight,
        "pos_weight": task.target.pos_weight,
        "mine": task.mine,
        "dtype": None if isinstance(task, LinkTask) else task.labels.dtype,
    }
    known = {name for cls in (NodeTask, GraphTask, LinkTask) for name in inspect.signature(cls.__init__).parameters}
    assert known - {"self", "data", "graphs", "split"} <= set(told), "a new argument has to be compared here"
    return told


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", TASKS)
def test_type_and_settings_survive(name, change):
    task = TASKS[name]()
    task.mine = "set by hand"
    if change.startswith("sampled") and isinstance(task, GraphTask):
        pytest.skip("batches of graphs are not sampled")
    changed = CHANGES[change](task)
    assert changed is not task
    assert settings(changed) == settings(task)
    assert changed.loader.task is changed
    assert changed.target is not task.target
    assert next(iter(changed.batches("train"))) is not next(iter(task.batches("train")))


def test_a_user_target_is_copied_for_each_task():
    target = Regression()
    task = node_task()
    assert NodeTask("t", task.data, task.split, target).num_outputs == 2
    assert target.num_outputs is None


def test_metrics_of_other_splits_are_of_other_rows():
    """What is derived from the split is derived anew: views, hidden labels, hashes."""
    task = tiny.node_task()
    task.content_hash  # noqa: B018, cached
    (before,) = task.batches("train")
    (after,) = task.with_split(Split("o", task.split.test, task.split.val, task.split.train)).batches("train")
    assert (before.y[task.split.test] == -1).all()
    assert (after.y[task.split.train] == -1).all()
    assert torch.equal(after.train_index, task.split.test)
    more = task.transform(RandomEdges(2))
    assert more.content_hash != task.content_hash


# Own targets ---------------------------------------------------------------------------------------------------------


class Ranks(Target):
    """Levels 0..K-1 in an order: logits of passing each of K-1 steps."""

    name: ClassVar[str] = "ranks"
    default_metric = "exact_match"

    def check(self, labels, rows, kind, place):
        self.num_outputs = int(labels.max())
        return (labels[:, None] > torch.arange(self.num_outputs)).float()

    def loss(self, prediction, label, weight=None):
        each = F.softplus(torch.where(label > 0, -prediction, prediction)).sum(1)
        return each.mean() if weight is None else each @ weight


class Levels(Multilabel, Ranks):
    """Ranks that metrics of several labels judge."""

    name: ClassVar[str] = "levels"
    check = Ranks.check


@pytest.mark.parametrize("given", ["levels", Levels, Levels()])
def test_an_own_target_is_one_class(given):
    plain = tiny.node_task()
    task = NodeTask("levels", plain.data, plain.split, given)
    assert (task.num_outputs, task.metric, task.target.name) == (2, "exact_match", "levels")
    out = torch.randn(24, 2)
    (batch,) = task.batches("train")
    rows = task.split.train
    passed = (plain.labels[rows, None] > torch.arange(2)).float()
    expected = F.binary_cross_entropy_with_logits(out[rows], passed)
    torch.testing.assert_close(task.loss(out, batch), expected)
    assert batch.y[task.split.test].isnan().all()
    result = gk.Trainer(max_epochs=60, progress=False).fit(gk.models.MLP.from_task(task, hidden_channels=32), task)
    assert result.history[-1]["train_loss"] < result.history[0]["train_loss"]
    assert "levels with 2 outputs" in task.describe()


def test_a_target_says_which_metrics_fit_it():
    plain = tiny.node_task()
    with pytest.raises(ValueError, match="metric 'exact_match' cannot judge a ranks target"):
        NodeTask("ranks", plain.data, plain.split, "ranks")
    with pytest.raises(TypeError, match="NodeTask: target=3, must be a string or a class or of type Target"):
        NodeTask("ranks", plain.data, plain.split, 3)


def test_old_words_of_tasks_warn():
    from graphkit import tasks

    task = tiny.node_task("binary")
    with pytest.warns(FutureWarning, match=r"task.target == 'binary' is now task.target.name == 'binary'"):
        assert task.target == "binary"
    with pytest.warns(FutureWarning, match="NodeTask.redraws is now resamples"):
        assert task.redraws is False
    with pytest.warns(FutureWarning, match=r"SampledNodeTask\(task, sampler\) is now task.sampled\(sampler\)"):
        sampled = tasks.SampledNodeTask(task, gk.samplers.NeighborSampler([2]))
    assert type(sampled) is NodeTask
    assert sampled.resamples
    assert not sampled.caches_evaluation
    with pytest.warns(FutureWarning, match="TARGETS is now"):
        assert "regression" in tasks.TARGETS
    with pytest.warns(FutureWarning, match=r"samplers.layerwise is now graphkit.training.layerwise_inference"):
        assert gk.samplers.layerwise is layerwise_inference
    with pytest.warns(FutureWarning, match="Cached.keeps_batches is now caches_evaluation"):

        class Cached(NodeTask):
            keeps_batches = False

    assert Cached("t", task.data, task.split, Binary).caches_evaluation is False


def test_a_task_with_the_methods_of_old_is_told_the_new_ones():
    with pytest.raises(TypeError, match=r"OldTask defines batches, but .* define make_loader, set_data and select, in"):

        class OldTask(gk.Task):
            kind = "node"

            def batches(self, stage, batch_size=None, shuffle=False, generator=None, shard=(0, 1)):
                return []

            def select(self, out, batch, stage):
                return out, batch.y

            def with_split(self, split):
                return self

            def _with_graphs(self, graphs):
                return self

    class Reversed(NodeTask):
        def batches(self, stage, *arguments, **named):
            return list(super().batches(stage, *arguments, **named))[::-1]

    plain = tiny.node_task("binary")
    task = Reversed("t", plain.data, plain.split, "binary")
    assert len(task.batches("train")) == 1, "a task with a loader may change its batches"
    assert (task.num_classes, tiny.node_task("multilabel").num_classes) == (2, 0)


# Graphs without features ---------------------------------------------------------------------------------------------


class Embedding(gk.models.LayeredModel):
    """A vector per node, whatever its features."""

    reads = Reads(x=False)

    def __init__(self, num_nodes, out_channels):
        super().__init__()
        self.num_nodes, self.out_channels = num_nodes, out_channels
        self.layers = nn.ModuleList([nn.Linear(8, out_channels)])
        self.table = nn.Embedding(num_nodes, 8)

    def encode(self, batch):
        return self.table.weight

    def step(self, i, history, batch):
        return self.layers[i](history[-1])

    def decode(self, h, batch):
        return h

    def reset_parameters(self):
        self.table.reset_parameters()
        self.layers[0].reset_parameters()


def without_features(kind):
    graph = tiny.graph()
    del graph.x
    graph.num_nodes = 24
    if kind == "link":
        return LinkTask("bare", graph, LinkSplit.random(graph.edge_index, 24, 0.2, 0.2))
    if kind == "node":
        graph.y = torch.arange(24) % 3
        return NodeTask("bare", graph, tiny.split(24))
    graphs = [Data(edge_index=graph.edge_index, num_nodes=24, y=i % 2) for i in range(12)]
    return GraphTask("bare", graphs, tiny.split(12))


def test_a_scorer_of_pairs_reads_what_its_encoder_reads():
    task = without_features("link")
    trainer = gk.Trainer(max_epochs=1, progress=False)
    assert trainer.fit(gk.models.LinkPredictor(Embedding(24, 4)), task).epochs == 1
    with pytest.raises(ValueError, match="GCN reads node features, but task 'bare' has none"):
        trainer.fit(gk.models.LinkPredictor(gk.models.GCN(3, 4)), task)


@pytest.mark.parametrize("kind", ["node", "link", "graph"])
def test_a_graph_without_features_is_a_task(kind):
    task = without_features(kind)
    assert task.num_features == 0
    assert len(task.content_hash) == 12
    assert ", 0 features," in task.describe()
    message = r"GCN reads node features, but task 'bare' has none \(no data.x\); add some, e.g. task.transform"
    with pytest.raises(ValueError, match=message):
        gk.models.GCN.from_task(task, hidden_channels=4)
    with pytest.raises(ValueError, match=message):
        gk.Trainer(max_epochs=1, progress=False).fit(gk.models.GCN(6, 4, out_channels=3), task)
    if kind == "node":
        with pytest.raises(
            ValueError, match=r"SingleForward shows labels beside the features of nodes, but task 'bare'"
        ):
            gk.Trainer(strategy="SingleForward", progress=False).fit(Embedding(24, 4), task)
    strategies = {"node": ("Backprop", "ScalableFF", "TargetProjection"), "link": ("Backprop",), "graph": ()}
    for strategy in strategies[kind]:
        trainer = gk.Trainer(max_epochs=30, strategy=strategy, progress=False)
        result = trainer.fit(Embedding(24, task.num_outputs or 4), task)
        assert result.history[-1]["train_loss"] < result.history[0]["train_loss"], strategy
    batch = next(iter(task.batches("train", 3 if kind == "graph" else None, shuffle=True)))
    assert batch.num_nodes == (72 if kind == "graph" else 24)


def test_some_graphs_with_features_and_some_without_are_refused():
    graphs = [Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2, y=i % 2) for i in range(6)]
    graphs[3].x = torch.ones(2, 4)
    with pytest.raises(ValueError, match=r"graphs differ in their number of features: \[0, 4\]"):
        GraphTask("mixed", graphs, tiny.split(6))


# Links on subgraphs --------------------------------------------------------------------------------------------------


def sampled_links(sampler, disjoint=0.0, **arguments):
    graph = tiny.graph(60, 200, seed=3)
    split = LinkSplit.random(graph.edge_index, 60, 0.2, 0.2, disjoint=disjoint, **arguments)
    task = LinkTask("links", graph, split)
    return task, task.sampled(sampler)


FULL = {
    "neighbors": gk.samplers.NeighborSampler([-1, -1, -1]),
    "shadow": gk.samplers.ShaDowKHop(depth=3, budget=-1),
}


@pytest.mark.parametrize("name", FULL)
@pytest.mark.parametrize("stage", ["train", "val", "test"])
@pytest.mark.parametrize("disjoint", [0.0, 0.4])
def test_scores_of_links_on_subgraphs_are_those_of_the_whole_graph(name, stage, disjoint):
    """All neighbours of all hops are drawn, so each pair has the dense answer of the graph of its stage."""
    whole, task = sampled_links(FULL[name], disjoint)
    model = gk.models.GCN.from_task(whole, hidden_channels=8).double().eval()
    graph = whole.stage_graph(stage).clone()
    dense = model(graph.update({"x": graph.x.double()}))
    seen = []
    for batch in task.batches(stage, 7, shuffle=stage == "train", generator=torch.Generator().manual_seed(1)):
        out = model(batch.update({"x": batch.x.double()}))
        score, label = task.select(out, batch, stage)
        pairs = batch.n_id[batch.edge_label_index]
        expected = (dense[pairs[0]] * dense[pairs[1]]).sum(1, keepdim=True)
        torch.testing.assert_close(score, expected)
        assert set(batch.root_index.tolist()) == set(batch.edge_label_index.flatten().tolist())
        seen += [(*pair, kind) for pair, kind in zip(map(tuple, pairs.t().tolist()), label.tolist())]
    links = {pair for *pair, kind in map(tuple, seen) if kind for pair in [tuple(pair)]}
    assert links == set(map(tuple, getattr(whole.split, stage).t().tolist()))
    assert len(seen) == len(set(seen)) == 2 * len(links), "each pair once"


@pytest.mark.parametrize("disjoint", [0.0, 0.4])
def test_no_subgraph_holds_a_link_that_a_stage_may_not_see(disjoint):
    whole, task = sampled_links(gk.samplers.NeighborSampler([3, 3], subgraph_type="induced"), disjoint)
    hidden = {"train": ["val", "test"] + ["train"] * bool(disjoint), "val": ["val", "test"], "test": ["test"]}
    for stage, parts in hidden.items():
        secret = {tuple(sorted(pair)) for part in parts for pair in getattr(whole.split, part).t().tolist()}
        count = 0
        for batch in task.batches(stage, 10, shuffle=True):
            edges = {tuple(sorted(pair)) for pair in batch.n_id[batch.edge_index].t().tolist()}
            assert not edges & secret
            count += len(edges)
        assert count > 0


def test_a_shadow_model_reads_the_ends_of_pairs_itself():
    _, task = sampled_links(gk.samplers.ShaDowKHop(2, 5))
    batch = next(iter(task.batches("train", 10)))
    at_nodes = torch.randn(batch.num_nodes, 4)
    roots = at_nodes[batch.root_index]
    for mine, theirs in zip(task.select(roots, batch, "train"), task.select(at_nodes, batch, "train")):
        torch.testing.assert_close(mine, theirs)


def test_negatives_of_sampled_links_are_those_of_the_whole_graph():
    whole, task = sampled_links(gk.samplers.NeighborSampler([2]))
    for seed in (0, 1):
        draws = (torch.Generator().manual_seed(seed) for _ in range(2))
        expected = [b.edge_label_index for b in whole.batches("train", 9, shuffle=True, generator=next(draws))]
        pairs = [b.n_id[b.edge_label_index] for b in task.batches("train", 9, shuffle=True, generator=next(draws))]
        assert all(torch.equal(a, b) for a, b in zip(pairs, expected, strict=True))


@pytest.mark.parametrize("evaluate", ["sampled", "whole", "layerwise"])
def test_links_are_learned_on_subgraphs(evaluate):
    graph, block = tiny.graph(60, 1200), torch.arange(60) % 2
    edge_index = graph.edge_index[:, block[graph.edge_index[0]] == block[graph.edge_index[1]]]
    data = Data(x=torch.eye(60), edge_index=edge_index)
    task = LinkTask("blocks", data, LinkSplit.random(edge_index, 60, 0.1, 0.3))
    sampled = task.sampled(gk.samplers.NeighborSampler([10, 10], evaluate=evaluate))
    trainer = gk.Trainer(max_epochs=15, batch_size=60, progress=False)
    result = trainer.fit(gk.models.GCN.from_task(sampled, hidden_channels=16), sampled)
    assert result.test > 0.7
    assert trainer.predict(sampled)[0].size(0) == task.batches("test")[0].edge_label.numel()


def test_each_link_keeps_its_own_negatives_on_subgraphs():
    graph = tiny.graph(60, 200, seed=3)
    split = LinkSplit.random(graph.edge_index, 60, 0.2, 0.2)
    own = {f"{stage}_negatives": torch.randint(20, (2, getattr(split, stage).size(1), 4)) for stage in ("val", "test")}
    for value in own.values():
        value[1] += 30
    fixed = LinkSplit("own", split.train, split.val, split.test, **own, recurring=True)
    task = LinkTask("links", graph, fixed, "mrr").sampled(gk.samplers.NeighborSampler([3]))
    pairs = []
    for batch in task.batches("val", 4):
        assert batch.edge_label.view(-1, 5)[:, 0].all()
        assert batch.edge_label.sum() * 5 == batch.edge_label.numel()
        pairs.append(batch.n_id[batch.edge_label_index])
    (whole,) = LinkTask("links", graph, fixed, "mrr").batches("val")
    assert torch.equal(torch.cat(pairs, dim=1), whole.edge_label_index)
    result = gk.Trainer(max_epochs=1, batch_size=8, progress=False).fit(
        gk.models.GCN.from_task(task, hidden_channels=4), task
    )
    assert 0 < result.test <= 1


SAINT = {"node": gk.samplers.GraphSAINTNode(25, num_steps=4000), "edge": gk.samplers.GraphSAINTEdge(14, num_steps=4000)}


@pytest.mark.parametrize("name", SAINT)
def test_weighted_losses_of_pairs_have_the_mean_over_all_pairs_as_expectation(name):
    edge_index = coalesce(tiny.graph(30, 60, seed=3).edge_index)
    edge_index = edge_index[:, edge_index[0] != edge_index[1]]
    split = LinkSplit.random(edge_index, 30, 0.1, 0.1, fixed_negatives=True, disjoint=0.5)
    task = LinkTask("links", Data(x=torch.eye(30), edge_index=edge_index), split)
    (whole,) = task.batches("train")
    h = torch.randn(30, 5, generator=torch.Generator().manual_seed(0))
    lonely = torch.ones(30, dtype=torch.bool)
    lonely[task.stage_graph("train").edge_index.flatten()] = False  # is never drawn
    reached = ~lonely[whole.edge_label_index].any(0)
    score, label = task.select(h, whole, "train")
    each = F.binary_cross_entropy_with_logits(score.view(-1), label, reduction="none")
    expected = each[reached].sum() / label.numel()
    secret = set(map(tuple, split.train.t().tolist()))
    losses = []
    for batch in task.sampled(SAINT[name]).batches("train", shuffle=True):
        losses.append(task.loss(h[batch.n_id], batch))
        assert not set(map(tuple, batch.n_id[batch.edge_index].t().tolist())) & secret
    losses = torch.stack(losses)
    error = losses.std() / len(losses) ** 0.5
    assert abs(losses.mean() - expected) < 4 * error
    assert error < 0.05 * expected


def test_links_train_on_graph_saint():
    task = sampled_links(gk.samplers.GraphSAINTNode(30))[1]
    result = gk.Trainer(max_epochs=3, progress=False).fit(gk.models.GCN.from_task(task, hidden_channels=8), task)
    assert 0 <= result.test <= 1
    with pytest.raises(ValueError, match="SingleForward gives links and other pairs a mean of their own"):
        gk.Trainer(max_epochs=1, strategy="SingleForward", progress=False).fit(gk.models.GCN(6, 8), task)


@pytest.mark.parametrize("target", [Link, Link()])
def test_nodes_cannot_have_the_target_of_links(target):
    with pytest.raises(ValueError, match="task 'mine' judges nodes, but a link target is of pairs; use LinkTask"):
        NodeTask("mine", tiny.node_task().data, tiny.split(24), target)
