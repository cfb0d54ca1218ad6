"""Steps on a grid equal those of torchdiffeq, bit by bit."""

import pytest
import torch
import torchdiffeq

from graphkit.nn.ode.grid import STEPS, integrate_on_grid
from graphkit.nn.ode.numerical import WatchedODE


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("end", [1.0, 0.7])
@pytest.mark.parametrize("method", STEPS)
def test_equals_torchdiffeq(method, end, dtype):
    torch.manual_seed(0)
    first, second = torch.randn(5, 3, dtype=dtype), torch.randn(5, 3, dtype=dtype)
    weight = torch.randn(3, 3, dtype=dtype, requires_grad=True)

    def ode(t, z):
        return (z[0] @ weight).tanh() * t, z[0] - z[1]

    times = torch.tensor([0.0, end], dtype=dtype)
    expected = torchdiffeq.odeint(ode, (first, second), times, method=method, options={"step_size": 0.3})
    actual = integrate_on_grid(WatchedODE(ode, method, None, None), (first, second), 0.0, end, 0.3)
    assert all(torch.equal(one, other[-1]) for one, other in zip(actual, expected))
    grads = [torch.autograd.grad(state.sum(), weight)[0] for state in (actual[0], expected[0][-1])]
    torch.testing.assert_close(*grads)
