"""Means over the pairs at one distance whose weights are gates, added up in place, on the CPU, compiled by numba.

Matrices are flat arrays. On the way forward each thread has rows of its own, on the way back channels of its own, so
that results do not depend on their number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from graphkit.ops.kernels import BOUND, cuts, in_threads, jit
from graphkit.ops.lanes import WIDTH, load, spread, store

if TYPE_CHECKING:
    from graphkit.ops.hop_sets import HopSets

_STEP = 2 * WIDTH  # channels at a time


def exponentials(logit: Tensor, out: Tensor | None = None) -> Tensor:
    """``exp(-logit)``, of which those of both ends make a gate, within the range where neither is 0 nor infinite."""
    bound = BOUND[logit.dtype]
    return torch.clamp(logit, -bound, bound, out=out).neg_().exp_()


@jit
def _add_mean(
    start: int,
    stop: int,
    width: int,
    begins: Any,
    col: Any,
    alpha: Any,
    eps: Any,
    target: Any,
    source: Any,
    value: Any,
    mean: Any,
    total: Any,
    out: Any,
) -> None:
    one, nothing = spread(target.dtype.type(1)), spread(target.dtype.type(0))
    for row in range(start, stop):
        for channel in range(0, width, _STEP):
            i, n = row * width + channel, width - channel
            p, other = load(target, i, n), load(target, i + WIDTH, n - WIDTH)
            sums, others, weight, weights = nothing, nothing, spread(eps), spread(eps)
            for entry in range(begins[row], begins[row + 1]):
                j = col[entry] * width + channel
                gate = one / (one + p * load(source, j, n))
                gates = one / (one + other * load(source, j + WIDTH, n - WIDTH))
                sums, others = sums + gate * load(value, j, n), others + gates * load(value, j + WIDTH, n - WIDTH)
                weight, weights = weight + gate, weights + gates
            sums, others = sums / weight, others / weights
            store(mean, i, sums, n)
            store(mean, i + WIDTH, others, n - WIDTH)
            store(total, i, weight, n)
            store(total, i + WIDTH, weights, n - WIDTH)
            store(out, i, load(out, i, n) + spread(alpha) * sums, n)
            store(out, i + WIDTH, load(out, i + WIDTH, n - WIDTH) + spread(alpha) * others, n - WIDTH)


@jit
def _add_mean_backward(
    start: int,
    stop: int,
    width: int,
    begins: Any,
    col: Any,
    alpha: Any,
    target: Any,
    source: Any,
    value: Any,
    mean: Any,
    total: Any,
    grad: Any,
    of_target: Any,
    of_source: Any,
    of_value: Any,
) -> None:
    """Add to the gradients of the targets' logits, of the sources' logits and of values."""
    one = spread(target.dtype.type(1))
    for row in range(begins.size - 1):
        if begins[row] == begins[row + 1]:
            continue
        for channel in range(start, stop, WIDTH):
            i, n = row * width + channel, stop - channel
            p, average, result = load(target, i, n), load(mean, i, n), load(of_target, i, n)
            share = spread(alpha) * load(grad, i, n) / load(total, i, n)
            for entry in range(begins[row], begins[row + 1]):
                j = col[entry] * width + channel
                gate = one / (one + p * load(source, j, n))
                part = share * gate
                store(of_value, j, load(of_value, j, n) + part, n)
                part = part * (one - gate) * (load(value, j, n) - average)
                store(of_source, j, load(of_source, j, n) + part, n)
                result = result + part
            store(of_target, i, result, n)


class Run:
    """The passes over the pairs of one graph.

    Args:
        sets: The pairs.
        target: The exponentials of the targets' logits.
        total: The sum of means, or its gradient.
    """

    def __init__(self, sets: HopSets, target: Tensor, total: Tensor) -> None:
        self.ptr, self.col = sets.ptr.numpy(), sets.col.numpy()
        self.num_rows, self.width = target.shape
        self.target, self.total = _flat(target), _flat(total)
        self.number = self.target.dtype.type

    def add_mean(
        self, hop: int, alpha: float, eps: float, source: Tensor, value: Tensor, mean: Tensor, weight: Tensor
    ) -> None:
        """Add ``alpha`` times the means of a set, which are written along with the sums of gates and ``eps``."""
        given = (self.width, self.ptr[hop], self.col, self.number(alpha), self.number(eps), self.target)
        others = (_flat(each) for each in (source, value, mean, weight))
        in_threads(_add_mean, cuts(self.num_rows), *given, *others, self.total)

    def add_mean_backward(
        self, hop: int, alpha: float, source: Tensor, value: Tensor, mean: Tensor, weight: Tensor, *ways: Tensor
    ) -> None:
        """Add to the gradients of the targets' logits, the sources' logits and the values."""
        given = (self.width, self.ptr[hop], self.col, self.number(alpha), self.target)
        others = (_flat(each) for each in (source, value, mean, weight))
        bounds = cuts(self.width, _STEP)
        in_threads(_add_mean_backward, bounds, *given, *others, self.total, *(_flat(each) for each in ways))


def _flat(x: Tensor) -> Any:
    return x.detach().contiguous().view(-1).numpy()
