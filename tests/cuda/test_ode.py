"""Solvers with steps chosen by their error on a GPU: the answers of the CPU, and a wait per attempted step."""

import pytest
import torch

from graphkit.nn.ode import ODESolver


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
