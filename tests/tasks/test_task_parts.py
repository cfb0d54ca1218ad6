"""Tasks put together from targets and loaders: what survives a change, own targets, graphs without features."""

from __future__ import annotations

import inspect
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_geometric.data import Data
from torch_geometric.transforms import RandomNodeSplit

import graphkit as gk
from graphkit import EdgeTask, GraphTask, LinkSplit, LinkTask, NodeTask, Split
from graphkit.metrics import MeanSquaredError
from graphkit.models import Reads
from graphkit.tasks.targets import Binary, Multilabel, Regression, Target
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
    if isinstance(task, EdgeTask):
        return Split.random_edges(task.edges, 0.3, 0.3, seed=5)
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
    return cls("links", data, split, metric="hits@3", num_negatives=2.5, pos_weight=3, group_by_source=True)


def edge_task():
    data = tiny.edge_task("regression").graphs[0].clone()
    data.edge_label = data.edge_index.sum(0) % 4
    split = Split.random_edges(data.edge_index, 0.3, 0.3)
    return EdgeTask("edges", data, split, num_outputs=5, allow_missing_classes=True, class_weight=range(5))


TASKS = {
    "edges": edge_task,
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
        "undirected": getattr(task, "undirected", None),
        "group_by_source": getattr(task, "group_by_source", None),
        "note": getattr(task, "note", None),
        "loss": task.target.given_loss and task.target.given_loss.loss,
        "class_weight": task.target.class_weight,
        "pos_weight": task.target.pos_weight,
        "mine": task.mine,
        "dtype": None if isinstance(task, LinkTask) else task.labels.dtype,
    }
    known = {
        name for cls in (NodeTask, EdgeTask, GraphTask, LinkTask) for name in inspect.signature(cls.__init__).parameters
    }
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


def test_masks_that_a_transform_sets_are_told_to_change_no_split():
    task = tiny.task("node multiclass")
    with pytest.warns(UserWarning, match=r"RandomNodeSplit.* sets masks, but the task keeps its split; use with_split"):
        assert task.transform(RandomNodeSplit()).split is task.split
