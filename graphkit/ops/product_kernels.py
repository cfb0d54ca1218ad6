"""Products of sparse and dense matrices on the CPU, compiled by numba.

A row's sums stay in vector registers, 64 columns at a time, while its entries are read, each some entries after its
row of the dense matrix was asked for. Every thread writes rows of its own, so that results do not depend on the number
of threads.
"""

from __future__ import annotations

from typing import Any

import numba
from torch import Tensor

from graphkit.ops.kernels import by_rows
from graphkit.ops.lanes import WIDTH, load, part_of_kernel, prefetch, spread, store

_AHEAD = 16  # entries between a prefetch and its use: enough to hide the memory's latency
_LINE = 64  # bytes
_jit = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})


@part_of_kernel
def _bring(col: Any, x: Any, entry: int, width: int, first: int, columns: int) -> None:
    """Prefetch so many columns, from the first on, of the row of ``x`` that the entry some entries ahead takes."""
    if entry + _AHEAD < col.size:
        start = col[entry + _AHEAD] * width + first
        for i in range(start, start + columns, _LINE // x.itemsize):
            prefetch(x, i)


@part_of_kernel
def _sum_64(start: int, stop: int, col: Any, values: Any, x: Any, width: int, first: int, out: Any, o: int) -> None:
    """Write to ``out[o:o + 64]`` the sums over entries of their values times their rows' columns from the first on."""
    a = b = c = d = e = f = g = h = spread(x.dtype.type(0))
    for entry in range(start, stop):
        _bring(col, x, entry, width, first, 64)
        value, i = spread(values[entry]), col[entry] * width + first
        a, b = a + value * load(x, i, WIDTH), b + value * load(x, i + 8, WIDTH)
        c, d = c + value * load(x, i + 16, WIDTH), d + value * load(x, i + 24, WIDTH)
        e, f = e + value * load(x, i + 32, WIDTH), f + value * load(x, i + 40, WIDTH)
        g, h = g + value * load(x, i + 48, WIDTH), h + value * load(x, i + 56, WIDTH)
    store(out, o, a, WIDTH), store(out, o + 8, b, WIDTH), store(out, o + 16, c, WIDTH), store(out, o + 24, d, WIDTH)
    o += 32
    store(out, o, e, WIDTH), store(out, o + 8, f, WIDTH), store(out, o + 16, g, WIDTH), store(out, o + 24, h, WIDTH)


@part_of_kernel
def _sum_32(start: int, stop: int, col: Any, values: Any, x: Any, width: int, first: int, out: Any, o: int) -> None:
    """As :func:`_sum_64` for 32 columns."""
    a = b = c = d = spread(x.dtype.type(0))
    for entry in range(start, stop):
        _bring(col, x, entry, width, first, 32)
        value, i = spread(values[entry]), col[entry] * width + first
        a, b = a + value * load(x, i, WIDTH), b + value * load(x, i + 8, WIDTH)
        c, d = c + value * load(x, i + 16, WIDTH), d + value * load(x, i + 24, WIDTH)
    store(out, o, a, WIDTH), store(out, o + 8, b, WIDTH), store(out, o + 16, c, WIDTH), store(out, o + 24, d, WIDTH)


@part_of_kernel
def _sum_up_to_8(
    start: int, stop: int, col: Any, values: Any, x: Any, width: int, first: int, out: Any, o: int
) -> None:
    """As :func:`_sum_64` for up to 8 columns, those that are left."""
    a, count = spread(x.dtype.type(0)), width - first
    for entry in range(start, stop):
        _bring(col, x, entry, width, first, 1)
        a = a + spread(values[entry]) * load(x, col[entry] * width + first, count)
    store(out, o, a, count)


@_jit
def _product(start: int, stop: int, rowptr: Any, col: Any, values: Any, x: Any, width: int, out: Any) -> None:
    for row in range(start, stop):
        entry, end, first = rowptr[row], rowptr[row + 1], 0
        while first < width:
            o = row * width + first
            if width - first >= 64:
                _sum_64(entry, end, col, values, x, width, first, out, o)
                first += 64
            elif width - first >= 32:
                _sum_32(entry, end, col, values, x, width, first, out, o)
                first += 32
            else:
                _sum_up_to_8(entry, end, col, values, x, width, first, out, o)
                first += 8


def product(rowptr: Tensor, col: Tensor, values: Tensor, x: Tensor) -> Tensor:
    """The product ``[num_rows, F]`` of a CSR matrix with ``x [num_cols, F]``, of the values' float32 or float64."""
    out = x.new_empty(rowptr.numel() - 1, x.size(1))
    by_rows(_product, rowptr, col, values, x.reshape(-1), x.size(1), out.view(-1))
    return out
