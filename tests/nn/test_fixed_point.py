"""FixedPoint: closed forms of values and gradients, uniqueness, and what is said where there is no fixed point."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from graphkit.nn import APPNP, FixedPoint, GCNConv
from graphkit.ops import gcn_norm
from graphkit.testing import random_graph

SOLVERS = ["anderson", "plain"]


@pytest.mark.parametrize("solver", SOLVERS)
def test_appnp_to_convergence_has_its_closed_form(solver):
    graph, alpha = random_graph(9, 24, num_isolated=1, weighted=True), 0.1
    step = APPNP(1, alpha)
    layer = FixedPoint(lambda z, x, weight: step(z, graph.edge_index, weight, x), solver, tol=1e-13)
    results = []
    for implicit in (True, False):
        x, weight = graph.x.clone().requires_grad_(), graph.edge_weight.clone().requires_grad_()
        if implicit:
            z = layer(torch.zeros_like(x), x, weight)
        else:
            matrix = gcn_norm(graph.edge_index, weight, size=9).to_dense()
            z = alpha * torch.linalg.solve(torch.eye(9).double() - (1 - alpha) * matrix, x)
        results.append([z, *torch.autograd.grad(z.square().sum(), [x, weight])])
    for value, expected in zip(*results, strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-11)
    assert 0 < layer.residual <= 1e-13


def test_anderson_takes_fewer_steps():
    graph = random_graph(40, 160)
    step = APPNP(1, 0.02)
    layers = [FixedPoint(lambda z, x: step(z, graph.edge_index, None, x), solver) for solver in SOLVERS]
    states = [layer(graph.x, graph.x) for layer in layers]
    torch.testing.assert_close(*states, rtol=1e-7, atol=1e-8)
    assert layers[0].iterations < layers[1].iterations / 4


class Equilibrium(nn.Module):
    """A graph convolution of the state whose weights have the norm 0.9, and a source."""

    def __init__(self, width):
        super().__init__()
        self.conv = GCNConv(width, width)
        self.conv.lin = parametrizations.spectral_norm(nn.Linear(width, width, bias=False), n_power_iterations=50)
        self.conv.eval()

    def forward(self, z, x, edge_index):
        return torch.tanh(0.9 * self.conv(z, edge_index) + x)


@pytest.mark.parametrize("solver", SOLVERS)
def test_gradients_are_those_of_finite_differences(solver):
    torch.manual_seed(0)
    graph = random_graph(5, 10)
    layer = FixedPoint(Equilibrium(5).double().eval(), solver, tol=1e-14)
    inputs = [graph.x.requires_grad_(), *layer.parameters()]
    assert len(inputs) == 3

    def call(x, *parameters):
        named = dict(zip([name for name, _ in layer.named_parameters()], parameters, strict=True))
        return torch.func.functional_call(layer, named, (torch.zeros_like(x), x, graph.edge_index))

    assert torch.autograd.gradcheck(call, inputs, eps=1e-6, atol=1e-6)


def test_second_derivatives_are_refused():
    x = torch.ones(2, requires_grad=True)
    z = FixedPoint(lambda z, x: torch.tanh(0.5 * z + x))(torch.zeros(2), x)
    with pytest.raises(RuntimeError, match="implicit gradients have no gradients of their own"):
        torch.autograd.grad(z.sum(), x, create_graph=True)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_normalised_subhomogeneous_map_has_one_fixed_point(solver):
    graph = random_graph(9, 24)
    weight = torch.rand(5, 5, generator=torch.Generator().manual_seed(0)).double() * 3  # contracts in no norm
    matrix = gcn_norm(graph.edge_index, size=9)

    def f(z, x):
        out = torch.tanh(matrix.matmul(z @ weight) + x) + 1.2
        return out / out.norm(dim=1, keepdim=True)

    layer = FixedPoint(f, solver, tol=1e-12)
    starts = [torch.rand(9, 5, generator=torch.Generator().manual_seed(seed)).double() * 10 for seed in range(3)]
    states = [layer(start, graph.x.abs()) for start in starts]
    torch.testing.assert_close(states[1], states[0], rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(states[2], states[0], rtol=1e-9, atol=1e-10)


def test_edge_cases():
    halve = FixedPoint(lambda z: 0.5 * z, "plain")
    torch.testing.assert_close(halve(torch.ones(3)), torch.zeros(3), rtol=0, atol=1e-4)
    assert halve(torch.ones(0, 4)).shape == (0, 4)
    assert halve(torch.zeros(3)).tolist() == [0, 0, 0]
    with torch.no_grad():
        assert not halve(torch.ones(3)).requires_grad


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: FixedPoint(lambda z: z.exp())(torch.ones(2)), RuntimeError, "f does not contract"),
        (
            lambda: FixedPoint(lambda z: 2 * z + 1, "plain")(torch.ones(2)),
            RuntimeError,
            "residual inf after .* not contract, .* factor 2",
        ),
        (
            lambda: FixedPoint(lambda z: 1 - z, "plain", max_iterations=9)(torch.ones(2)),
            RuntimeError,
            r"FixedPoint: the state has the residual 1 after 9 iterations, must be at most .*; f does not contract",
        ),
        (
            lambda: FixedPoint(lambda z: 0.99 * z + 1, "plain", max_iterations=20)(torch.ones(2)),
            RuntimeError,
            r"f contracts slowly, by 0.99.*, so raise max_iterations",
        ),
        (
            lambda: FixedPoint(lambda z: z[:1])(torch.ones(2)),
            ValueError,
            r"FixedPoint: f takes a state of shape \[2\] to \[1\], must keep the shape",
        ),
        (lambda: FixedPoint(torch.tanh, "newton"), ValueError, "FixedPoint: solver='newton'"),
        (lambda: FixedPoint(torch.tanh, tol=0), ValueError, "FixedPoint: tol=0, must be positive"),
    ],
)
def test_what_has_no_fixed_point_is_told(make, error, message):
    with pytest.raises(error, match=message):
        make()
