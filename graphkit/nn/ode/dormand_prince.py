"""The method ``"dopri5"`` of one state, with the step sizes of torchdiffeq and without its tables of derivatives."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from graphkit.nn.ode.numerical import WatchedODE, too_stiff

_NODES = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
_STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_LOWER_ORDER = (1951 / 21600, 0.0, 22642 / 50085, 451 / 720, -12231 / 42400, 649 / 6300, 1 / 60)
_HALFWAY = (
    6025192743 / 30085553152 / 2,
    0.0,
    51252292925 / 65400821598 / 2,
    -2691868925 / 45128329728 / 2,
    187940372067 / 1594534317056 / 2,
    -1776094331 / 19743644256 / 2,
    11237099 / 235043384 / 2,
)
_WHOLE = (*_STAGES[-1], 0.0)
_ERROR = tuple(a - b for a, b in zip(_WHOLE, _LOWER_ORDER))
_SAFETY, _GROWTH, _SHRINKAGE, _ORDER = 0.9, 10.0, 0.2, 5


def dormand_prince(ode: WatchedODE, z: Tensor, start: float, end: float, atol: float, rtol: float) -> Tensor:
    """The state at ``end`` for the state ``z`` at ``start``, between the ends of the last step interpolated.

    Steps and gradients are those of ``torchdiffeq``: the length of the first step has one, later lengths have none.
    The host waits for a device three times before the first step, and once per attempted step, to accept it or not.

    Raises:
        RuntimeError: If steps shrink to nothing, or the equation refuses.
    """
    ode.defers = z.device.type != "cpu"
    now, t = start, z.new_full((), start, dtype=torch.float64)  # times are compared on the host
    rate = ode(t.to(z), z)
    step = _first_step(ode, z, rate, t, 1 if end > start else -1, atol, rtol)
    (length,) = ode.read(step)
    while True:
        if now + length == now:
            raise too_stiff(ode.method, f"underflow in dt {length}")
        rates, state = [rate], z
        for node, weights in zip(_NODES, _STAGES):
            state = z + step.to(z.dtype) * _weighted(rates, weights)
            rates.append(ode((t + node * step).to(z), state))
        (error,) = ode.read(_error(z, rates, state, step, atol, rtol))
        if error <= 1:
            ode.accept(now, z)
            if abs(end - now) <= abs(length):
                moves = [weight.to(z.dtype) * k for weight, k in zip(_until((end - t) / step), rates, strict=True)]
                return z + step.to(z.dtype) * torch.stack(moves).sum(0)
            now, t, z, rate = now + length, t + step, state, rates[-1]
        length *= _factor(error)
        step = torch.full_like(t, length)


def _weighted(rates: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    out = rates[0] * weights[0]
    for rate, weight in zip(rates[1:], weights[1:], strict=True):
        if weight != 0:
            out = torch.add(out, rate, alpha=weight)
    return out


def _until(x: Tensor) -> list[Tensor]:
    """The weights of the rates that lead to a share of the step, by a polynomial of fourth degree."""
    half, whole = x**2 * (16 - 32 * x + 16 * x**2), x**2 * (-5 + 14 * x - 8 * x**2)
    weights = [half * a + whole * b for a, b in zip(_HALFWAY, _WHOLE)]
    weights[0] = weights[0] + x - 4 * x**2 + 5 * x**3 - 2 * x**4
    weights[-1] = weights[-1] + x**2 - 3 * x**3 + 2 * x**4
    return weights


@torch.no_grad()
def _error(z: Tensor, rates: Sequence[Tensor], state: Tensor, step: Tensor, atol: float, rtol: float) -> Tensor:
    """The error of a step over the one allowed."""
    error = step.to(z.dtype) * _weighted(rates, _ERROR)
    return _length(error / (atol + rtol * torch.maximum(z.abs(), state.abs())))


def _factor(error: float) -> float:
    """By how much the next step is longer."""
    if error == 0:
        return _GROWTH
    return min(_GROWTH, max(_SAFETY / error ** (1 / _ORDER), 1.0 if error < 1 else _SHRINKAGE))


def _first_step(ode: WatchedODE, z: Tensor, rate: Tensor, t: Tensor, sign: int, atol: float, rtol: float) -> Tensor:
    """The first step, by Hairer, Norsett and Wanner's "Solving Ordinary Differential Equations I"."""
    scale = atol + z.abs() * rtol
    size, speed = _length(z / scale), _length(rate / scale)
    known_size, known_speed = ode.read(size, speed)
    trial = torch.full_like(size, 1e-6) if known_size < 1e-5 or known_speed < 1e-5 else 0.01 * size / speed
    other = ode((t + sign * trial.to(t)).to(z), z + sign * trial * rate)
    bend = _length((other - rate) / scale) / trial
    (known_bend,) = ode.read(bend)
    if known_speed <= 1e-15 and known_bend <= 1e-15:
        best = (trial * 1e-3).clamp(min=1e-6)
    else:
        best = (0.01 / (bend if known_bend > known_speed else speed)) ** (1 / _ORDER)  # a speed of 0 has no gradient
    return sign * torch.minimum(100 * trial, best).to(t)


def _length(x: Tensor) -> Tensor:
    return x.square().mean().sqrt()
