"""What a task has and a model does not read is said once, by name."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
from torch_geometric.nn import GAT, GCN, GraphSAGE

import graphkit as gk
from graphkit.models.unread import UnreadWarning
from tests import tiny
from tests.temporal import streams


def warnings_of(model, task):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gk.Trainer(max_epochs=1, progress=False, accelerator="cpu").fit(model, task)
    found = [warning for warning in caught if issubclass(warning.category, UnreadWarning)]
    assert all(warning.filename == __file__ for warning in found)
    return [str(warning.message) for warning in found]


def task_with(make=tiny.node_task, **attributes):
    task = make()
    graphs = []
    for graph in task.graphs:
        new = copy.copy(graph)
        for key, value in attributes.items():
            new[key] = value(graph)
        graphs.append(new)
    return type(task)("own", graphs if task.joins_graphs else graphs[0], task.split, task.target.name)


def weights(graph):
    return torch.rand(graph.num_edges)


def attributes(graph):
    return torch.rand(graph.num_edges, 3)


def one_way(graph):
    return graph.edge_index[:, : graph.num_edges // 2]


def told(message):
    """What a warning tells, and the models that it names."""
    head, _, names = message.removesuffix(" do").partition("; ")
    return head, set(names.split(", "))


def test_edge_weights():
    task = task_with(edge_weight=weights)
    (message,) = warnings_of(gk.models.MLP.from_task(task), task)
    head, names = told(message)
    assert head == "task 'own' has edge_weight, which MLP does not read"
    assert names >= {"APPNP", "GCN", "GRAND", "PPGNpp", "SheafNetwork"}
    assert not names & {"MLP", "DeepSets", "MPNN", "PathNN", "NCN"}
    assert warnings_of(gk.models.GCN.from_task(task), task) == []
    assert warnings_of(gk.models.MLP.from_task(task), task_with(edge_weight=lambda g: torch.ones(g.num_edges))) == []
    assert warnings_of(gk.models.MPNN.from_task(task), task) == [message.replace("which MLP", "which MPNN")]


def test_what_arguments_decide():
    task = task_with(edge_weight=weights)
    (message,) = warnings_of(gk.models.GRAND.from_task(task, time=1.0), task)
    head, names = told(message)
    assert head == "task 'own' has edge_weight, which GRAND does not read with these arguments"
    assert "GCN" in names
    assert "GRAND" not in names
    assert warnings_of(gk.models.GRAND.from_task(task, time=1.0, reweight=True), task) == []


def test_edge_features_of_graphs():
    task = task_with(tiny.graph_task, edge_attr=attributes)
    (message,) = warnings_of(gk.models.GIN.from_task(task), task)
    head, names = told(message)
    assert head == "task 'own' has edge_attr, which GIN does not read with these arguments"
    assert names >= {"DRew", "KLGNN", "PPGNpp", "PathNN", "SheafNetwork"}
    assert not names & {"SGC", "APPNP"}
    assert warnings_of(gk.models.PPGNpp.from_task(task), task) == []


def test_directions():
    task = task_with(edge_index=one_way)
    (message,) = warnings_of(gk.models.SheafDiffusion.from_task(task), task)
    head, names = told(message.replace(" tell them apart", " do"))
    assert head == "task 'own' has directed edges, which SheafDiffusion reads in both directions"
    assert {"APPNP", "GCN"} <= names
    assert not {"MLP", "SheafDiffusion"} & names
    assert warnings_of(gk.models.MLP.from_task(task), task) == []  # without edges on purpose
    assert warnings_of(gk.models.SheafDiffusion.from_task(tiny.node_task()), tiny.node_task()) == []
    repeated = task_with(edge_index=lambda g: torch.cat([g.edge_index, one_way(g)], dim=1))  # of which one is read
    assert warnings_of(gk.models.SheafDiffusion.from_task(repeated), repeated) == []


@pytest.mark.parametrize(("module", "ignored"), [(GCN, "edge_attr"), (GraphSAGE, "both"), (GAT, "both")])
def test_pygs_models(module, ignored):
    task = task_with(edge_weight=weights, edge_attr=attributes)
    names = [message.split(" has ")[1].split(",")[0] for message in warnings_of(module(6, 8, 2, 3), task)]
    assert names == (["edge_weight", "edge_attr"] if ignored == "both" else [ignored])
    task = task_with(edge_attr=attributes)
    assert warnings_of(GAT(6, 8, 2, 3, edge_dim=3), task) == []


def test_pairs_are_scored_by_an_encoder():
    task = tiny.link_task()
    graph = copy.copy(task.graphs[0])
    graph.edge_weight = weights(graph)
    task = gk.LinkTask("own", graph, task.split)
    (message,) = warnings_of(gk.models.NCN.from_task(task, encoder="MPNN"), task)
    head, names = told(message)
    assert head == "task 'own' has edge_weight, which NCN with encoder MPNN does not read"
    assert {"APPNP", "GCN"} <= names
    assert warnings_of(gk.models.NCN.from_task(task), task) == []


@pytest.mark.parametrize("name", [n for n, c in gk.strategies.registry.classes().items() if "graphkit" in c.__module__])
def test_no_strategy_drops_edge_weights(name):
    losses = []
    for attributes in ({}, {"edge_weight": weights}):
        task = task_with(**attributes)
        takes_turns = name == "ExpertTurns"
        model = gk.models.Mowst.from_task(task) if takes_turns else gk.models.GCN.from_task(task, hidden_channels=8)
        result = gk.Trainer(max_epochs=1, strategy=name, progress=False, accelerator="cpu").fit(model, task)
        losses.append(result.history[-1]["train_loss"])
    assert losses[0] != losses[1]


def test_weights_that_a_sampler_gives():
    task = tiny.node_task().sampled(gk.samplers.GraphSAINTNode(8))
    (message,) = warnings_of(gk.models.MPNN.from_task(task), task)
    assert message.startswith("task 'tiny node multiclass' has edge_weight, which MPNN does not read")
    assert warnings_of(gk.models.GCN.from_task(task), task) == []


def test_models_of_events_are_named_to_models_of_events_alone():
    events = streams.task(channels=2)
    (message,) = warnings_of(gk.models.EdgeBank.from_task(events), events)
    head, names = told(message)
    assert "EdgeBank does not read" in head
    assert {name for name in names if hasattr(gk.models, name)} == {"DyRep", "GraphMixer", "JODIE", "NAT", "TGN"}
    task = task_with(edge_attr=attributes)
    (message,) = warnings_of(gk.models.MLP.from_task(task), task)
    assert not told(message)[1] & names
