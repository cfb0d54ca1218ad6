"""ODE solver: order of convergence, the closed form, limits and errors."""

from __future__ import annotations

import math

import pytest
import torch

from graphkit import ops
from graphkit.nn.diffusion_ode import DiffusionODE
from graphkit.nn.diffusivity_exact import exact_diffusion
from graphkit.nn.ode import ADAPTIVE, ODESolver
from graphkit.nn.ode.numerical import WatchedODE, integrate
from graphkit.testing.graphs import random_graph


class Forced:
    """dz/dt = -t z^2, with z(t) = z0 / (1 + z0 t^2 / 2)."""

    def __init__(self):
        self.scale = torch.ones((), dtype=torch.float64, requires_grad=True)

    def __call__(self, t, z):
        return -self.scale * t * z.square()

    def tensors(self):
        return [self.scale]


def start():
    return torch.tensor([[0.7], [1.3]], dtype=torch.float64)


def error(method, step=1.0):
    z = ODESolver(method, step_size=step)(Forced(), start(), 0.0, 2.0)
    return float((z.detach() - start() / (1 + 2 * start())).abs().max())


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("midpoint", 2), ("heun3", 3), ("rk4", 4)])
def test_order_of_convergence(method, order):
    assert math.log2(error(method, 0.05) / error(method, 0.025)) == pytest.approx(order, abs=0.25)


def test_the_multistep_method_converges():
    assert error("implicit_adams", 0.1) < error("implicit_adams", 0.2) / 8


@pytest.mark.parametrize("method", ADAPTIVE)
def test_adaptive_methods_keep_their_tolerance(method):
    solver = ODESolver(method, atol=1e-7, rtol=1e-7, max_evaluations=None)
    z = solver(Forced(), start(), 0.0, 2.0)
    assert float((z - start() / (1 + 2 * start())).abs().max()) < 1e-5
    assert solver.evaluations > 4


@pytest.mark.parametrize("end", [2.0, -0.5])
def test_dopri5_takes_the_steps_of_torchdiffeq(end):
    def solved(solve):
        ode, z0, times = Forced(), start().requires_grad_(), []
        z, evaluations = solve(ode, z0, lambda t, z: times.append(t))
        return [torch.tensor([evaluations, *map(abs, times)]), z, *torch.autograd.grad(z.sum(), [z0, ode.scale])]

    def ours(ode, z0, on_step):
        solver = ODESolver("dopri5", **tolerance)
        return solver(ode, z0, 0.0, end, on_step), solver.evaluations

    def theirs(ode, z0, on_step):
        watched = WatchedODE(ode, "dopri5", None, on_step)
        return integrate(watched, z0, 0.0, end, {"method": "dopri5", **tolerance}), watched.count

    tolerance = {"atol": 1e-5, "rtol": 1e-5}
    for mine, other in zip(solved(ours), solved(theirs), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-7, atol=1e-9)


def test_adjoint_gradients_approach_the_exact_ones():
    gradients = []
    for adjoint in (None, "dopri5", "rk4"):
        ode, z0 = Forced(), start().requires_grad_()
        solver = ODESolver("dopri5", step_size=0.05, atol=1e-9, rtol=1e-9, adjoint=adjoint)
        solver(ode, z0, 0.0, 2.0).sum().backward()
        gradients.append((z0.grad, ode.scale.grad))
    for z_grad, scale_grad in gradients[1:]:
        torch.testing.assert_close(z_grad, gradients[0][0], rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(scale_grad, gradients[0][1], rtol=1e-5, atol=1e-7)


def test_too_many_evaluations():
    with pytest.raises(RuntimeError, match=r"'dopri5' needs more than max_evaluations=20 evaluations \(it is at time"):
        ODESolver("dopri5", max_evaluations=20)(Forced(), start(), 0.0, 2.0)
    ODESolver("rk4", 0.5, max_evaluations=16)(Forced(), start(), 0.0, 2.0)
    with pytest.raises(RuntimeError, match=r"'rk4' needs more than max_evaluations=15"):
        ODESolver("rk4", 0.5, max_evaluations=15)(Forced(), start(), 0.0, 2.0)


@pytest.mark.parametrize("method", ["euler", "rk4", "implicit_adams", "dopri5", "adaptive_heun"])
def test_nan(method):
    z = start()
    z[1] = math.nan
    with pytest.raises(RuntimeError, match=f"ODE solver '{method}': the derivative is NaN or infinite at time 0"):
        ODESolver(method)(Forced(), z, 0.0, 2.0)


def test_explosion_is_noticed():
    class Explodes(Forced):
        def __call__(self, t, z):
            return z.square().square()

    with pytest.raises(RuntimeError, match=r"ODE solver 'euler': the (derivative|state) is NaN or infinite at time"):
        ODESolver("euler", 0.5)(Explodes(), start(), 0.0, 20.0)
    with pytest.raises(RuntimeError, match=r"ODE solver 'dopri5'"):
        ODESolver("dopri5")(Explodes(), start(), 0.0, 20.0)


def test_bad_arguments():
    with pytest.raises(ValueError, match="ODESolver: method='dopri_5', did you mean 'dopri5'"):
        ODESolver("dopri_5")
    with pytest.raises(ValueError, match="ODESolver: adjoint='exact', "):
        ODESolver("dopri5", adjoint="exact")
    with pytest.raises(ValueError, match="'exact' has exact gradients already"):
        ODESolver("exact", adjoint="rk4")
    with pytest.raises(ValueError, match="step_size=0, must be positive"):
        ODESolver("rk4", step_size=0)
    with pytest.raises(ValueError, match=r"'exact' needs a linear equation with a closed form.*Forced"):
        ODESolver("exact")(Forced(), start(), 0.0, 1.0)
    with pytest.raises(ValueError, match="this diffusivity changes with the state"):
        ODESolver("exact")(DiffusionODE(lambda z: None, torch.tensor(1.0)), start(), 0.0, 1.0)


def dense_solution(matrix, z, rate, duration, source, strength):
    """By the exponential of the augmented matrix [[L, beta b], [0, 0]]."""
    n, h = z.shape
    top = torch.cat([rate * (matrix - torch.eye(n, dtype=z.dtype)), strength * source], 1)
    return (torch.cat([top, top.new_zeros(h, n + h)]) * duration).matrix_exp()[:n] @ torch.cat([z, torch.eye(h)])


def inputs(seed=0):
    graph = random_graph(7, 18, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(18, generator=generator, dtype=torch.float64) - 0.2
    z, b = (torch.randn(7, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    return ops.sparsity_pattern(graph.edge_index, 7), values, z, b


@pytest.mark.parametrize("rate", [0.4, 3.0, 0.0, -0.5])
@pytest.mark.parametrize("duration", [0.5, 20.0, 400.0])
def test_closed_form_equals_the_matrix_exponential(rate, duration):
    if abs(rate) * duration > 60 and rate < 0:
        return  # grows beyond what either can hold
    torch.set_default_dtype(torch.float64)
    try:
        pattern, values, z, b = inputs()
        values = values / 3
        tensors = [values, z, b, torch.tensor(rate), torch.tensor(0.7)]
        weight, results = torch.arange(21.0).cos().view(7, 3), []
        for dense in (False, True):
            own = [tensor.clone().requires_grad_() for tensor in tensors]
            matrix = ops.SparseMatrix(pattern, own[0])
            if dense:
                out = dense_solution(matrix.to_dense(), own[1], own[3], duration, own[2], own[4])
            else:
                out = exact_diffusion(matrix, own[1], own[3], duration, own[2], own[4])
            results.append([out.detach(), *torch.autograd.grad((out * weight).sum(), own)])
        for ours, expected in zip(*results, strict=True):
            torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9 * max(1.0, float(expected.abs().max())))
    finally:
        torch.set_default_dtype(torch.float32)


def test_closed_form_gradcheck_with_the_state_as_detached_source():
    pattern, values, z, _ = inputs()

    def run(values, z, rate, strength):
        return exact_diffusion(ops.SparseMatrix(pattern, values), z, rate, 2.0, z, strength)

    scalars = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.6, -0.3)]
    arguments = (values.requires_grad_(), z.requires_grad_(), *scalars)
    assert torch.autograd.gradcheck(run, arguments)
    matrix = ops.SparseMatrix(pattern, values)
    out = exact_diffusion(matrix, z, scalars[0], 2.0, z.detach(), scalars[1])
    other = exact_diffusion(matrix, z, scalars[0], 2.0, z.detach().clone(), scalars[1])
    for one, two in zip(*(torch.autograd.grad(o.sum(), arguments) for o in (out, other)), strict=True):
        torch.testing.assert_close(one, two)


def test_closed_form_in_single_precision():
    pattern, values, z, b = inputs()
    matrix = ops.SparseMatrix(pattern, values / 3)
    exact = exact_diffusion(matrix, z, torch.tensor(0.5), 9.0, b, torch.tensor(0.2))
    single = exact_diffusion(matrix.to(torch.float32), z.float(), torch.tensor(0.5), 9.0, b.float(), torch.tensor(0.2))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), exact, rtol=1e-5, atol=1e-6)


def test_closed_form_without_edges():
    matrix = ops.SparseMatrix.from_edges(torch.empty(2, 0, dtype=torch.long), size=2)
    out = exact_diffusion(matrix, torch.ones(2, 1), torch.tensor(0.5), 2.0)
    torch.testing.assert_close(out, torch.full((2, 1), math.exp(-1)))
