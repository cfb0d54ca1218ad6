"""Softmax attention over the edges of a graph in one pass: scores, their softmax, and the weighted sums.

A program has one row and head. Additive scores are dynamic ones of width 1 whose weight is 1. Kept of each row and head
for the way back are the largest score and one over the sum of exponentials. What kernels are called with:
call = (slope, heads, width, channels), the last two of each head's part of the scores and the values;
parts = (target, source, edge, weight) of the scores; values = (value, edge_value, keep); None is what is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from graphkit.ops.triton.tiles import entries, launch, whole


@triton.jit
def part(x, rows, here, heads, width, WIDE: tl.constexpr, BLOCK: tl.constexpr):
    """The program's head of some rows ``[*, heads, width]``, where ``here``; 0 elsewhere."""
    if x is None:
        return tl.zeros((1, 1), WIDE)
    else:
        channel = tl.arange(0, BLOCK)
        at = (rows.to(tl.int64) * heads + tl.program_id(1))[:, None] * width + channel[None, :]
        return tl.load(x + at, mask=here[:, None] & (channel < width)[None, :], other=0.0).to(WIDE)


@triton.jit
def put(x, rows, here, heads, width, BLOCK: tl.constexpr, values):
    """Store what :func:`part` would read."""
    channel = tl.arange(0, BLOCK)
    at = (rows.to(tl.int64) * heads + tl.program_id(1))[:, None] * width + channel[None, :]
    tl.store(x + at, values, mask=here[:, None] & (channel < width)[None, :])


@triton.jit
def number(x, rows, here, heads, WIDE: tl.constexpr):
    """The program's head of some rows ``[*, heads]``, where ``here``; 0 elsewhere, and 1 of what is not there."""
    if x is None:
        return tl.full(here.shape, 1.0, WIDE)
    else:
        return tl.load(x + rows.to(tl.int64) * heads + tl.program_id(1), mask=here, other=0.0).to(WIDE)


@triton.jit
def bent(z, by, slope):
    """``by``, times the slope where ``z`` is not positive."""
    return tl.where(z > 0, by, slope * by)


@triton.jit
def score(of_target, of_other, weight, slope, here, DOT: tl.constexpr):
    """The scores of some entries, minus infinity where there is no entry."""
    if DOT:
        c = slope * tl.sum(of_target * of_other, 1)
    else:
        z = of_target + of_other
        c = tl.sum(weight * bent(z, z, slope), 1)
    return tl.where(here, c, float("-inf"))


@triton.jit
def _attend(
    rowptr,
    col,
    call,
    parts,
    values,
    out,
    stats,
    WIDE: tl.constexpr,
    DOT: tl.constexpr,
    ENTRIES: tl.constexpr,
    WIDTH: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    slope, heads, width, channels = call
    row, one = tl.program_id(0), tl.arange(0, 1)
    always, last = one == 0, tl.load(rowptr + row + 1)
    of_target = part(parts[0], row + one, always, heads, width, WIDE, WIDTH)
    weight = part(parts[3], one, always, heads, width, WIDE, WIDTH)
    top, amount = tl.full((1,), float("-inf"), WIDE), tl.zeros((1,), WIDE)
    sums = tl.zeros((1, CHANNELS), WIDE)
    for start in range(tl.load(rowptr + row), last, ENTRIES):
        entry = start + tl.arange(0, ENTRIES)
        here = entry < last
        s = tl.load(col + entry, mask=here, other=0)
        of_other = part(parts[1], s, here, heads, width, WIDE, WIDTH)
        of_other += part(parts[2], entry, here, heads, width, WIDE, WIDTH)
        c = score(of_target, of_other, weight, slope, here, DOT)
        higher = tl.maximum(top, tl.max(c, 0, keep_dims=True))
        base = tl.where(higher == float("-inf"), 0.0, higher)
        positive, fade = tl.exp(c - base), tl.exp(top - base)
        amount = amount * fade + tl.sum(positive, 0, keep_dims=True)
        sent = part(values[0], s, here, heads, channels, WIDE, CHANNELS)
        sent += part(values[1], entry, here, heads, channels, WIDE, CHANNELS)
        positive *= number(values[2], entry, here, heads, WIDE)
        sums = sums * fade[:, None] + tl.sum(positive[:, None] * sent, 0, keep_dims=True)
        top = higher
    share = tl.where(amount == 0, 0.0, 1.0 / amount)
    put(out, row + one, always, heads, channels, CHANNELS, sums * share[:, None])
    put(stats, 2 * row + one, always, heads, 1, 1, tl.where(top == float("-inf"), 0.0, top)[:, None])
    put(stats, 2 * row + 1 + one, always, heads, 1, 1, share[:, None])


class Arguments:
    """What all kernels take."""

    def __init__(self, form: str, slope: float, inputs: Sequence[Tensor | None]) -> None:
        target, source, edge, weight, value, edge_value, keep = (None if x is None else x.contiguous() for x in inputs)
        assert value is not None
        some = edge if target is None else target
        assert some is not None
        self.heads, width, channels = value.size(1), 1 if some.dim() == 2 else some.size(2), value.size(2)
        if weight is None and form != "dot":
            weight = value.new_ones(self.heads, width)
        self.call = slope, self.heads, width, channels
        self.parts, self.values = (target, source, edge, weight), (value, edge_value, keep)
        sizes = {"WIDTH": whole(width), "CHANNELS": whole(channels), "ENTRIES": entries(whole(max(width, channels)))}
        self.constants = {"DOT": form == "dot", **sizes}

    def launch(self, kernel: Any, rows: int, structure: Sequence[Tensor], *rest: Any) -> None:
        grid = rows, self.heads
        launch(kernel, grid, self.values[0], *structure, self.call, self.parts, self.values, *rest, **self.constants)


def attend(
    pattern: Any, form: str, slope: float, inputs: Sequence[Tensor | None]
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """The weighted sums of values, and what the backward pass wants to know.

    ``inputs`` are target, source, edge and weight of the scores, values, those of edges, and what dropout keeps.
    """
    given = Arguments(form, slope, inputs)
    value = given.values[0]
    out = value.new_empty(pattern.num_rows, given.heads, value.size(2))
    wide = torch.promote_types(value.dtype, torch.float32)
    stats = value.new_empty(pattern.num_rows, 2, given.heads, dtype=wide)
    given.launch(_attend, pattern.num_rows, pattern.kernel_indices(), out, stats)
    return out, (out, stats)
