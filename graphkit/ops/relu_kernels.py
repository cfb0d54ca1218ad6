"""Sums of rectified sums over the edges of a graph on the CPU, compiled by numba.

Rows of an array that is not there are those of an empty one, of a single row of zeros. Every pass writes rows of its
own only, so that results do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import torch
from torch import Tensor

from graphkit.ops.kernels import by_rows
from graphkit.ops.pattern import SparsityPattern

_jit = numba.njit(nogil=True, cache=True, error_model="numpy")


@_jit
def _relu_sum(
    start: int, stop: int, rowptr: Any, col: Any, edge_of: Any, source: Any, target: Any, edge: Any, out: Any
) -> None:
    zero = out.dtype.type(0)
    for row in range(start, stop):
        own, result = target[row if target.shape[0] > 1 else 0], out[row]
        result[:] = 0
        for entry in range(rowptr[row], rowptr[row + 1]):
            other = source[col[entry]]
            if edge.shape[0] > 0:
                between = edge[edge_of[entry] if edge_of.size else entry]
                for channel in range(result.size):
                    result[channel] += max(own[channel] + other[channel] + between[channel], zero)
            else:
                for channel in range(result.size):
                    result[channel] += max(own[channel] + other[channel], zero)


@_jit
def _of_rows(
    start: int,
    stop: int,
    ptr: Any,
    other_of: Any,
    edge_of: Any,
    own_part: Any,
    other_part: Any,
    edge: Any,
    grad: Any,
    grad_of_own: Any,
    out: Any,
    of_edge: Any,
) -> None:
    """Gradients of the nodes whose entries stand together, and of these entries if ``of_edge`` has rows.

    The gradient of the sums is that of the row itself (``grad_of_own``), or of the other end.
    """
    zero = out.dtype.type(0)
    for row in range(start, stop):
        own, result = own_part[row if own_part.shape[0] > 1 else 0], out[row]
        result[:] = 0
        for entry in range(ptr[row], ptr[row + 1]):
            node = other_of[entry]
            other, given = other_part[node if other_part.shape[0] > 1 else 0], grad[row if grad_of_own else node]
            if edge.shape[0] > 0:
                position = edge_of[entry] if edge_of.size else entry
                between = edge[position]
                for channel in range(result.size):
                    kept = given[channel] if own[channel] + other[channel] + between[channel] > zero else zero
                    result[channel] += kept
                    if of_edge.shape[0] > 0:
                        of_edge[position, channel] = kept
            else:
                for channel in range(result.size):
                    result[channel] += given[channel] if own[channel] + other[channel] > zero else zero


def relu_sum(
    pattern: SparsityPattern, source: Tensor, target: Tensor | None, edge: Tensor | None
) -> tuple[Tensor, tuple[()]]:
    """The sums for each row of the pattern, and nothing that the way back wants besides."""
    out = source.new_empty(pattern.num_rows, source.size(1))
    by_rows(_relu_sum, pattern.rowptr, pattern.col, *_parts(pattern, source, target, edge), out)
    return out, ()


def relu_sum_backward(
    pattern: SparsityPattern, inputs: Sequence[Any], kept: Sequence[Tensor], grad: Tensor
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The gradients of source, target and edge that are needed."""
    of_source, of_target, of_edge = (torch.empty_like(x) if x is not None and x.requires_grad else None for x in inputs)
    edge_of, source, at_target, at_edge = _parts(pattern, *inputs)
    none = source.new_empty(0, source.size(1))
    if of_target is not None or of_edge is not None:
        rows = torch.empty_like(grad) if of_target is None else of_target
        ends = (pattern.rowptr, pattern.col, edge_of)
        by_rows(_of_rows, *ends, at_target, source, at_edge, grad, True, rows, none if of_edge is None else of_edge)
    if of_source is not None:
        positions = pattern.csc_perm
        if edge_of.numel():
            positions = edge_of.index_select(0, positions)
        ends = (pattern.colptr, pattern.csc_row, positions)
        by_rows(_of_rows, *ends, source, at_target, at_edge, grad, False, of_source, none)
    return of_source, of_target, of_edge


def _parts(pattern: SparsityPattern, source: Tensor, target: Tensor | None, edge: Tensor | None) -> tuple[Tensor, ...]:
    """Which edge each entry is (nothing if in order), source, target and edge, arrays in place of what is not there."""
    edge_of = pattern.col.new_empty(0) if edge is None or pattern.perm is None else pattern.perm
    zeros, none = source.new_zeros(1, source.size(1)), source.new_empty(0, source.size(1))
    return edge_of, source, zeros if target is None else target, none if edge is None else edge
