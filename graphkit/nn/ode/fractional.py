"""Equations whose left-hand side is a weighted sum of fractional derivatives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from graphkit.nn.ode.equation import has_exploded


def distributed_order(
    ode: Any,
    z: Tensor,
    orders: Sequence[float],
    weights: Tensor,
    time: float,
    step_size: float = 1.0,
    official: bool = False,
) -> Tensor:
    r"""The state at some time of :math:`\sum_j w_j \, D^{a_j} z = f(z)`, by steps of Grünwald and Letnikov.

    .. math::
        z_k = \Big( f(z_{k-1}) - \sum_{i=1}^k c_i \, z_{k-i} \Big) / c_0, \qquad
        c_i = \sum_j w_j h^{-a_j} (-1)^i \binom{a_j}{i}

    With the one order 1 and weight 1 these are Euler's. All states are kept, as each step reads those before it.

    Args:
        ode: The right-hand side, called as ``ode(t, z)``.
        z: The first state.
        orders: The orders :math:`a_j`.
        weights: Their weights :math:`w_j`, ``[len(orders)]``.
        time: The time, in ``ceil(time / step_size)`` steps.
        step_size: The step :math:`h` (default: 1.0).
        official: As the authors' code, which divides by :math:`\sum_j h^{-a_j}` and leaves the last step out (default:
            ``False``).

    Raises:
        RuntimeError: If (on the CPU) a state is not finite.

    Example:
        >>> z = distributed_order(lambda t, z: -z, torch.ones(1), [1.0], torch.ones(1), 1.0, step_size=0.5)
        >>> z
        tensor([0.2500])
    """
    steps = math.ceil(time / step_size - 1e-9) - official
    a = torch.stack([z.new_full((), order) for order in orders])  # made where it is: a copy could not be recorded
    factors = [torch.ones_like(a)]  # the binomial coefficients with their signs
    for i in range(1, steps + 1):
        factors.append(factors[-1] * (1 - (a + 1) / i))
    scale = step_size ** (-a)
    c = torch.stack(factors) @ (weights * scale)
    first = scale.sum() if official else c[0]
    states = [z]
    for k in range(1, steps + 1):
        past = sum(c[i] * states[k - i] for i in range(1, k + 1))
        states.append((ode(z.new_full((), (k - 1) * step_size), states[-1]) - past) / first)
    if has_exploded(states[-1]):
        raise RuntimeError(
            f"distributed_order: the state is NaN or infinite after {steps} steps of {step_size}; use smaller ones"
        )
    return states[-1]
