"""Means over neighbours whose weights are gates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor

from graphkit.ops.triton.tiles import by_blocks, gather

if TYPE_CHECKING:
    from graphkit.ops.pattern import SparsityPattern


@triton.jit
def _mean(
    rowptr, col, a, b, x, eps, out, total, width, WIDE: tl.constexpr, ENTRIES: tl.constexpr, CHANNELS: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    inside = channel < width
    last = tl.load(rowptr + row + 1)
    of_target = tl.load(a + row * width + channel, mask=inside, other=0.0).to(WIDE)[None, :]
    sums, weights = tl.zeros((ENTRIES, CHANNELS), WIDE), tl.zeros((ENTRIES, CHANNELS), WIDE)
    for start in range(tl.load(rowptr + row), last, ENTRIES):
        entry = start + tl.arange(0, ENTRIES)
        here = entry < last
        source = tl.load(col + entry, mask=here, other=0)
        gate = tl.sigmoid(of_target + gather(b, source, here, channel, width, WIDE))
        weights += tl.where(here[:, None], gate, 0.0)
        sums += gate * gather(x, source, here, channel, width, WIDE)
    weight = tl.sum(weights, 0) + eps
    tl.store(out + row * width + channel, tl.sum(sums, 0) / weight, mask=inside)
    tl.store(total + row * width + channel, weight, mask=inside)


@triton.jit
def _to_targets(
    rowptr, col, a, b, x, mean, share, of_a, width, WIDE: tl.constexpr, ENTRIES: tl.constexpr, CHANNELS: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    inside = channel < width
    last = tl.load(rowptr + row + 1)
    of_target = tl.load(a + row * width + channel, mask=inside, other=0.0).to(WIDE)[None, :]
    its_mean = tl.load(mean + row * width + channel, mask=inside, other=0.0).to(WIDE)[None, :]
    sums = tl.zeros((ENTRIES, CHANNELS), WIDE)
    for start in range(tl.load(rowptr + row), last, ENTRIES):
        entry = start + tl.arange(0, ENTRIES)
        here = entry < last
        source = tl.load(col + entry, mask=here, other=0)
        gate = tl.sigmoid(of_target + gather(b, source, here, channel, width, WIDE))
        part = gate * (1.0 - gate) * (gather(x, source, here, channel, width, WIDE) - its_mean)
        sums += tl.where(here[:, None], part, 0.0)
    factor = tl.load(share + row * width + channel, mask=inside, other=0.0).to(WIDE)
    tl.store(of_a + row * width + channel, factor * tl.sum(sums, 0), mask=inside)


@triton.jit
def _to_sources(
    colptr,
    row,
    a,
    b,
    x,
    mean,
    share,
    of_b,
    of_x,
    width,
    WIDE: tl.constexpr,
    ENTRIES: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    source = tl.program_id(0).to(tl.int64)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    inside = channel < width
    last = tl.load(colptr + source + 1)
    of_source = tl.load(b + source * width + channel, mask=inside, other=0.0).to(WIDE)[None, :]
    value = tl.load(x + source * width + channel, mask=inside, other=0.0).to(WIDE)[None, :]
    to_b, to_x = tl.zeros((ENTRIES, CHANNELS), WIDE), tl.zeros((ENTRIES, CHANNELS), WIDE)
    for start in range(tl.load(colptr + source), last, ENTRIES):
        entry = start + tl.arange(0, ENTRIES)
        here = entry < last
        target = tl.load(row + entry, mask=here, other=0)
        gate = tl.sigmoid(gather(a, target, here, channel, width, WIDE) + of_source)
        part = gate * gather(share, target, here, channel, width, WIDE)
        to_x += part
        to_b += part * (1.0 - gate) * (value - gather(mean, target, here, channel, width, WIDE))
    tl.store(of_b + source * width + channel, tl.sum(to_b, 0), mask=inside)
    tl.store(of_x + source * width + channel, tl.sum(to_x, 0), mask=inside)


def gated_mean(
    pattern: SparsityPattern, eps: float, target_logit: Tensor, source_logit: Tensor, x: Tensor
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The means, and what the way back wants: they, and the sums of weights plus ``eps``."""
    a, b, x = (tensor.contiguous() for tensor in (target_logit, source_logit, x))
    out = torch.empty_like(a)
    total = torch.empty_like(a, dtype=torch.promote_types(a.dtype, torch.float32))
    by_blocks(_mean, *out.shape, x, *pattern.kernel_indices(), a, b, x, eps, out, total)
    return out, (out, total)


def gated_mean_backward(
    pattern: SparsityPattern, inputs: Sequence[Tensor], kept: Sequence[Tensor], grad: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of the logits of targets, those of sources and of ``x``."""
    a, b, x = (tensor.contiguous() for tensor in inputs)
    out, total = kept
    shared = a, b, x, out, (grad / total).contiguous()
    of_a, of_b, of_x = torch.empty_like(a), torch.empty_like(b), torch.empty_like(x)
    by_blocks(_to_targets, *a.shape, x, *pattern.kernel_indices(), *shared, of_a)
    by_blocks(_to_sources, *b.shape, x, *pattern.T.kernel_indices(), *shared, of_b, of_x)
    return of_a, of_b, of_x
