"""Matrix products of states of pairs of nodes, channel by channel, compiled by numba.

A state ``[num_pairs, channels]`` has the pairs of one graph together, row by row. Every pass writes the pairs of rows
of its own only, in the order in which one thread would.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import torch
from torch import Tensor

from graphkit.ops.kernels import by_rows

_jit = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})


@_jit
def _add(out: Any, a: Any, b: Any) -> None:
    for channel in range(out.size):
        out[channel] += a[channel] * b[channel]


@_jit
def _product(start: int, stop: int, ptr: Any, first: Any, left: Any, right: Any, out: Any) -> None:
    """``left @ right`` of each graph and channel."""
    for row in range(start, stop):
        begin, nodes = ptr[row], first[row]
        for k in range(ptr[row + 1] - begin):
            for j in range(ptr[row + 1] - begin):
                _add(out[begin + j], left[begin + k], right[ptr[nodes + k] + j])


@_jit
def _backward(
    start: int, stop: int, ptr: Any, first: Any, left: Any, right: Any, grad: Any, of_left: Any, of_right: Any
) -> None:
    """``grad @ right.T`` and ``left.T @ grad``."""
    for row in range(start, stop):
        begin, nodes = ptr[row], first[row]
        for k in range(ptr[row + 1] - begin):
            other = ptr[nodes + k]
            for j in range(ptr[row + 1] - begin):
                _add(of_left[begin + k], grad[begin + j], right[other + j])
                _add(of_right[begin + j], left[other + row - nodes], grad[other + j])


def product(ptr: Tensor, first: Tensor, left: Tensor, right: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
    """The products; the pairs of node ``i`` begin at ``ptr[i]``, and the nodes of its graph with ``first[i]``."""
    out = torch.zeros_like(left, memory_format=torch.contiguous_format)
    by_rows(_product, ptr, first, left, right, out)
    return out, ()


def product_backward(
    ptr: Tensor, first: Tensor, inputs: Sequence[Tensor], kept: Sequence[Tensor], grad: Tensor
) -> list[Tensor | None]:
    """The gradients of both operands."""
    of = [torch.zeros_like(x, memory_format=torch.contiguous_format) for x in inputs]
    by_rows(_backward, ptr, first, *inputs, grad, *of)
    return list(of)
