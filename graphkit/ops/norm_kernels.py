"""Generalised norms of the rows of each set on the CPU, compiled by numba.

Powers are exponentials of logarithms less the extreme one of their set and channel, so that none can overflow. Every
pass writes what belongs to sets of its own, so that results do not depend on the number of threads.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from graphkit.ops.kernels import by_rows, jit
from graphkit.ops.lanes import exp, log

_LOG_ZERO, _FAR = -1e30, 1e29  # finite, so that 0 times it is 0; and what no logarithm of a number reaches


@jit
def _sums(
    start: int, stop: int, ptr: Any, rows: Any, x: Any, p: Any, logs: Any, top: Any, total: Any, moment: Any
) -> None:
    """Logarithms; of each branch the extreme one, the sum of powers relative to it, and that of these times logarithms.

    A sum is infinite where 0 is to be raised to a negative power, and 0 where there is nothing but zeros.
    """
    zero, one, infinite = x.dtype.type(0), x.dtype.type(1), x.dtype.type(math.inf)
    of_zero, far = x.dtype.type(_LOG_ZERO), x.dtype.type(_FAR)
    for group in range(start, stop):
        for entry in range(ptr[group], ptr[group + 1]):
            given, value = x[rows[entry]], logs[rows[entry]]
            for channel in range(given.size):
                logarithm = log(one if given[channel] <= zero else given[channel])
                value[channel] = of_zero if given[channel] <= zero else logarithm
        for branch in range(p.shape[0]):
            power, best = p[branch], top[branch, group]
            result, other = total[branch, group], moment[branch, group]
            best[:], result[:], other[:] = -infinite, zero, zero
            for entry in range(ptr[group], ptr[group + 1]):
                value = logs[rows[entry]]
                for channel in range(best.size):
                    signed = value[channel] if power[channel] > zero else -value[channel]
                    best[channel] = signed if signed > best[channel] else best[channel]
            for channel in range(best.size):
                extreme = best[channel] if power[channel] > zero else -best[channel]
                best[channel] = extreme if abs(extreme) < far else zero
                result[channel] = infinite if power[channel] < zero and extreme <= -far else zero
            for entry in range(ptr[group], ptr[group + 1]):
                value = logs[rows[entry]]
                for channel in range(best.size):
                    away = value[channel] - best[channel]
                    exponent = power[channel] * away
                    relative = exp(zero if exponent > zero else exponent)
                    result[channel] += relative
                    other[channel] += relative * away


@jit
def _backward(
    start: int, stop: int, ptr: Any, rows: Any, x: Any, logs: Any, p: Any, top: Any, share: Any, of_x: Any
) -> None:
    """The gradient of ``x`` from ``share``, that of the sums of powers."""
    zero = x.dtype.type(0)
    for group in range(start, stop):
        for branch in range(p.shape[0]):
            power, best, weight = p[branch], top[branch, group], share[branch, group]
            for entry in range(ptr[group], ptr[group + 1]):
                value, grad = logs[rows[entry]], of_x[rows[entry]]
                for channel in range(best.size):
                    exponent = power[channel] * (value[channel] - best[channel])
                    part = weight[channel] * exp(zero if exponent > zero else exponent)
                    grad[channel] = part if branch == 0 else grad[channel] + part
        for entry in range(ptr[group], ptr[group + 1]):
            given, grad = x[rows[entry]], of_x[rows[entry]]
            for channel in range(grad.size):
                grad[channel] = zero if given[channel] <= zero else grad[channel] / given[channel]


def sums(ptr: Tensor, rows: Tensor, x: Tensor, p: Tensor) -> tuple[Tensor, ...]:
    """Logarithms, and for each exponent of ``p [B, F]`` the extremes, sums and moments of sets ``[B, N, F]``.

    Args:
        ptr: Where the rows of each set begin, then their number.
        rows: The rows, set by set.
        x: The elements.
        p: The exponents.
    """
    logs = torch.empty_like(x, memory_format=torch.contiguous_format)
    of_sets = x.new_empty(3, p.size(0), ptr.numel() - 1, x.size(1))
    by_rows(_sums, ptr, rows, x, p, logs, *of_sets)
    return logs, *of_sets


def backward(ptr: Tensor, rows: Tensor, x: Tensor, logs: Tensor, p: Tensor, top: Tensor, share: Tensor) -> Tensor:
    """The gradient of ``x``, whose elements have the logarithms, from that of the sums of powers over the sums."""
    of_x = torch.empty_like(logs)
    by_rows(_backward, ptr, rows, x, logs, p, top, share, of_x)
    return of_x
