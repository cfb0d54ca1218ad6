"""Energies: derivatives against autograd, convexity, solvers, warm starts, and what is said without a minimiser."""

from __future__ import annotations

import pytest
import torch

import graphkit as gk
from graphkit.models import EnergyGNN
from graphkit.nn import DenoisingEnergy, EdgewiseEnergy
from graphkit.nn.implicit.minimize import conjugate_gradients
from graphkit.testing import random_graph
from tests import tiny

LAYERS = {
    "edgewise": lambda **given: EdgewiseEnergy(5, 3, tau=0.3, message_channels=4, edge_dim=3, **given),
    "denoising": lambda **given: DenoisingEnergy(5, 3, gamma=0.7, **given),
}


def drawn(name, **given):
    torch.manual_seed(0)
    graph = random_graph(9, 24, num_isolated=1)
    layer = LAYERS[name](**given).double()
    return layer, graph, layer.energy(graph.x, graph.edge_index, graph.edge_attr)


@pytest.mark.parametrize("name", LAYERS)
def test_derivatives_are_those_of_autograd(name):
    _, _, energy = drawn(name)
    generator = torch.Generator().manual_seed(1)
    h, v = (torch.randn(9, 3, generator=generator).double() for _ in range(2))
    gradient, product = torch.autograd.functional.vhp(lambda h: energy.value(h), h, v)
    torch.testing.assert_close(energy.value(h), gradient)
    torch.testing.assert_close(energy.hessian(h)(v), product)
    torch.testing.assert_close(energy.gradient(h), torch.autograd.functional.jacobian(energy.value, h))


@pytest.mark.parametrize(("name", "modulus"), [("edgewise", 0.3), ("denoising", 1.0)])
@pytest.mark.parametrize("scale", [0.1, 10])
def test_eigenvalues_of_hessians_lie_between_the_modulus_and_the_curvature(name, modulus, scale):
    layer, graph, _ = drawn(name)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(3)
        energy = layer.energy(graph.x, graph.edge_index, graph.edge_attr)
        h = scale * torch.randn(9, 3, generator=torch.Generator().manual_seed(1)).double()
        hessian = torch.stack([energy.hessian(h)(unit.view(9, 3)).flatten() for unit in torch.eye(27).double()])
    torch.testing.assert_close(hessian, hessian.T)
    eigenvalues = torch.linalg.eigvalsh(hessian)
    assert modulus - 1e-12 <= eigenvalues[0] < eigenvalues[-1] <= energy.curvature() + 1e-12


@pytest.mark.parametrize("name", LAYERS)
def test_solvers_find_the_same_states(name):
    states = []
    for solver, tol in (("newton", 1e-12), ("lbfgs", None), ("descent", 1e-9)):
        layer, graph, _ = drawn(name, solver=solver, tol=tol)
        states.append(layer(graph.x, graph.edge_index, graph.edge_attr))
        assert 0 < layer.residual <= (tol or 1.5e-8)
        assert layer.iterations > 0
    torch.testing.assert_close(states[1], states[0], rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(states[2], states[0], rtol=1e-6, atol=1e-7)


def test_a_search_that_begins_at_the_end_takes_no_step():
    layer, graph, _ = drawn("edgewise")
    cold = layer(graph.x, graph.edge_index, graph.edge_attr)
    steps = layer.iterations
    warm = layer(graph.x, graph.edge_index, graph.edge_attr, start=cold.detach())
    assert layer.iterations == 0 < steps
    torch.testing.assert_close(warm, cold)


@pytest.mark.parametrize("solver", ["newton", "descent", "lbfgs"])
def test_a_minimiser_that_was_not_found_is_told(solver):
    layer, graph, _ = drawn("edgewise", solver=solver, max_iterations=1, tol=1e-9)
    with pytest.raises(RuntimeError, match=rf"solver='{solver}' left 0\.\d+ of the gradient after 1 iterations"):
        layer(graph.x, graph.edge_index, graph.edge_attr)


def test_refusals():
    layer, graph, _ = drawn("edgewise")
    with pytest.raises(ValueError, match="edge_attr is missing, which edge_dim asks for"):
        layer(graph.x, graph.edge_index)
    with pytest.raises(ValueError, match="EdgewiseEnergy: tau=0, must be positive"):
        EdgewiseEnergy(5, 3, tau=0)
    with pytest.raises(ValueError, match="edge_dim=3, but energy='denoising' reads no edge features"):
        EnergyGNN(5, energy="denoising", edge_dim=3)


def test_conjugate_gradients():
    root = torch.randn(6, 6, generator=torch.Generator().manual_seed(0)).double()
    matrix, b = root @ root.T + torch.eye(6), torch.arange(6.0).double()
    torch.testing.assert_close(conjugate_gradients(matrix.mv, b, 1e-14), torch.linalg.solve(matrix, b))
    assert conjugate_gradients(matrix.mv, 0 * b, 1e-14).tolist() == [0] * 6


def test_training_remembers_states_and_goes_on_bit_equal(tmp_path):
    task = tiny.task("node multiclass")
    weights = []
    for epochs in ((6,), (3, 6)):
        model, folder = EnergyGNN.from_task(task), tmp_path / str(len(epochs))
        assert model.num_nodes == task.graphs[0].num_nodes
        for count in epochs:
            trainer = gk.Trainer(max_epochs=count, seed=0, progress=False, run_dir=folder, restore_best=False)
            trainer.fit(model, task, resume=folder.exists())
        assert bool(model.memory.known.all())
        weights.append(model.state_dict())
    assert all(torch.equal(first, second) for first, second in zip(*map(dict.values, weights), strict=True))


def test_other_graphs_are_not_remembered_and_foreign_nodes_are_refused():
    graph = random_graph(9, 24)
    model = EnergyGNN(5, 3, num_nodes=20).double()
    model(graph)
    assert not model.memory.known.any()
    graph.n_id = torch.arange(5, 14)
    model(graph)
    assert model.memory.known.nonzero().flatten().tolist() == list(range(5, 14))
    graph.n_id = torch.arange(15, 24)
    with pytest.raises(ValueError, match="the batch has node 23, but num_nodes=20"):
        model(graph)
