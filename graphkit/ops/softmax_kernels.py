"""The softmax within groups and its derivative on CPUs, compiled by numba."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphkit.ops.kernels import cuts, in_threads, jit

# Rows are read in their order; each thread works for groups of its own and passes over the rows of others.


@jit
def _normalize(start: int, stop: int, index: Any, total: Any, out: Any) -> None:
    for row in range(index.size):
        group = index[row]
        if start <= group < stop:
            for channel in range(out.shape[1]):
                total[group, channel] += out[row, channel]
    for group in range(start, stop):
        for channel in range(out.shape[1]):
            total[group, channel] = 1 / total[group, channel] if total[group, channel] != 0 else 1
    for row in range(index.size):
        group = index[row]
        if start <= group < stop:
            for channel in range(out.shape[1]):
                out[row, channel] *= total[group, channel]


@jit
def _softmax_backward(start: int, stop: int, index: Any, total: Any, out: Any, grad: Any, result: Any) -> None:
    for row in range(index.size):
        group = index[row]
        if start <= group < stop:
            for channel in range(out.shape[1]):
                total[group, channel] += out[row, channel] * grad[row, channel]
    for row in range(index.size):
        group = index[row]
        if start <= group < stop:
            for channel in range(out.shape[1]):
                result[row, channel] = out[row, channel] * (grad[row, channel] - total[group, channel])


def normalize(index: Tensor, size: int, out: Tensor) -> None:
    """Divide, in place, each row by the sum over its group, where that is not 0."""
    in_threads(_normalize, cuts(size), index, out.new_zeros(size, out.size(1)), out)


def softmax_backward(index: Tensor, size: int, out: Tensor, grad: Tensor) -> Tensor:
    """The gradient of the softmax ``out`` within groups."""
    result = torch.empty_like(out)
    in_threads(_softmax_backward, cuts(size), index, out.new_zeros(size, out.size(1)), out, grad, result)
    return result
