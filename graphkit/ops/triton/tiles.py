"""The sizes of tiles, and how kernels are started.

One program computes one row of a result and a block of its channels, and nobody else writes there: no atomics, and the
same bits every time. It reads the entries of its row some at a time, as a tile of entries and channels.

The sizes were chosen on paper. A memory that moves 3.35 TB/s (H100; A100: 2.0) and answers after about 600 ns needs
2 MB under way, 15 kB on each of 132 multiprocessors. These hold at most 32 programs, so that each should have 512 bytes
under way: the 128 numbers in single precision that the 32 lanes of one warp load, 16 bytes each. Thus one warp per
program, which never waits for another one, and at most 128 channels. Tiles of 256 numbers keep two such loads under way
and occupy 8 registers of a lane; the largest kernels have five tiles at once, which fits into the 64 registers that 32
programs leave to each. Rows narrower than 128 channels read more entries at a time, but 16 at most, since typical
rows have no more. A row with very many entries is still the work of one program per block of channels.

``python -m benchmarks.tiles`` measures other sizes.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

NUMBERS, MOST_CHANNELS, MOST_ENTRIES, WARPS = 256, 128, 16, 1


def whole(width: int) -> int:
    """The channels of a tile that holds whole rows of some width."""
    return triton.next_power_of_2(max(width, 1))


def entries(channels: int) -> int:
    """How many entries are read at a time, so many channels of each."""
    return max(1, min(NUMBERS // channels, MOST_ENTRIES))


def tile(width: int) -> dict[str, int]:
    """The sizes of a tile of rows of some width, which several programs may share."""
    channels = min(whole(width), MOST_CHANNELS)
    return {"ENTRIES": entries(channels), "CHANNELS": channels}


def launch(kernel: Any, grid: tuple[int, ...], like: Tensor, *arguments: Any, **constants: Any) -> None:
    """Run a kernel on the device of ``like``, computing in double precision if that has it, else in single."""
    if 0 not in grid:
        wide = tl.float64 if like.dtype == torch.float64 else tl.float32
        with torch.cuda.device_of(like):
            kernel[grid](*arguments, WIDE=wide, num_warps=WARPS, **constants)


def by_blocks(kernel: Any, rows: int, width: int, like: Tensor, *arguments: Any, **constants: Any) -> None:
    """Run one program for each row and block of channels; the last argument of the kernel is the width."""
    sizes = tile(width)
    grid = rows, triton.cdiv(width, sizes["CHANNELS"])
    launch(kernel, grid, like, *arguments, width, **sizes, **constants)


@triton.jit
def gather(x, rows, here, channel, width, WIDE: tl.constexpr):
    """The channels of the rows of a matrix, where ``here``; 0 elsewhere."""
    mask = here[:, None] & (channel < width)[None, :]
    return tl.load(x + rows.to(tl.int64)[:, None] * width + channel[None, :], mask=mask, other=0.0).to(WIDE)


@triton.jit
def numbers(x, at, here, WIDE: tl.constexpr):
    """The numbers of a vector at some places, where ``here``; 0 elsewhere, and 1 of a vector that is none."""
    if x is None:
        return tl.full(here.shape, 1.0, WIDE)
    else:
        return tl.load(x + at, mask=here, other=0.0).to(WIDE)
