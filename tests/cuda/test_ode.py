"""Solvers on a GPU: the answers of the CPU, and few waits."""

import pytest
import torch

from graphkit.nn import FixedPoint, GraphDiffusion
from graphkit.nn.diffusivity_exact import exact_diffusion
from graphkit.nn.implicit.looks import Looks
from graphkit.nn.implicit.minimize import Convex, conjugate_gradients, minimize
from graphkit.nn.ode import ODESolver
from graphkit.ops import SparseMatrix
from graphkit.testing import random_graph


class Swing:
    """A pendulum with a weight, or NaN from some evaluation on."""

    def __init__(self, weight, broken_from=None):
        self.weight, self.broken_from, self.calls = weight, broken_from, 0

    def __call__(self, t, z):
        self.calls += 1
        out = torch.stack([z[1], -self.weight * z[0].sin() + t])
        return out * float("nan") if self.calls == self.broken_from else out

    def tensors(self):
        return (self.weight,)


def solve(device, solver, broken_from=None):
    z = torch.tensor([[1.0, 0.5, -2.0], [0.0, 1.0, 3.0]], dtype=torch.float64, device=device, requires_grad=True)
    weight = torch.tensor(4.0, dtype=torch.float64, device=device, requires_grad=True)
    out = solver(Swing(weight, broken_from), z, 0.1, 3.0)
    return out, torch.autograd.grad(out.square().sum(), [z, weight])


def test_as_on_the_cpu(device):
    ours, theirs = ODESolver("dopri5", atol=1e-8, rtol=1e-6), ODESolver("dopri5", atol=1e-8, rtol=1e-6)
    (out, gradients), (expected, wanted) = solve(device, ours), solve("cpu", theirs)
    assert ours.evaluations == theirs.evaluations
    for one, other in zip([out.detach(), *gradients], [expected.detach(), *wanted]):
        torch.testing.assert_close(one.cpu(), other, rtol=1e-9, atol=1e-12)


def test_a_wait_per_attempted_step(gpu):
    solver = ODESolver("dopri5", atol=1e-8, rtol=1e-6)
    with gpu.counting() as counts:
        solve(gpu.device, solver)
    attempts = (solver.evaluations - 2) // 6  # two find the first step
    assert attempts > 20
    assert counts.num_waits <= 3 + attempts, str(counts)


@pytest.mark.parametrize("call", [1, 2, 5, 20])
def test_nan_is_told_of_where_it_was(call, device):
    message = {}
    for place in ("cpu", device):
        with pytest.raises(RuntimeError, match=rf"derivative is NaN or infinite .*evaluation {call}\)") as found:
            solve(place, ODESolver("dopri5"), call)
        message[str(place)] = str(found.value)
    assert len(set(message.values())) == 1


@pytest.mark.parametrize("bounds", [(None, None), (1.1, None), (1.1, 1.3)])
@pytest.mark.parametrize("source", [True, False])
@pytest.mark.parametrize("duration", [1.5, 400.0])
def test_the_closed_form_waits_for_what_has_no_bound(source, duration, bounds, gpu):
    graph, results = random_graph(9, 30, seed=2), []
    for place in ("cpu", gpu.device):
        torch.manual_seed(0)
        leaves = [torch.rand(shape, dtype=torch.float64) for shape in ((30,), (9, 3), (), (9, 3), ())]
        leaves[0] /= 10
        weight, z, rate, b, strength = leaves = [leaf.to(place).requires_grad_() for leaf in leaves]
        matrix = SparseMatrix.from_edges(graph.edge_index.to(place), weight, 9)
        given = (b, strength) if source else (None, None)
        with gpu.counting() as counts:
            out = exact_diffusion(matrix, z, rate, duration, *given, *(bounds if place != "cpu" else ()))
            gradients = torch.autograd.grad(out.sin().sum(), leaves if source else leaves[:3])
        results.append([out.detach(), *gradients])
    assert counts.num_waits == bounds.count(None), str(counts)
    for expected, actual in zip(*results, strict=True):
        torch.testing.assert_close(actual.cpu(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("diffusivity", "waits"), [("linear", [0, 0]), ("hard", [0, 0]), ("constant", [1, 0])])
@pytest.mark.parametrize("bounded_rate", [True, False])
def test_equations_know_their_bounds(diffusivity, waits, bounded_rate, gpu):
    graph = random_graph(9, 30, seed=2).to(gpu.device)
    sizes = {"attention_channels": 4, "heads": 2, "source": True, "adjacency": "sym"}
    layer = GraphDiffusion(5, diffusivity, bounded_rate=bounded_rate, **sizes).double().to(gpu.device)
    counted = []
    layer.equation(graph.x, graph.edge_index)  # the graph's pattern
    for _ in range(2):
        with gpu.counting() as counts:
            layer.equation(graph.x, graph.edge_index).exact(graph.x, 3.0).sum().backward()
        counted.append(counts.num_waits)
    assert counted == [number + (not bounded_rate) for number in waits], str(counts)


def test_conjugate_gradients_wait_once_where_the_number_of_steps_is_known(gpu):
    torch.manual_seed(0)
    a, b = torch.randn(12, 12, dtype=torch.float64), torch.randn(12, dtype=torch.float64)
    a = a @ a.t() + torch.eye(12, dtype=torch.float64)
    expected = conjugate_gradients(lambda x: a @ x, b, 1e-13)
    on_device, products, looks, num_waits = a.to(gpu.device), [], Looks(), []
    for _ in range(2):
        with gpu.counting() as counts:
            actual = conjugate_gradients(lambda x: products.append(1) or on_device @ x, b.to(gpu.device), 1e-13, looks)
        assert torch.equal(actual.cpu(), expected)
        num_waits.append(counts.num_waits)
    assert looks.rounds >= 12
    assert num_waits == [1 + (looks.rounds - 4).bit_length(), 1]  # after 4 steps, then 1, 2, 4, ... later
    assert len(products) == 4 + 2 ** (num_waits[0] - 1) - 1 + looks.rounds
    assert torch.equal(conjugate_gradients(lambda x: x, 0 * b.to(gpu.device), 1e-13, looks).cpu(), 0 * b)


@pytest.mark.parametrize("solver", ["newton", "descent"])
@pytest.mark.parametrize("start", [0.0, 2.0])
def test_a_search_waits_once_where_the_number_of_rounds_is_known(start, solver, gpu):
    energy = Quartic(torch.tensor([1.5, -1.0], dtype=torch.float64, device=gpu.device))
    start, looks, num_waits = torch.full((2,), start, dtype=torch.float64), Looks(), []
    expected = minimize(energy.cpu(), start, solver, 1e-6)
    for _ in range(2):
        with gpu.counting() as counts:
            actual = minimize(energy, start.to(gpu.device), solver, 1e-6, looks=looks)
        num_waits.append(counts.num_waits)
        torch.testing.assert_close(actual.state.cpu(), expected.state, rtol=1e-9, atol=1e-12)
        assert actual.residual == pytest.approx(expected.residual, rel=1e-6)
        assert actual.iterations == expected.iterations > 2
    assert num_waits == [1 + (looks.rounds - 4).bit_length(), 1]


def test_searches_that_end_at_once_or_never(gpu):
    start = torch.tensor([1.0, 5.0], dtype=torch.float64, device=gpu.device)
    flat = minimize(Quartic(0 * start), start)  # no gradient at zero
    assert (flat.state.tolist(), flat.residual, flat.iterations) == ([0.0, 0.0], 0.0, 0)
    assert minimize(Quartic(start), start).iterations == 0
    for solver in ("newton", "descent"):
        with pytest.raises(RuntimeError, match=rf"solver='{solver}' left \S+ of the gradient after 2 iterations"):
            minimize(Quartic(start), 0 * start, solver, max_iterations=2)
        with pytest.raises(RuntimeError, match="left nan of the gradient after 0 iterations"):
            minimize(Quartic(start * float("nan")), start, solver)


def test_steps_are_halved_as_on_the_cpu(gpu):
    energy, start = Steep(), torch.tensor([3.0, -4.0], dtype=torch.float64)
    expected = minimize(energy, start, tol=1e-12)
    actual = minimize(energy, start.to(gpu.device), tol=1e-12)
    torch.testing.assert_close(actual.state.cpu(), expected.state, rtol=1e-9, atol=1e-12)
    assert actual.iterations == expected.iterations


@pytest.mark.parametrize("solver", ["anderson", "plain"])
def test_a_fixed_point_waits_once_per_step(solver, gpu):
    torch.manual_seed(0)
    weight, x = torch.randn(6, 6, dtype=torch.float64) / 8, torch.randn(4, 6, dtype=torch.float64)
    gradients, steps = [], []
    for place in ("cpu", gpu.device):
        own, leaf = weight.to(place).requires_grad_(), x.to(place).requires_grad_()
        layer = FixedPoint(lambda z, x, own=own: torch.tanh(z @ own + x), solver)
        with gpu.counting() as counts:
            layer(torch.zeros_like(leaf), leaf)
            forward = counts.num_waits
            gradients.append(torch.autograd.grad(layer(torch.zeros_like(leaf), leaf).sin().sum(), [own, leaf]))
        steps.append(layer.iterations)
    assert forward == steps[1] == steps[0] > 5
    for expected, actual in zip(*gradients, strict=True):
        torch.testing.assert_close(actual.cpu(), expected, rtol=1e-9, atol=1e-12)


class Steep(Convex):
    """The sum of sqrt(1 + (h - 1)^2) + (h - 1)^2 / 200, on which a whole step of Newton's goes too far."""

    def value(self, h):
        return ((1 + (h - 1).square()).sqrt() + (h - 1).square() / 200).sum()

    def gradient(self, h):
        return (h - 1) / (1 + (h - 1).square()).sqrt() + (h - 1) / 100

    def hessian(self, h):
        return lambda v: v * ((1 + (h - 1).square()) ** -1.5 + 1 / 100)

    def curvature(self):
        return 1.01


class Quartic(Convex):
    """The sum of (h - c)^2 / 2 + (h - c)^4 / 4."""

    def __init__(self, centre):
        self.centre = centre

    def cpu(self):
        return Quartic(self.centre.cpu())

    def value(self, h):
        return ((h - self.centre).square() / 2 + (h - self.centre) ** 4 / 4).sum()

    def gradient(self, h):
        return h - self.centre + (h - self.centre) ** 3

    def hessian(self, h):
        return lambda v: v * (1 + 3 * (h - self.centre).square())

    def curvature(self):
        return 28.0  # up to a distance of 3
