"""Explicit steps on a grid, for which the host need not wait for a device."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

from graphkit.nn.ode.equation import State
from graphkit.nn.ode.numerical import WatchedODE

Parts = list[Tensor]
Derivative = Callable[[Tensor, Parts], Parts]


def _euler(f: Derivative, t: Tensor, dt: Tensor, end: Tensor, z: Parts) -> Parts:
    return [part + dt * k for part, k in zip(z, f(t, z))]


def _midpoint(f: Derivative, t: Tensor, dt: Tensor, end: Tensor, z: Parts) -> Parts:
    half = 0.5 * dt
    middle = [part + k * half for part, k in zip(z, f(t, z))]
    return [part + dt * k for part, k in zip(z, f(t + half, middle))]


def _rk4(f: Derivative, t: Tensor, dt: Tensor, end: Tensor, z: Parts) -> Parts:
    """The 3/8 rule."""
    k1 = f(t, z)
    k2 = f(t + dt * (1 / 3), [part + dt * a * (1 / 3) for part, a in zip(z, k1)])
    k3 = f(t + dt * (2 / 3), [part + dt * (b - a * (1 / 3)) for part, a, b in zip(z, k1, k2)])
    k4 = f(end, [part + dt * (a - b + c) for part, a, b, c in zip(z, k1, k2, k3)])
    return [part + (a + 3 * (b + c) + d) * dt * 0.125 for part, a, b, c, d in zip(z, k1, k2, k3, k4)]


STEPS = {"euler": _euler, "midpoint": _midpoint, "rk4": _rk4}


def integrate_on_grid(ode: WatchedODE, z: State, start: float, end: float, step_size: float) -> State:
    """The state at ``end``, bit-equal to that of ``torchdiffeq``, whose loop asks the device for the time.

    Args:
        ode: The right-hand side, whose method is ``"euler"``, ``"midpoint"`` or ``"rk4"``.
        z: The state at ``start``, a tensor or several.
        start: The time to begin at.
        end: The time to stop at, later.
        step_size: The step; the last one is shortened to end in time.

    Raises:
        RuntimeError: If evaluations pass their limit, or (on the CPU) there is NaN or infinity.
    """
    single = isinstance(z, Tensor)
    # views: a derivative with respect to the state is not to run through an equation that refers to the first one
    parts: Parts = [part.view_as(part) for part in ([z] if isinstance(z, Tensor) else z)]
    first = parts[0]

    def state(parts: Parts) -> State:
        return parts[0] if single else tuple(parts)

    def derivative(t: Tensor, parts: Parts) -> Parts:
        # no copy from the host, for which the device would be waited for
        out = ode(torch.full((), float(t), dtype=first.dtype, device=first.device), state(parts))
        return [out] if single else list(out)

    ends = torch.tensor([start, end], dtype=first.dtype)
    grid = torch.arange(int(torch.ceil((ends[1] - ends[0]) / step_size + 1)), dtype=first.dtype) * step_size + ends[0]
    grid[-1] = ends[1]
    for t, following in itertools.pairwise(grid):
        ode.accept(t, parts[0])
        parts = STEPS[ode.method](derivative, t, following - t, following, parts)
    if ode.sees(state(parts)):
        ode.check(ends[1], state(parts), "the state")
    return state(parts)
