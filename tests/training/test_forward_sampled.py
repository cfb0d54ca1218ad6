"""Layer-wise training on subgraphs of a large graph."""

from __future__ import annotations

import pytest
import torch

import graphkit as gk
from graphkit.models import GCN, GIN, ShaDowGNN
from graphkit.samplers import (
    ClusterSampler,
    GraphSAINTEdge,
    GraphSAINTNode,
    GraphSAINTRandomWalk,
    NeighborSampler,
    ShaDowKHop,
    ShaDowPPR,
)
from graphkit.training.engine import Engine
from tests import tiny

STRATEGIES = {
    "SF": lambda: gk.strategies.SingleForward(),
    "SF, all labels": lambda: gk.strategies.SingleForward(append_label="all"),
    "FF-LA": lambda: gk.strategies.ForwardForward(),
    "FF-LA, SymBa": lambda: gk.strategies.ForwardForward(loss="symba"),
    "FF-VN": lambda: gk.strategies.ForwardForward(labels="virtual"),
    "layer collaboration": lambda: gk.strategies.LayerCollaborationFF(),
    "scalable": lambda: gk.strategies.ScalableFF(),
    "projections": lambda: gk.strategies.TargetProjection(),
    "drtp": lambda: gk.strategies.TargetProjection("drtp"),
    "feedback": lambda: gk.strategies.DirectFeedbackAlignment(),
    "spread feedback": lambda: gk.strategies.DirectFeedbackAlignment(spread=True),
}
each = pytest.mark.parametrize("name", STRATEGIES)


@pytest.fixture(autouse=True)
def _own_files(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHKIT_DATA", str(tmp_path))


def trained(task, strategy, model=GCN, epochs=3, **arguments):
    torch.manual_seed(0)
    network = model.from_task(task, hidden_channels=8, **arguments)
    trainer = gk.Trainer(max_epochs=epochs, strategy=strategy, seed=0, progress=False, precision="64-true")
    return trainer.fit(network, task)


def whole():
    task = tiny.node_task()
    return task.transform(gk.transforms.Undirected())


@each
@pytest.mark.parametrize("evaluate", ["whole", "sampled"])
def test_a_subgraph_that_holds_all_is_trained_as_the_graph(name, evaluate, monkeypatch):
    """All neighbours of all training nodes, so far that no degree is cut off."""

    def in_order(self, classes):
        return (classes[:, None] + torch.arange(1, self.num_classes)) % self.num_classes

    monkeypatch.setattr(gk.strategies.ForwardForward, "_wrong_classes", in_order)  # they are drawn at other times
    task = whole()
    expected = trained(task, STRATEGIES[name]())
    found = trained(task.sampled(NeighborSampler([-1] * 5, evaluate=evaluate)), STRATEGIES[name]())
    assert len(found.history) == len(expected.history)
    for row, other in zip(found.history, expected.history, strict=True):
        for key, value in other.items():
            if isinstance(value, float) and (evaluate == "whole" or key.startswith("train")):
                assert row[key] == pytest.approx(value, rel=1e-9, abs=1e-12), key


@each
@pytest.mark.parametrize(
    "sampler",
    [
        NeighborSampler([3, 3]),
        NeighborSampler([3, 3], inductive=True),
        ShaDowKHop(depth=2, budget=3),
        ShaDowPPR(k=5, evaluate="whole"),
        GraphSAINTNode(8),
        GraphSAINTEdge(8),
        GraphSAINTRandomWalk(4),
        ClusterSampler(4),
    ],
    ids=repr,
)
def test_every_sampler(name, sampler):
    result = trained(whole().sampled(sampler), STRATEGIES[name](), epochs=2)
    assert all(torch.tensor([row["train_loss"], row["val_loss"]]).isfinite().all() for row in result.history)
    assert 0 <= result.test <= 1


@pytest.mark.parametrize("strategy", [gk.strategies.ForwardForward, gk.strategies.SingleForward])
def test_labels_of_evaluated_nodes_change_no_prediction(strategy):
    task = whole().sampled(NeighborSampler([3, 3]))
    trainer = gk.Trainer(max_epochs=1, strategy=strategy(), seed=0, progress=False)
    trainer.fit(GCN.from_task(task, hidden_channels=8), task)
    for batch in task.batches("test", 4):
        other = batch.clone()
        other.y[other.root_index] = (other.y[other.root_index] + 1) % 3
        roots = batch.root_index
        assert torch.equal(trainer.strategy.predict(batch)[roots], trainer.strategy.predict(other)[roots])


def test_nodes_count_as_much_as_the_sampler_says():
    """The loss over many subgraphs has the expectation of the loss on the graph, where nothing but nodes is drawn."""
    task = whole()
    for strategy in (gk.strategies.SingleForward(), gk.strategies.ForwardForward()):
        sampled = task.sampled(GraphSAINTNode(10, num_steps=4000))
        network = gk.models.MLP.from_task(task, hidden_channels=8).double()
        trainer = gk.Trainer(max_epochs=1, strategy=strategy, lr=1e-12, seed=0, progress=False, precision="64-true")
        mean = trainer.fit(network, sampled).history[0]["train_loss"]
        trainer = gk.Trainer(max_epochs=1, strategy=strategy, lr=1e-12, seed=0, progress=False, precision="64-true")
        assert mean == pytest.approx(trainer.fit(network, task).history[0]["train_loss"], rel=0.015)


@pytest.mark.parametrize(("make", "model"), [(tiny.sampled_task, GCN), (tiny.graph_task, GIN)], ids=["node", "graph"])
def test_wrong_labels_stay_within_a_step(make, model):
    """Layers that add up their goodness must mean the same wrong labels by the same row."""
    task = make()
    strategy = gk.strategies.LayerCollaborationFF(num_negatives=1)
    network, engine = model.from_task(task, hidden_channels=8), Engine("cpu", 1, "32-true", None)
    strategy.configure_model(network, task, engine)
    strategy.setup(network, task, engine)
    first, second = list(task.batches("train", 6, shuffle=True))
    found = strategy._labelled(first, "train")
    assert strategy._labelled(first, "train") is found
    assert strategy._labelled(second, "train") is not found


def test_a_model_that_reads_roots_itself():
    task = tiny.node_task().sampled(ShaDowKHop(depth=1, budget=3))
    for name in ("scalable", "projections", "drtp", "feedback"):
        assert 0 <= trained(task, STRATEGIES[name](), ShaDowGNN).test <= 1


@pytest.mark.parametrize("strategy", [gk.strategies.ForwardForward(), gk.strategies.TargetProjection()], ids=repr)
def test_evaluation_in_chunks_is_refused(strategy):
    task = whole().sampled(NeighborSampler([3, 3], evaluate="layerwise"))
    with pytest.raises(ValueError, match="NeighborSampler has evaluate='layerwise'; use evaluate='whole' or 'sampled'"):
        trained(task, strategy)


def test_states_that_are_kept_from_step_to_step():
    with pytest.raises(ValueError, match=r"keeps the states of all nodes .*draws other subgraphs .*use SingleForward"):
        trained(whole().sampled(NeighborSampler([3, 3])), gk.strategies.TopDownForward(target="loss"))
