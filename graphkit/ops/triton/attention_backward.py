"""The gradients of softmax attention; weights are computed anew, once for rows and once for columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from graphkit.ops.triton.attention import Arguments, bent, number, part, put, score


@triton.jit
def _gradient(score, top, share, mean, its_grad, sent, kept):
    """The weights of some entries, and the gradients of their scores."""
    positive = tl.exp(score - top) * share
    return positive * kept, positive * (kept * tl.sum(its_grad * sent, 1) - mean)


@triton.jit
def _to_rows(
    rowptr,
    col,
    call,
    parts,
    values,
    stats,
    mean,
    grad,
    of,
    WIDE: tl.constexpr,
    DOT: tl.constexpr,
    ENTRIES: tl.constexpr,
    WIDTH: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """The gradients of targets, edges, weights of scores (a row each) and values of edges."""
    slope, heads, width, channels = call
    row, one = tl.program_id(0), tl.arange(0, 1)
    always, last = one == 0, tl.load(rowptr + row + 1)
    of_target = part(parts[0], row + one, always, heads, width, WIDE, WIDTH)
    weight = part(parts[3], one, always, heads, width, WIDE, WIDTH)
    top = number(stats, 2 * row + one, always, heads, WIDE)
    share = number(stats, 2 * row + 1 + one, always, heads, WIDE)
    its_mean = number(mean, row + one, always, heads, WIDE)
    its_grad = part(grad, row + one, always, heads, channels, WIDE, CHANNELS)
    to_target, to_weight = tl.zeros((1, WIDTH), WIDE), tl.zeros((1, WIDTH), WIDE)
    for start in range(tl.load(rowptr + row), last, ENTRIES):
        entry = start + tl.arange(0, ENTRIES)
        here = entry < last
        s = tl.load(col + entry, mask=here, other=0)
        of_other = part(parts[1], s, here, heads, width, WIDE, WIDTH)
        of_other += part(parts[2], entry, here, heads, width, WIDE, WIDTH)
        sent = part(values[0], s, here, heads, channels, WIDE, CHANNELS)
        sent += part(values[1], entry, here, heads, channels, WIDE, CHANNELS)
        c = score(of_target, of_other, weight, slope, here, DOT)
        kept = number(values[2], entry, here, heads, WIDE)
        alpha, d = _gradient(c, top, share, its_mean, its_grad, sent, kept)
        if of[3] is not None:
            put(of[3], entry, here, heads, channels, CHANNELS, alpha[:, None] * its_grad)
        if DOT:
            to_other = slope * d[:, None] * of_target
            to_target += tl.sum(slope * d[:, None] * of_other, 0, keep_dims=True)
        else:
            z = of_target + of_other
            to_other = d[:, None] * bent(z, weight, slope)
            to_target += tl.sum(to_other, 0, keep_dims=True)
            to_weight += tl.sum(d[:, None] * bent(z, z, slope), 0, keep_dims=True)
        if of[1] is not None:
            put(of[1], entry, here, heads, width, WIDTH, to_other)
    if of[0] is not None:
        put(of[0], row + one, always, heads, width, WIDTH, to_target)
    if of[2] is not None:
        put(of[2], row + one, always, heads, width, WIDTH, to_weight)


@triton.jit
def _to_columns(
    colptr,
    row,
    position,
    call,
    parts,
    values,
    stats,
    mean,
    grad,
    of,
    WIDE: tl.constexpr,
    DOT: tl.constexpr,
    ENTRIES: tl.constexpr,
    WIDTH: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """The gradients of sources and values."""
    slope, heads, width, channels = call
    column, one = tl.program_id(0), tl.arange(0, 1)
    always, last = one == 0, tl.load(colptr + column + 1)
    of_source = part(parts[1], column + one, always, heads, width, WIDE, WIDTH)
    weight = part(parts[3], one, always, heads, width, WIDE, WIDTH)
    value = part(values[0], column + one, always, heads, channels, WIDE, CHANNELS)
    to_source, to_value = tl.zeros((1, WIDTH), WIDE), tl.zeros((1, CHANNELS), WIDE)
    for start in range(tl.load(colptr + column), last, ENTRIES):
        entry = start + tl.arange(0, ENTRIES)
        here = entry < last
        t, at = tl.load(row + entry, mask=here, other=0), tl.load(position + entry, mask=here, other=0)
        of_target = part(parts[0], t, here, heads, width, WIDE, WIDTH)
        of_other = of_source + part(parts[2], at, here, heads, width, WIDE, WIDTH)
        sent = value + part(values[1], at, here, heads, channels, WIDE, CHANNELS)
        its_grad = part(grad, t, here, heads, channels, WIDE, CHANNELS)
        c = score(of_target, of_other, weight, slope, here, DOT)
        top, share = number(stats, 2 * t, here, heads, WIDE), number(stats, 2 * t + 1, here, heads, WIDE)
        kept, its_mean = number(values[2], at, here, heads, WIDE), number(mean, t, here, heads, WIDE)
        alpha, d = _gradient(c, top, share, its_mean, its_grad, sent, kept)
        to_value += tl.sum(alpha[:, None] * its_grad, 0, keep_dims=True)
        if DOT:
            to_source += tl.sum(slope * d[:, None] * of_target, 0, keep_dims=True)
        else:
            to_source += tl.sum(d[:, None] * bent(of_target + of_other, weight, slope), 0, keep_dims=True)
    if of[0] is not None:
        put(of[0], column + one, always, heads, width, WIDTH, to_source)
    put(of[1], column + one, always, heads, channels, CHANNELS, to_value)


def attend_backward(
    pattern: Any, form: str, slope: float, inputs: Sequence[Tensor | None], kept: Sequence[Tensor], grad: Tensor
) -> list[Tensor | None]:
    """The gradients of all inputs but the last."""
    given = Arguments(form, slope, inputs)
    out, stats = kept
    mean = (grad.to(stats.dtype) * out.to(stats.dtype)).sum(-1)  # of the weights' gradients, by the weights
    of = [None if x is None else torch.zeros_like(x, memory_format=torch.contiguous_format) for x in inputs[:6]]
    target, source, edge, weight, value, edge_value = of
    of_weight = None if weight is None else weight.new_zeros(pattern.num_rows, *weight.shape, dtype=stats.dtype)
    shared = stats, mean.contiguous(), grad.contiguous()
    of_rows = target, edge, of_weight, edge_value
    given.launch(_to_rows, pattern.num_rows, pattern.kernel_indices(), *shared, of_rows)
    columns = *pattern.T.kernel_indices(), pattern.csc_perm
    given.launch(_to_columns, pattern.num_cols, columns, *shared, (source, value))
    if of_weight is not None and weight is not None:
        of[3] = of_weight.sum(0).to(weight.dtype)
    return of
