"""Sums at the edges of a graph and means that they weigh, on the CPU, compiled by numba.

Every pass writes rows of its own only, those of edges that enter or leave them included, so that results do not depend
on the number of threads.
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
def _edge_sum(
    start: int, stop: int, rowptr: Any, col: Any, edge_of: Any, target: Any, source: Any, edge: Any, out: Any
) -> None:
    for row in range(start, stop):
        own = target[row]
        for entry in range(rowptr[row], rowptr[row + 1]):
            position = edge_of[entry] if edge_of.size else entry
            other, result = source[col[entry]], out[position]
            if edge.shape[0] > 0:
                between = edge[position]
                for channel in range(result.size):
                    result[channel] = own[channel] + other[channel] + between[channel]
            else:
                for channel in range(result.size):
                    result[channel] = own[channel] + other[channel]


@_jit
def _sum_of_edges(start: int, stop: int, ptr: Any, edge_of: Any, values: Any, out: Any) -> None:
    for row in range(start, stop):
        result = out[row]
        result[:] = 0
        for entry in range(ptr[row], ptr[row + 1]):
            value = values[edge_of[entry] if edge_of.size else entry]
            for channel in range(result.size):
                result[channel] += value[channel]


@_jit
def _mean(
    start: int, stop: int, rowptr: Any, col: Any, edge_of: Any, gate: Any, x: Any, eps: Any, out: Any, total: Any
) -> None:
    for row in range(start, stop):
        mean, weight = out[row], total[row]
        mean[:], weight[:] = 0, eps[0]
        for entry in range(rowptr[row], rowptr[row + 1]):
            share, value = gate[edge_of[entry] if edge_of.size else entry], x[col[entry]]
            for channel in range(mean.size):
                mean[channel] += share[channel] * value[channel]
                weight[channel] += share[channel]
        for channel in range(mean.size):
            mean[channel] /= weight[channel]


@_jit
def _mean_logits(
    start: int, stop: int, rowptr: Any, col: Any, edge_of: Any, gate: Any, x: Any, out: Any, part: Any, grad: Any
) -> None:
    one = x.dtype.type(1)
    for row in range(start, stop):
        mean, factor = out[row], part[row]
        for entry in range(rowptr[row], rowptr[row + 1]):
            position = edge_of[entry] if edge_of.size else entry
            share, value, result = gate[position], x[col[entry]], grad[position]
            for channel in range(mean.size):
                slope = share[channel] * (one - share[channel])
                result[channel] = factor[channel] * slope * (value[channel] - mean[channel])


@_jit
def _mean_sources(start: int, stop: int, colptr: Any, row: Any, edge_of: Any, gate: Any, part: Any, grad: Any) -> None:
    for source in range(start, stop):
        result = grad[source]
        result[:] = 0
        for entry in range(colptr[source], colptr[source + 1]):
            share, factor = gate[edge_of[entry]], part[row[entry]]
            for channel in range(result.size):
                result[channel] += factor[channel] * share[channel]


def edge_sum(pattern: SparsityPattern, source: Tensor, target: Tensor, edge: Tensor | None) -> Tensor:
    """The sums in the order of the edges."""
    out = source.new_empty(pattern.num_edges, source.size(1))
    between = source.new_empty(0, source.size(1)) if edge is None else edge
    by_rows(_edge_sum, pattern.rowptr, pattern.col, _edge_of_rows(pattern), target, source, between, out)
    return out


def sums_of_edges(pattern: SparsityPattern, values: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of the values of edges that leave each source, and that enter each target."""
    of_sources, of_targets = (values.new_empty(count, values.size(1)) for count in (pattern.num_cols, pattern.num_rows))
    by_rows(_sum_of_edges, pattern.colptr, _edge_of_columns(pattern), values, of_sources)
    by_rows(_sum_of_edges, pattern.rowptr, _edge_of_rows(pattern), values, of_targets)
    return of_sources, of_targets


def gated_mean(pattern: SparsityPattern, eps: float, logit: Tensor, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The means, and what the way back wants: gates, means and the sums of gates plus ``eps``."""
    gate, out, total = logit.sigmoid(), *(x.new_empty(pattern.num_rows, x.size(1)) for _ in range(2))
    ends = (pattern.rowptr, pattern.col, _edge_of_rows(pattern))
    by_rows(_mean, *ends, gate, x, x.new_tensor([eps]), out, total)
    return out, (gate, out, total)


def gated_mean_backward(
    pattern: SparsityPattern, inputs: Sequence[Tensor], kept: Sequence[Tensor], grad: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients for the logits of edges and for ``x``."""
    x, (gate, out, total) = inputs[1], kept
    part, of_logits, of_x = grad / total, torch.empty_like(gate), torch.empty_like(x)
    by_rows(_mean_logits, pattern.rowptr, pattern.col, _edge_of_rows(pattern), gate, x, out, part, of_logits)
    by_rows(_mean_sources, pattern.colptr, pattern.csc_row, _edge_of_columns(pattern), gate, part, of_x)
    return of_logits, of_x


def _edge_of_rows(pattern: SparsityPattern) -> Tensor:
    """Which edge each entry is, row by row; nothing where they are in order."""
    return pattern.col.new_empty(0) if pattern.perm is None else pattern.perm


def _edge_of_columns(pattern: SparsityPattern) -> Tensor:
    """Which edge each entry is, column by column."""
    return pattern.csc_perm if pattern.perm is None else pattern.perm.index_select(0, pattern.csc_perm)
