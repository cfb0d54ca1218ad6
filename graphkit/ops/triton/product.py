"""Products of a sparse matrix with dense rows, and products sampled at its entries."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from graphkit.ops.triton.tiles import by_blocks, gather, launch, numbers, tile


@triton.jit
def _product(rowptr, col, values, x, out, width, WIDE: tl.constexpr, ENTRIES: tl.constexpr, CHANNELS: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    last = tl.load(rowptr + row + 1)
    total = tl.zeros((ENTRIES, CHANNELS), WIDE)
    for start in range(tl.load(rowptr + row), last, ENTRIES):
        entry = start + tl.arange(0, ENTRIES)
        here = entry < last
        source = tl.load(col + entry, mask=here, other=0)
        total += numbers(values, entry, here, WIDE)[:, None] * gather(x, source, here, channel, width, WIDE)
    tl.store(out + row * width + channel, tl.sum(total, 0), mask=channel < width)


@triton.jit
def _sampled(rowptr, col, a, b, out, width, WIDE: tl.constexpr, ENTRIES: tl.constexpr, CHANNELS: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    last = tl.load(rowptr + row + 1)
    for start in range(tl.load(rowptr + row), last, ENTRIES):
        entry = start + tl.arange(0, ENTRIES)
        here = entry < last
        source = tl.load(col + entry, mask=here, other=0)
        total = tl.zeros((ENTRIES, CHANNELS), WIDE)
        for block in range(0, width, CHANNELS):
            channel = block + tl.arange(0, CHANNELS)
            of_row = tl.load(a + row * width + channel, mask=channel < width, other=0.0).to(WIDE)
            total += of_row[None, :] * gather(b, source, here, channel, width, WIDE)
        tl.store(out + entry, tl.sum(total, 1), mask=here)


def product(rowptr: Tensor, col: Tensor, values: Tensor | None, x: Tensor) -> Tensor:
    """The sums over each row of the rows ``values * x[col]``; ``None`` stands for all ones."""
    x = x.contiguous()
    out = x.new_empty(rowptr.numel() - 1, x.size(1))
    by_blocks(_product, *out.shape, x, rowptr, col, values, x, out)
    return out


def sampled(rowptr: Tensor, col: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """``(a[row] * b[col]).sum(1)`` for every entry in CSR order."""
    a, b = a.contiguous(), b.contiguous()
    out = a.new_empty(col.numel())
    launch(_sampled, (rowptr.numel() - 1,), a, rowptr, col, a, b, out, a.size(1), **tile(a.size(1)))
    return out
