"""LazyGNN: its limit and its first visit in closed form, sampled training, bit-equal resuming, what stays untouched."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.utils import to_undirected

import graphkit as gk
from graphkit.models import LazyGNN
from graphkit.nn import APPNP as Propagation
from graphkit.ops import gcn_norm
from graphkit.samplers import ClusterSampler
from graphkit.testing import random_graph
from tests import tiny

SAMPLER = {"num_clusters": 4, "clusters_per_batch": 2, "halo": 1}


def directed(num_nodes=9):
    graph = random_graph(num_nodes, 24, weighted=True)
    torch.manual_seed(0)
    return graph, LazyGNN(5, 6, out_channels=3, num_nodes=num_nodes, beta=0.7, theta=0.6).double()


def test_a_first_visit_is_plain_propagation_and_its_gradient_that_of_autograd():
    graph, model = directed()
    gradients = []
    for lazy in (True, False):
        model.zero_grad()
        out = model(graph) if lazy else Propagation(2, 0.1)(model.encode(graph), graph.edge_index, graph.edge_weight)
        gradients.append([out.detach(), *torch.autograd.grad(out.square().sum(), list(model.parameters()))])
    for value, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(value, expected)


def test_many_visits_reach_the_limit_of_states_and_gradients():
    graph, model = directed()
    for _ in range(200):
        x = model.encode(graph)
        out = model.step(0, [x], graph)
        (gradient,) = torch.autograd.grad(out.sum(), x)
    matrix = gcn_norm(graph.edge_index, graph.edge_weight, size=9).to_dense()
    # the memory shifts the start, and so what so few steps reach, in a known way
    for found, given, share, P in ((out, x, 0.7, matrix), (gradient, torch.ones(9, 3), 0.6, matrix.T)):
        eye, start = torch.eye(9).double(), given.detach().double()
        steps = 0.9 * P @ (0.9 * P)
        reached = 0.1 * start + 0.9 * P @ (0.1 * start) + share * steps @ start
        torch.testing.assert_close(found, torch.linalg.solve(eye - (1 - share) * steps, reached))


def test_an_evaluation_touches_nothing():
    graph, model = directed()
    model(graph)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.eval()
    assert torch.equal(model(graph), Propagation(7, 0.1)(model.encode(graph), graph.edge_index, graph.edge_weight))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_batches_with_a_halo_have_blocks_of_the_whole_matrix(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHKIT_DATA", str(tmp_path))
    graph = random_graph(20, 60, weighted=True, edge_dim=None)
    graph.edge_index, graph.edge_weight = to_undirected(graph.edge_index, graph.edge_weight)
    whole = gcn_norm(graph.edge_index, graph.edge_weight, size=20).to_dense()
    roots, seen = torch.tensor([1, 2, 3, 7, 12]), []
    for batch in ClusterSampler(5, 2, halo=1).batches(graph, roots, shuffle=True):
        n_id, own = batch.n_id, ~batch.halo
        assert torch.equal(batch.halo.sort().values, batch.halo)
        matrix = gcn_norm(
            batch.edge_index, batch.edge_weight, size=n_id.numel(), full_degree=batch.full_degree
        ).to_dense()
        torch.testing.assert_close(matrix, whole[n_id][:, n_id])
        torch.testing.assert_close(matrix[own].sum(1), whole[n_id[own]].sum(1))  # nothing is missing there
        seen += n_id[batch.root_index].tolist()
        assert bool(own[batch.root_index].all())
    assert sorted(seen) == roots.tolist()


@pytest.mark.parametrize("sampled", [False, True])
def test_memories_survive_training_and_a_resumed_run_is_bit_equal(sampled, tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHKIT_DATA", str(tmp_path / "data"))
    task = tiny.task("node multiclass")
    task = task.sampled(ClusterSampler(**SAMPLER)) if sampled else task
    weights = []
    for epochs in ((6,), (3, 6)):
        for count in epochs:
            model, folder = LazyGNN.from_task(task, dropout=0.5), tmp_path / str(len(epochs))
            trainer = gk.Trainer(max_epochs=count, seed=0, progress=False, run_dir=folder, restore_best=False)
            trainer.fit(model, task, resume=folder.exists())
        assert bool(model.states.known.any())
        assert bool(model.gradients.rows.any())
        weights.append(model.state_dict())
    assert all(torch.equal(first, second) for first, second in zip(*map(dict.values, weights), strict=True))


def test_refusals():
    graph, model = directed()
    graph.edge_weight.requires_grad_()
    with pytest.raises(ValueError, match="its own gradient, while training, has none for edge_weight"):
        model(graph)
    model.eval()(graph).sum().backward()
    assert graph.edge_weight.grad is not None
    graph.edge_weight = None
    with pytest.raises(RuntimeError, match="its own gradient has no gradient"):
        torch.autograd.grad(model.train()(graph).sum(), list(model.parameters()), create_graph=True)
    with pytest.raises(ValueError, match=r"LazyGNN: beta=1.5, must be in \[0, 1\]"):
        LazyGNN(5, beta=1.5)
