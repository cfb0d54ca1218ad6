"""States under predictions: those of the model, by every strategy that has one per node."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

import graphkit as gk
from graphkit.models import LayeredModel
from graphkit.samplers import NeighborSampler
from graphkit.training.strategies.layerwise import LabelInput
from tests import tiny
from tests.common.test_cross_product import MODELS
from tests.training.forward import KINDS, model_for
from tests.training.test_unlabelled import WITH_BACKPROP, cases, new_graph, trained, trained_or_skipped


@pytest.mark.parametrize("kind", ["node multiclass", "graph multiclass"])
@pytest.mark.parametrize("name", MODELS)
def test_decode_makes_the_predictions_of_what_is_embedded(name, kind):
    task, model, trainer = trained_or_skipped(name, kind)
    new = new_graph()
    if not isinstance(model, LayeredModel):
        with pytest.raises(
            TypeError, match=r"embed reads the states of a LayeredModel, got a \w+; use torch_geometric"
        ):
            trainer.embed(new)
        return
    states = trainer.embed(new, layer="all")
    assert len(states) == len(model.layers) + 1
    assert [state.size(0) for state in states] == [9] * len(states)
    assert torch.equal(states[-1], trainer.embed(new))
    assert torch.equal(states[0], trainer.embed(new, layer=0))
    if type(model).node_states is LayeredModel.node_states:  # else decode reads more than a state per node
        (batch,) = task.loader.unlabelled([_wanted(model, new)], None)
        with torch.no_grad():
            torch.testing.assert_close(model.eval().decode(states[-1], batch), trainer.predict(new))


def _wanted(model, graph):
    transform = model.required_transform()
    return graph if transform is None else transform(graph)


@pytest.mark.parametrize(("name", "kind"), cases())
def test_every_strategy_embeds_or_says_why_not(name, kind):
    task = tiny.task(KINDS[kind])
    trainer = trained(WITH_BACKPROP[name](), task)
    strategy = trainer.strategy
    if isinstance(strategy, LabelInput) and (not task.judges_pairs or any(strategy.model.added_inputs)):
        with pytest.raises(
            TypeError, match=f"embed: {type(strategy).__name__} shows layers more than the states below"
        ):
            trainer.embed(new_graph())
        return
    states = trainer.embed(new_graph(), layer="all")
    assert [list(state.shape) for state in states] == [[9, 6], *([9, width] for width in _widths(trainer))]
    assert all(torch.isfinite(state).all() for state in states)


def _widths(trainer):
    return [state.size(1) for state in trainer.embed(new_graph(7), layer="all")[1:]]


def test_scalable_forward_forward_hands_on_what_its_norms_make():
    trainer = trained(gk.strategies.ScalableFF(), tiny.task("node multiclass"))
    norm = trainer.strategy.norms[-1]
    normal = (trainer.embed(new_graph()) - norm.bias) / norm.weight
    torch.testing.assert_close(normal.mean(1), torch.zeros(9), atol=1e-5, rtol=0)


@pytest.mark.parametrize("stage", ["train", "val", "test"])
@pytest.mark.parametrize("evaluate", [None, "whole", "sampled", "layerwise"])
def test_rows_are_those_of_the_split(evaluate, stage):
    task = tiny.node_task()
    task = task if evaluate is None else task.sampled(NeighborSampler([-1, -1, -1], evaluate=evaluate))
    trainer = trained(None, task, model_for(task, tiny.SAGEStack if evaluate == "sampled" else gk.models.GCN))
    whole = trainer.embed(task, layer="all")
    some = trainer.embed(task, stage, layer="all")
    for all_nodes, part in zip(whole, some, strict=True):
        torch.testing.assert_close(part, all_nodes[getattr(task.split, stage)], rtol=1e-4, atol=1e-5)


def test_graphs_and_links():
    task = tiny.task("graph multiclass")
    trainer = trained(None, task)
    assert trainer.embed(task).size(0) == sum(graph.num_nodes for graph in task.graphs)
    ids = task.split.test.tolist()
    torch.testing.assert_close(trainer.embed(task, "test"), trainer.embed([task.graphs[i] for i in ids]))
    links = tiny.task("link")
    trainer = trained(None, links, gk.models.GCN.from_task(links, hidden_channels=8))
    states = trainer.embed(links)
    source, target = links.split.test
    scores = (states[source] * states[target]).sum(1)
    torch.testing.assert_close(trainer.predict(links)[0][: source.numel(), 0], scores)
    assert not torch.equal(trainer.embed(links, "train"), states), "test messages are other ones"
    data = Data(x=links.graphs[0].x, edge_index=links.stage_graph("test").edge_index)
    torch.testing.assert_close(trainer.embed(data), states)


def test_sparse_features_are_dense_where_they_are_asked_for():
    data = tiny.graph()
    data.x, data.y = torch.eye(24, 200), torch.arange(24) % 3
    trainer = trained(None, gk.NodeTask("words", data, tiny.split(24)))
    assert torch.equal(trainer.embed(data, layer=0), data.x)


@pytest.mark.parametrize("precision", ["bf16-true", "bf16-mixed", "64-true"])
def test_precision(precision):
    task = tiny.node_task()
    expected = torch.float64 if precision == "64-true" else torch.float32
    assert trained(None, task, precision=precision).embed(task).dtype == expected


def test_what_cannot_be_embedded_is_named():
    task = tiny.task("node multiclass")
    with pytest.raises(RuntimeError, match=r"embed needs a trained model: call fit\(model, task\) first"):
        gk.Trainer().embed(task)
    trainer = trained(None, task)
    for layer in (5, -9):
        with pytest.raises(ValueError, match=r"embed: layer=.*, must be in 0\.\.\d \(0: before the first layer\), -1"):
            trainer.embed(task, layer=layer)
    with pytest.raises(ValueError, match="embed: layer='last', choose from: all; or an integer"):
        trainer.embed(task, layer="last")
    with pytest.raises(TypeError, match=r"embed: layer=1\.0, must be an integer or 'all'"):
        trainer.embed(task, layer=1.0)
