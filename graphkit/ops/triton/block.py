"""Products with one small matrix per entry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor

from graphkit.ops.triton.tiles import launch, tile

if TYPE_CHECKING:
    from graphkit.ops.pattern import SparsityPattern


@triton.jit
def _at(position, entry):
    """Which edge an entry is; without positions its own number."""
    if position is None:
        return tl.cast(entry, tl.int64)
    else:
        return tl.load(position + entry).to(tl.int64)


@triton.jit
def _product(
    ptr, col, position, blocks, strides, x, out, sizes, WIDE: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr
):
    """``out[r] = sum of blocks[position] @ x[col]`` over the entries of a row, entry by entry, column by column."""
    d, e, width = sizes
    by_entry, by_row, by_column = strides
    row, i = tl.program_id(0).to(tl.int64), tl.arange(0, ROWS)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    total = tl.zeros((ROWS, CHANNELS), WIDE)
    for entry in range(tl.load(ptr + row), tl.load(ptr + row + 1)):
        source, at = tl.load(col + entry).to(tl.int64), _at(position, entry)
        for j in range(0, e):
            of_block = tl.load(blocks + at * by_entry + i * by_row + j * by_column, mask=i < d, other=0.0).to(WIDE)
            of_x = tl.load(x + (source * e + j) * width + channel, mask=channel < width, other=0.0).to(WIDE)
            total += of_block[:, None] * of_x[None, :]
    mask = (i < d)[:, None] & (channel < width)[None, :]
    tl.store(out + (row * d + i)[:, None] * width + channel[None, :], total, mask=mask)


@triton.jit
def _outer(ptr, col, position, grad, x, out, sizes, WIDE: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr):
    """``out[position] = grad[row] @ x[col].T`` for each entry."""
    d, e, width = sizes
    row, i = tl.program_id(0).to(tl.int64), tl.arange(0, ROWS)
    for entry in range(tl.load(ptr + row), tl.load(ptr + row + 1)):
        source, at = tl.load(col + entry).to(tl.int64), _at(position, entry)
        for j in range(0, e):
            total = tl.zeros((ROWS, CHANNELS), WIDE)
            for start in range(0, width, CHANNELS):
                channel = start + tl.arange(0, CHANNELS)
                inside = channel < width
                of_row = (row * d + i)[:, None] * width + channel[None, :]
                of_grad = tl.load(grad + of_row, mask=(i < d)[:, None] & inside[None, :], other=0.0).to(WIDE)
                of_x = tl.load(x + (source * e + j) * width + channel, mask=inside, other=0.0).to(WIDE)
                total += of_grad * of_x[None, :]
            tl.store(out + (at * d + i) * e + j, tl.sum(total, 1), mask=i < d)


def _tile(d: int, width: int) -> dict[str, int]:
    """Rows of a block stand where other kernels have entries."""
    rows = triton.next_power_of_2(d)
    return {"ROWS": rows, "CHANNELS": min(tile(width)["CHANNELS"], max(1, 1024 // rows))}


def _multiply(pattern: SparsityPattern, blocks: Tensor, strides: tuple[int, ...], x: Tensor, d: int) -> Tensor:
    x, e, width = x.contiguous(), x.size(1), x.size(2)
    out = x.new_empty(pattern.num_rows, d, width)
    constants = _tile(d, width)
    grid = out.size(0), triton.cdiv(width, constants["CHANNELS"])
    structure = *pattern.kernel_indices(), pattern.perm
    launch(_product, grid, x, *structure, blocks, strides, x, out, (d, e, width), **constants)
    return out


def product(pattern: SparsityPattern, blocks: Tensor, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The sum over each row of ``blocks @ x[col]``, with blocks ``[num_edges, d, e]`` in the order of the edges."""
    return _multiply(pattern, blocks, blocks.stride(), x, blocks.size(1)), ()


def product_backward(
    pattern: SparsityPattern, inputs: Sequence[Tensor], kept: Sequence[Tensor], grad: Tensor
) -> tuple[Tensor, Tensor]:
    """The gradients of blocks and ``x``."""
    blocks, x = inputs
    x, grad = x.contiguous(), grad.contiguous()
    by_entry, by_row, by_column = blocks.stride()
    of_x = _multiply(pattern.T, blocks, (by_entry, by_column, by_row), grad, x.size(1))
    of_blocks = torch.empty_like(blocks, memory_format=torch.contiguous_format)
    sizes = grad.size(1), x.size(1), x.size(2)
    structure = *pattern.kernel_indices(), pattern.perm
    launch(_outer, (pattern.num_rows,), x, *structure, grad, x, of_blocks, sizes, **_tile(*sizes[::2]))
    return of_blocks, of_x
