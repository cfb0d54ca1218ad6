"""Embeddings of users and items: PyG's LightGCN, counts by hand, the regulariser, maps of sheaves."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
import torch_geometric.nn as pyg
from torch_geometric.data import Data

import graphkit as gk
from graphkit.models import ItemKNN, LightGCN, MatrixFactorization, Popularity, Sheaf4Rec
from graphkit.nn.sheaf import sheaf_laplacian
from tests.tasks.test_ranking_task import NUM_ITEMS, NUM_USERS, tiny

SIZE = NUM_USERS + NUM_ITEMS


def test_light_gcn_is_that_of_pyg():
    graph = tiny().graphs[0]
    ours, theirs = LightGCN(SIZE, 8, num_layers=3), pyg.LightGCN(SIZE, 8, num_layers=3)
    theirs.embedding.weight.data.copy_(ours.embedding.weight)
    weight = torch.rand(graph.num_edges)
    for given in (None, weight):
        batch = graph.clone() if given is None else Data(**graph.to_dict(), edge_weight=given)
        expected = theirs.get_embedding(graph.edge_index, given)
        assert torch.allclose(ours(batch), expected, atol=1e-6)
    ours(graph).square().sum().backward()
    theirs.get_embedding(graph.edge_index).square().sum().backward()
    assert torch.allclose(ours.embedding.weight.grad, theirs.embedding.weight.grad, atol=1e-5)


@pytest.mark.parametrize("make", [LightGCN, MatrixFactorization, Sheaf4Rec])
def test_what_a_batch_judges_is_pulled_towards_zero(make):
    task = tiny(num_negatives=2)
    model = make(SIZE, 8, regularization=0.5)
    (batch,) = task.batches("train")
    model(batch)
    e, users, items = model.embedding.weight, *batch.edge_label_index
    n = len(batch.edge_label)
    expected = 0.5 * (e[users[::3]].square().sum() + e[items].square().sum()) / (2 * n)
    assert torch.isclose(model.auxiliary_loss(), expected)
    model.eval()(batch)
    assert model.auxiliary_loss() == 0
    loss = gk.Trainer(max_epochs=1, progress=False).fit(make.from_task(task, hidden_channels=8), task).history[0]
    assert loss["train_auxiliary_loss"] > 0


def test_link_tasks_take_embeddings_too():
    task = gk.load("karate-links")
    result = gk.Trainer(max_epochs=2, progress=False).fit(LightGCN.from_task(task, hidden_channels=8), task)
    assert 0 <= result.test <= 1


@pytest.mark.parametrize(("stalk_dim", "maps"), [(1, "diag"), (3, "diag"), (2, "bundle")])
def test_a_step_is_a_step_of_diffusion(stalk_dim, maps):
    graph, width = tiny().graphs[0], 6
    model = Sheaf4Rec(SIZE, width, num_layers=2, stalk_dim=stalk_dim, maps=maps, step_size=0.7).double()
    states = model(graph).split(width, dim=1)
    assert torch.equal(states[0], model.embedding.weight)
    for i, (x, new) in enumerate(pairwise(states)):
        dense = model.laplacian(i, x, graph).to_dense()
        assert torch.allclose(dense, dense.t())
        y = model.layers[i].lin(x).view(SIZE * stalk_dim, -1)
        assert torch.allclose(new, x - 0.7 * (dense @ y).view(SIZE, width))
    if stalk_dim == 1:
        x, (v, u) = states[0], graph.edge_index
        maps = torch.tanh(torch.cat([x[v], x[u]], dim=1) @ model.layers[0].learner.weight.t())
        expected = sheaf_laplacian(graph.edge_index, maps, "diag", size=SIZE).to_dense()
        assert torch.allclose(model.laplacian(0, x, graph).to_dense(), expected)


def test_items_without_interactions_keep_their_embedding():
    graph = tiny().graphs[0].clone()
    graph.edge_index = graph.edge_index[:, (graph.edge_index != SIZE - 1).all(0)]
    model = Sheaf4Rec(SIZE, 4, num_layers=2)
    assert torch.allclose(model(graph)[-1], model.embedding.weight[-1].repeat(3))


@pytest.mark.parametrize("k", [2, 100])
def test_neighbours_of_items_by_hand(k):
    task = tiny()
    users, items = task.chosen("train").tolist()
    of_item = [{u for u, i in zip(users, items, strict=True) if i == item} for item in range(NUM_ITEMS)]

    def similar(i, j):
        both = len(of_item[i] & of_item[j]) if i != j else 0
        return both / (len(of_item[i]) * len(of_item[j])) ** 0.5 if both else 0.0

    least = [
        sorted((similar(i, j) for j in range(NUM_ITEMS)), reverse=True)[min(k, NUM_ITEMS) - 1] for i in range(NUM_ITEMS)
    ]
    expected = [
        [
            sum(similar(i, j) for j in range(NUM_ITEMS) if u in of_item[j] and similar(i, j) >= least[i])
            for i in range(NUM_ITEMS)
        ]
        for u in range(NUM_USERS)
    ]
    assert torch.allclose(ItemKNN(k)(task.graphs[0]), torch.tensor(expected), atol=1e-5)
    counts = [float(len(chosen)) for chosen in of_item]
    assert torch.equal(Popularity()(task.graphs[0]), torch.tensor([counts] * NUM_USERS))


def test_communities_are_found():
    task = gk.load("planted-interactions", num_users=200, num_items=120, per_user=15)
    trainer = gk.Trainer(max_epochs=15, batch_size=1024, progress=False)
    result = trainer.fit(LightGCN.from_task(task, hidden_channels=32), task)
    assert result.test > 2 * result.baseline
    assert gk.Trainer(progress=False).fit(ItemKNN(), task).test > 2 * result.baseline


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden_channels": 5, "stalk_dim": 2}, "hidden_channels=5 is no multiple of stalk_dim=2"),
        ({"maps": "bundle"}, "1"),
        ({"num_layers": 0}, "num_layers=0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Sheaf4Rec(4, **arguments)


def test_other_graphs_are_refused():
    with pytest.raises(ValueError, match="LightGCN has embeddings of 5 nodes, but the graph has 27"):
        LightGCN(5)(tiny().graphs[0])
    with pytest.raises(ValueError, match=r"ItemKNN counts interactions .* is a link task; use a RankingTask"):
        ItemKNN.from_task(gk.load("karate-links"))
