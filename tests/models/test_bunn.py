"""BuNN: rotations, heat kernels and layers against dense algebra, and what arguments go together."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch, Data

from graphkit import nn
from graphkit.models import BuNN
from graphkit.nn.heat_kernel import SpectralHeatKernel
from graphkit.nn.sheaf import rotate
from graphkit.nn.sheaf.bundles import Frames
from graphkit.testing import random_graph
from graphkit.transforms import LaplacianEigenvectors, Undirected

METHODS = [("euler", 2), ("euler", 3), ("householder", 2), ("householder", 4), ("cayley", 3), ("matrix_exp", 3)]


@torch.no_grad()
@pytest.mark.parametrize(("method", "d"), METHODS)
def test_frames_are_orthogonal_in_single_precision(method, d):
    torch.manual_seed(0)
    count = d * (d + 1) // 2 if method in ("cayley", "matrix_exp") else d * (d - 1) // 2
    frames = Frames(torch.randn(10_000, 16 * count), 16, d, method)
    x = torch.randn(10_000, 16 * d * 2)
    rotated = frames.into(x)
    torch.testing.assert_close(frames.back(rotated), x, atol=2e-5, rtol=0)
    assert not torch.allclose(rotated, x)


@pytest.mark.parametrize("inverse", [False, True])
def test_rotations_have_the_right_derivatives(inverse):
    angle, x = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 3, 2, 4, dtype=torch.float64)
    given = (angle.requires_grad_(), x.requires_grad_())

    def turned(angle, x):
        return rotate(angle.cos(), angle.sin(), x, inverse)

    sign = -1 if inverse else 1
    matrix = torch.stack([angle.cos(), -sign * angle.sin(), sign * angle.sin(), angle.cos()], -1).view(5, 3, 2, 2)
    torch.testing.assert_close(turned(angle, x), matrix @ x)
    assert torch.autograd.gradcheck(turned, given)
    assert torch.autograd.gradgradcheck(turned, given)


def _graph(num_nodes=12, num_edges=20, num_features=4):
    graph = Undirected()(Data(edge_index=random_graph(num_nodes, num_edges).edge_index, num_nodes=num_nodes))
    return Data(x=torch.randn(num_nodes, num_features, dtype=torch.float64), edge_index=graph.edge_index)


def _laplacian(graph, norm="sym"):
    a = torch.zeros(graph.num_nodes, graph.num_nodes, dtype=torch.float64)
    a[graph.edge_index[1], graph.edge_index[0]] = 1.0
    degree = a.sum(1).clamp(min=1)
    scaled = a / degree[:, None] if norm == "row" else a / degree.sqrt() / degree.sqrt()[:, None]
    return torch.eye(graph.num_nodes, dtype=torch.float64) - scaled


@pytest.mark.parametrize("norm", ["sym", "row"])
@pytest.mark.parametrize(("tau", "degree"), [(1.0, 8), (10.0, 6), (1.5, 4)])
def test_taylor_is_the_truncated_series_not_the_exponential(tau, degree, norm):
    graph = _graph()
    power = total = graph.x
    for k in range(1, degree + 1):
        power = -tau / k * (_laplacian(graph, norm) @ power)
        total = total + power
    out = nn.HeatKernel(tau, degree, norm=norm)(graph.x, graph.edge_index)
    torch.testing.assert_close(out, total, rtol=1e-9, atol=1e-9 * float(total.abs().max()))


@pytest.mark.parametrize("norm", ["sym", "row"])
@pytest.mark.parametrize(("tau", "degree"), [(1.0, 14), (10.0, 30)])
def test_chebyshev_is_the_exponential(tau, degree, norm):
    graph = _graph()
    exact = torch.linalg.matrix_exp(-tau * _laplacian(graph, norm)) @ graph.x
    out = nn.HeatKernel(tau, degree, "chebyshev", norm)(graph.x, graph.edge_index)
    torch.testing.assert_close(out, exact, rtol=0, atol=1e-9)


def test_all_eigenvectors_are_the_exponential_graph_by_graph():
    graphs = [_graph(n, 3 * n) for n in (5, 8, 6)]
    batch = Batch.from_data_list([LaplacianEigenvectors(8)(graph) for graph in graphs])
    kernel = SpectralHeatKernel(2, tau=3.0).double()
    with torch.no_grad():
        kernel.tau[0] = -1.0  # no diffusion
    out = kernel(batch.x, batch.laplacian_values, batch.laplacian_vectors, batch.batch)
    for graph, part in zip(graphs, out.split([5, 8, 6]), strict=True):
        connected = torch.zeros(graph.num_nodes, dtype=torch.bool)
        connected[graph.edge_index[0]] = True
        exact = torch.linalg.matrix_exp(-kernel.tau[1] * _laplacian(graph)) @ graph.x
        torch.testing.assert_close(part[:, :2], graph.x[:, :2])
        torch.testing.assert_close(part[connected, 2:], exact[connected, 2:])
        torch.testing.assert_close(part[~connected], graph.x[~connected])


def test_equal_frames_are_heat_diffusion_whatever_they_are():
    model = BuNN(4, 8, num_layers=1, layer="paper", learner_layers=0, act=None).double().eval()
    graph = _graph()
    with torch.no_grad():
        model.layers[0].learner.lin_out.weight.zero_()
        model.layers[0].bundle.lin.weight.copy_(torch.eye(8))
        model.layers[0].bundle.lin.bias.zero_()
    states = model.layer_states(graph)
    torch.testing.assert_close(states[1], nn.HeatKernel()(states[0], graph.edge_index))


def test_a_shared_learner_runs_once_per_pass(monkeypatch):
    calls = []
    for learner, count in (("shared", 1), ("recomputed", 3)):
        model = BuNN(4, 8, num_layers=3, learner=learner).double().eval()
        model.shared.register_forward_hook(lambda *_: calls.append(1))
        out = model(_graph())
        assert len(calls) == count
        calls.clear()
        assert out.shape == (12, 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_bundles": 3}, "hidden_channels=8, must be a multiple of num_bundles \\* bundle_dim = 6"),
        ({"num_eigenvectors": 4}, "num_eigenvectors=4, must be left at 500, as kernel='taylor' does not read it"),
        ({"kernel": "spectral", "max_degree": 4}, "max_degree=4, must be left at 8, as kernel='spectral'"),
        ({"layer": "paper", "ego": None}, "ego=None, must be left at 'plain', as layer='paper' does not read it"),
        ({"batch_norm": False}, "batch_norm=False, must be left at True, as layer='residual' does not read it"),
        ({"learner": "shared", "learner_layers": 0}, "learner_layers=0, must be at least 1 for learner='shared'"),
    ],
)
def test_arguments_that_nothing_reads_are_refused(options, message):
    with pytest.raises(ValueError, match="BuNN: " + message):
        BuNN(4, 8, **options)


def test_eigenvectors_are_asked_for():
    with pytest.raises(ValueError, match="reads laplacian_values and laplacian_vectors"):
        BuNN(4, 8, kernel="spectral", ego=None).double()(_graph())
