"""Products of sparse and dense matrices on the CPU, compiled by numba, for values that are numbers or one per head.

A row's sums stay in vector registers, 64 columns at a time, while its entries are read, each some entries after its
row of the dense matrix was asked for. Every thread writes rows of its own, so that results do not depend on the number
of threads.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from torch import Tensor

from graphkit.ops.kernels import by_rows, cuts, in_threads, jit
from graphkit.ops.lanes import WIDTH, dots, known, load, number, part_of_kernel, prefetch, spread, store

_AHEAD = 16  # entries between a prefetch and its use: enough to hide the memory's latency
_LINE = 64  # bytes
_jit = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})


# entries = (col, position): the row of the dense matrix that each entry takes, and where its values stand; no positions
# where they stand in order. sizes = (heads, channels): the dense matrix has a column for each channel of each head.


@part_of_kernel
def _bring(entries: Any, values: Any, x: Any, entry: int, heads: int, width: int, first: int, columns: int) -> None:
    """Prefetch so many columns, from the first on, of the row that an entry ahead takes, and its values."""
    col, position = entries
    if entry + _AHEAD < col.size:
        start = col[entry + _AHEAD] * width + first
        for i in range(start, start + columns, _LINE // x.itemsize):
            prefetch(x, i)
        if position.size:
            prefetch(values, position[entry + _AHEAD] * heads)


@part_of_kernel
def _head(sizes: Any, column: int) -> int:
    return 0 if number(sizes[0]) == 1 else column // number(sizes[1])


@part_of_kernel
def _start(entries: Any, entry: int, heads: int) -> int:
    """Where the entry's values begin."""
    return (entries[1][entry] if entries[1].size else entry) * heads


@part_of_kernel
def _add_32(sums: Any, of: Any, values: Any, v: int, x: Any, i: int) -> Any:
    """The sums and ``x[i:i + 32]`` times an entry's values, which begin at v: of these heads, each for 8 columns."""
    a, b, c, d = sums
    a = a + spread(values[v + of[0]]) * load(x, i, WIDTH)
    b = b + spread(values[v + of[1]]) * load(x, i + 8, WIDTH)
    c = c + spread(values[v + of[2]]) * load(x, i + 16, WIDTH)
    d = d + spread(values[v + of[3]]) * load(x, i + 24, WIDTH)
    return a, b, c, d


@part_of_kernel
def _store_32(out: Any, o: int, sums: Any) -> None:
    a, b, c, d = sums
    store(out, o, a, WIDTH), store(out, o + 8, b, WIDTH), store(out, o + 16, c, WIDTH), store(out, o + 24, d, WIDTH)


@part_of_kernel
def _heads_of_32(sizes: Any, first: int) -> Any:
    return _head(sizes, first), _head(sizes, first + 8), _head(sizes, first + 16), _head(sizes, first + 24)


@part_of_kernel
def _sum_64(start: int, stop: int, entries: Any, values: Any, sizes: Any, x: Any, first: int, out: Any, o: int) -> None:
    """Write to ``out[o:o + 64]`` the sums over entries of their values times their rows' columns from the first on."""
    heads, width, zero = number(sizes[0]), number(sizes[0]) * number(sizes[1]), spread(x.dtype.type(0))
    low = high = (zero, zero, zero, zero)
    of_low, of_high = _heads_of_32(sizes, first), _heads_of_32(sizes, first + 32)
    for entry in range(start, stop):
        _bring(entries, values, x, entry, heads, width, first, 64)
        v, i = _start(entries, entry, heads), entries[0][entry] * width + first
        low, high = _add_32(low, of_low, values, v, x, i), _add_32(high, of_high, values, v, x, i + 32)
    _store_32(out, o, low)
    _store_32(out, o + 32, high)


@part_of_kernel
def _sum_32(start: int, stop: int, entries: Any, values: Any, sizes: Any, x: Any, first: int, out: Any, o: int) -> None:
    """As :func:`_sum_64` for 32 columns."""
    heads, width, zero = number(sizes[0]), number(sizes[0]) * number(sizes[1]), spread(x.dtype.type(0))
    sums, of = (zero, zero, zero, zero), _heads_of_32(sizes, first)
    for entry in range(start, stop):
        _bring(entries, values, x, entry, heads, width, first, 32)
        v, i = _start(entries, entry, heads), entries[0][entry] * width + first
        sums = _add_32(sums, of, values, v, x, i)
    _store_32(out, o, sums)


@part_of_kernel
def _sum_up_to_8(
    start: int, stop: int, entries: Any, values: Any, sizes: Any, x: Any, first: int, out: Any, o: int
) -> None:
    """As :func:`_sum_64` for the up to 8 columns that are left of a head."""
    heads, width = number(sizes[0]), number(sizes[0]) * number(sizes[1])
    a, of_a, count = spread(x.dtype.type(0)), _head(sizes, first), width - first
    for entry in range(start, stop):
        _bring(entries, values, x, entry, heads, width, first, 1)
        value = spread(values[_start(entries, entry, heads) + of_a])
        a = a + value * load(x, entries[0][entry] * width + first, count)
    store(out, o, a, count)


@_jit
def _product(start: int, stop: int, ptr: Any, entries: Any, values: Any, sizes: Any, x: Any, out: Any) -> None:
    width = number(sizes[0]) * number(sizes[1])
    for row in range(start, stop):
        entry, end, first = ptr[row], ptr[row + 1], 0
        while first < width:
            o = row * width + first
            if width - first >= 64:
                _sum_64(entry, end, entries, values, sizes, x, first, out, o)
                first += 64
            elif width - first >= 32:
                _sum_32(entry, end, entries, values, sizes, x, first, out, o)
                first += 32
            else:
                _sum_up_to_8(entry, end, entries, values, sizes, x, first, out, o)
                first += 8


@_jit
def _inner_products(
    start: int, stop: int, ptr: Any, entries: Any, sizes: Any, a: Any, b: Any, scale: Any, out: Any
) -> None:
    heads, channels = number(sizes[0]), number(sizes[1])
    width, pieces = heads * channels, np.zeros(WIDTH * WIDTH, out.dtype)
    for row in range(start, stop):
        for entry in range(ptr[row], ptr[row + 1]):
            _bring(entries, out, b, entry, heads, width, 0, width)
            i, j = row * width, entries[0][entry] * width
            for head in range(0, heads, WIDTH):
                shift, n = head * channels, heads - head
                sums = dots(a, i + shift, b, j + shift, channels, n, pieces)
                store(out, entry * heads + head, spread(scale) * sums, n)


@jit
def _row_products(start: int, stop: int, x: Any, a: Any, b: Any, out: Any) -> None:
    zero = x.dtype.type(0)
    for row in range(start, stop):
        own, first, second = x[row], a[row], b[row]
        to_first, to_second, square = zero, zero, zero
        for channel in range(own.size):
            to_first += own[channel] * first[channel]
            to_second += own[channel] * second[channel]
            square += own[channel] * own[channel]
        out[0, row], out[1, row], out[2, row] = to_first, to_second, square


def row_products(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Each row's products with the same row of ``a``, with that of ``b`` and with itself, ``[3, num_rows]``."""
    out = x.new_empty(3, x.size(0))
    in_threads(_row_products, cuts(x.size(0)), x, a, b, out)
    return out


def product(rowptr: Tensor, col: Tensor, values: Tensor, x: Tensor) -> Tensor:
    """The product ``[num_rows, F]`` of a CSR matrix with ``x [num_cols, F]``, of the values' float32 or float64."""
    return product_of_heads((rowptr, col), values, x, (known(1), x.size(1)))


def product_of_heads(
    rows: tuple[Tensor, Tensor], values: Tensor, x: Tensor, sizes: tuple[Any, Any], position: Tensor | None = None
) -> Tensor:
    """The product of as many matrices as there are heads, each with its columns of ``x``.

    Args:
        rows: Where the entries of each row begin, then their number; and their columns.
        values: Their values, one for each head.
        x: Features ``[num_cols, *]``.
        sizes: The number of heads and of channels per head, a multiple of 8; either as lanes' ``known``.
        position: Where the values of each entry stand (default: in order).
    """
    rowptr, col = rows
    out = x.new_empty(rowptr.numel() - 1, *x.shape[1:])
    entries = _numbers(col), _numbers(col.new_empty(0) if position is None else position)
    by_rows(_product, rowptr, entries, values.reshape(-1), sizes, x.reshape(-1), out.view(-1))
    return out


def inner_products(
    rows: tuple[Tensor, Tensor], a: Tensor, b: Tensor, sizes: tuple[Any, Any], scale: float = 1.0
) -> Tensor:
    """``scale`` times the inner products of each entry's rows of ``a`` and ``b``, one for each head.

    Arguments are those of :func:`product_of_heads`, but that heads may have any number of channels.
    """
    rowptr, col = rows
    out = a.new_empty(col.numel(), number_of(sizes[0]))
    entries = _numbers(col), _numbers(col.new_empty(0))
    given = _numbers(a).dtype.type(scale)
    by_rows(_inner_products, rowptr, entries, sizes, a.reshape(-1), b.reshape(-1), given, out.view(-1))
    return out


def number_of(size: Any) -> int:
    """A number, which may be written as lanes' ``known``."""
    return len(size) if isinstance(size, tuple) else size


def _numbers(x: Tensor) -> Any:
    return x.detach().contiguous().numpy()
