"""Max and min over the entries of each row, whose equal extremes share their gradient evenly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor

from graphkit.ops.triton.tiles import by_blocks, gather, launch, numbers, tile

if TYPE_CHECKING:
    from graphkit.ops.pattern import SparsityPattern


@triton.jit
def _messages(values, entry, x, source, here, channel, width, WIDE: tl.constexpr):
    """``values * x[source]``, rounded as the result is."""
    exact = numbers(values, entry, here, WIDE)[:, None] * gather(x, source, here, channel, width, WIDE)
    return exact.to(x.dtype.element_ty).to(WIDE)


@triton.jit
def _extreme(
    rowptr, col, values, x, sign, out, ties, width, WIDE: tl.constexpr, ENTRIES: tl.constexpr, CHANNELS: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    first, last = tl.load(rowptr + row), tl.load(rowptr + row + 1)
    best = tl.full((ENTRIES, CHANNELS), float("-inf"), WIDE)
    count = tl.zeros((ENTRIES, CHANNELS), tl.int32)
    for start in range(first, last, ENTRIES):
        entry = start + tl.arange(0, ENTRIES)
        here = entry < last
        source = tl.load(col + entry, mask=here, other=0)
        value = sign * _messages(values, entry, x, source, here, channel, width, WIDE)
        above = here[:, None] & ((value > best) | (value != value))  # a NaN stays: nothing is above it
        count = tl.where(above, 1, count + (here[:, None] & (value == best)).to(tl.int32))
        best = tl.where(above, value, best)
    is_nan = tl.sum((best != best).to(tl.int32), 0) > 0
    top = tl.max(best, 0)
    number = tl.sum(tl.where(best == top[None, :], count, 0), 0)
    top = tl.where(is_nan, float("nan"), tl.where(first < last, sign * top, 0.0))
    tl.store(out + row * width + channel, top, mask=channel < width)
    tl.store(ties + row * width + channel, number, mask=channel < width)


@triton.jit
def _to_x(
    colptr,
    row,
    position,
    values,
    x,
    out,
    share,
    of_x,
    width,
    WIDE: tl.constexpr,
    ENTRIES: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    source = tl.program_id(0).to(tl.int64)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    last = tl.load(colptr + source + 1)
    total = tl.zeros((ENTRIES, CHANNELS), WIDE)
    for start in range(tl.load(colptr + source), last, ENTRIES):
        entry = start + tl.arange(0, ENTRIES)
        here = entry < last
        target = tl.load(row + entry, mask=here, other=0)
        at = tl.load(position + entry, mask=here, other=0)
        value = _messages(values, at, x, tl.zeros_like(target) + source, here, channel, width, WIDE)
        reached = here[:, None] & (value == gather(out, target, here, channel, width, WIDE))
        part = numbers(values, at, here, WIDE)[:, None] * gather(share, target, here, channel, width, WIDE)
        total += tl.where(reached, part, 0.0)
    tl.store(of_x + source * width + channel, tl.sum(total, 0), mask=channel < width)


@triton.jit
def _to_values(
    rowptr,
    col,
    values,
    x,
    out,
    share,
    of_values,
    width,
    WIDE: tl.constexpr,
    ENTRIES: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    last = tl.load(rowptr + row + 1)
    for start in range(tl.load(rowptr + row), last, ENTRIES):
        entry = start + tl.arange(0, ENTRIES)
        here = entry < last
        source = tl.load(col + entry, mask=here, other=0)
        total = tl.zeros((ENTRIES, CHANNELS), WIDE)
        for block in range(0, width, CHANNELS):
            channel = block + tl.arange(0, CHANNELS)
            inside = channel < width
            best = tl.load(out + row * width + channel, mask=inside, other=0.0).to(WIDE)[None, :]
            each = tl.load(share + row * width + channel, mask=inside, other=0.0).to(WIDE)[None, :]
            reached = _messages(values, entry, x, source, here, channel, width, WIDE) == best
            total += tl.where(reached, each * gather(x, source, here, channel, width, WIDE), 0.0)
        tl.store(of_values + entry, tl.sum(total, 1), mask=here)


def extreme(pattern: SparsityPattern, values: Tensor | None, x: Tensor, reduce: str) -> tuple[Tensor, Tensor]:
    """The max or min over each row's entries ``values * x[col]`` (0 if there are none), and how many reach it."""
    x = x.contiguous()
    out = x.new_empty(pattern.num_rows, x.size(1))
    ties = torch.empty_like(out, dtype=torch.int32)
    sign = 1.0 if reduce == "max" else -1.0
    by_blocks(_extreme, *out.shape, x, *pattern.kernel_indices(), values, x, sign, out, ties)
    return out, ties


def extreme_backward(
    pattern: SparsityPattern, kept: tuple[Tensor, ...], ties: Tensor, grad: Tensor, needed: tuple[bool, ...]
) -> tuple[Tensor | None, Tensor | None]:
    """The gradients of ``x`` and ``values``, from these two, the result and how many entries reach it."""
    x, values, out = kept
    x, of_x, of_values = x.contiguous(), None, None
    share = (grad / ties.clamp(min=1)).contiguous()
    if needed[0]:
        of_x = torch.empty_like(x)
        entries = *pattern.T.kernel_indices(), pattern.csc_perm
        by_blocks(_to_x, *x.shape, x, *entries, values, x, out, share, of_x)
    if values is not None and needed[1]:
        of_values = torch.empty_like(values)
        given = *pattern.kernel_indices(), values, x, out, share, of_values, x.size(1)
        launch(_to_values, (pattern.num_rows,), x, *given, **tile(x.size(1)))
    return of_x, of_values
