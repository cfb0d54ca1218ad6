"""Passes over the pairs at one distance and over the rows of nodes, on the CPU, compiled by numba.

Matrices are flat arrays, those of all hops one after the other. Sums over nodes are made of those of blocks of rows, so
that results do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graphkit.ops.kernels import cuts, in_threads, jit
from graphkit.ops.lanes import WIDTH, bend, larger, load, part_of_kernel, spread, store

if TYPE_CHECKING:
    from graphkit.ops.hop_sets import HopSets

BLOCK = 64  # rows whose sums are made before they are added to those of others: they fit into the first cache


@jit
def _sort(rowptr: Any, col: Any, kind: Any, ptr: Any, by_row: Any, colptr: Any, by_col: Any) -> None:
    num_rows = rowptr.size - 1
    for row in range(num_rows):
        for entry in range(rowptr[row], rowptr[row + 1]):
            if kind[entry] > 0:
                ptr[kind[entry], row] += 1
                colptr[kind[entry], col[entry]] += 1
    first, other = 0, 0
    for hop in range(1, ptr.shape[0]):
        for row in range(num_rows + 1):  # counts become beginnings; the last count of a hop is none
            count, of_col = ptr[hop, row], colptr[hop, row]
            ptr[hop, row], colptr[hop, row] = first, other
            first, other = first + count, other + of_col
    for row in range(num_rows):
        for entry in range(rowptr[row], rowptr[row + 1]):
            hop, source = kind[entry], col[entry]
            if hop > 0:
                by_row[ptr[hop, row]], by_col[colptr[hop, source]] = source, row
                ptr[hop, row] += 1
                colptr[hop, source] += 1
    for hop in range(1, ptr.shape[0]):  # beginnings have moved on to those of the next ones
        for row in range(num_rows, 0, -1):
            ptr[hop, row], colptr[hop, row] = ptr[hop, row - 1], colptr[hop, row - 1]
        ptr[hop, 0] = ptr[hop - 1, num_rows] if hop > 1 else 0
        colptr[hop, 0] = colptr[hop - 1, num_rows] if hop > 1 else 0


def sort_by_distance(
    rowptr: Tensor, col: Tensor, kind: Tensor, ptr: Tensor, by_row: Tensor, colptr: Tensor, by_col: Tensor
) -> None:
    """Fill the arrays of :class:`HopSets` from a pattern and the distance of each entry, 0 for those left out."""
    _sort(*(array.numpy() for array in (rowptr, col, kind, ptr, by_row, colptr, by_col)))


# Products: row t of the result is scale[t] * (own * scale[t] * x[t] + the sum of scale[s] * x[s] over the sources s).


@part_of_kernel
def _row_of_product(
    row: int, width: int, first: int, last: int, col: Any, scale: Any, own: Any, x: Any, out: Any, at: int
) -> None:
    mine = scale[row]
    for channel in range(0, width, 4 * WIDTH):
        n, i = width - channel, row * width + channel
        factor = spread(own * mine)
        a, b = factor * load(x, i, n), factor * load(x, i + 8, n - 8)
        c, d = factor * load(x, i + 16, n - 16), factor * load(x, i + 24, n - 24)
        for entry in range(first, last):
            factor, j = spread(scale[col[entry]]), col[entry] * width + channel
            a = a + factor * load(x, j, n)
            b = b + factor * load(x, j + 8, n - 8)
            c = c + factor * load(x, j + 16, n - 16)
            d = d + factor * load(x, j + 24, n - 24)
        factor, j = spread(mine), at + channel
        store(out, j, factor * a, n)
        store(out, j + 8, factor * b, n - 8)
        store(out, j + 16, factor * c, n - 16)
        store(out, j + 24, factor * d, n - 24)


@jit
def _product(
    start: int, stop: int, hop: int, width: int, ptr: Any, col: Any, scales: Any, own: Any, x: Any, out: Any
) -> None:
    begins, scale = ptr[hop], scales[hop]
    for row in range(start, stop):
        _row_of_product(row, width, begins[row], begins[row + 1], col, scale, own, x, out, row * width)


@jit
def _product_and_moments(
    start: int,
    stop: int,
    hop: int,
    width: int,
    ptr: Any,
    col: Any,
    scales: Any,
    own: Any,
    x: Any,
    z: Any,
    sums: Any,
    squares: Any,
) -> None:
    """The products, and of each block of rows the sums and the squares of distances from their mean."""
    begins, scale, one = ptr[hop], scales[hop], z.dtype.type(1)
    for begin in range(start, stop, BLOCK):
        end = min(begin + BLOCK, stop)
        total, square = sums[begin // BLOCK], squares[begin // BLOCK]
        total[:], square[:] = 0, 0
        for row in range(begin, end):
            _row_of_product(row, width, begins[row], begins[row + 1], col, scale, own, x, z, row * width)
            mine = z[row * width : (row + 1) * width]
            for channel in range(total.size):
                total[channel] += mine[channel]
        share = one / z.dtype.type(end - begin)
        for row in range(begin, end):
            mine = z[row * width : (row + 1) * width]
            for channel in range(total.size):
                distance = mine[channel] - share * total[channel]
                square[channel] += distance * distance


@jit
def _standardize(
    num_rows: int, eps: Any, sums: Any, squares: Any, factor: Any, summand: Any, mean: Any, inverse: Any, variance: Any
) -> None:
    """The mean and the variance of each channel from what blocks of rows have added up, and the map that they make."""
    one = mean.dtype.type(1)
    rows = mean.dtype.type(num_rows)
    mean[:], variance[:] = 0, 0
    for block in range(sums.shape[0]):
        total = sums[block]
        for channel in range(mean.size):
            mean[channel] += total[channel]
    for channel in range(mean.size):
        mean[channel] /= rows
    for block in range(sums.shape[0]):
        total, square = sums[block], squares[block]
        size = mean.dtype.type(min(BLOCK, num_rows - block * BLOCK))
        for channel in range(mean.size):
            distance = total[channel] / size - mean[channel]
            variance[channel] += square[channel] + size * distance * distance
    for channel in range(mean.size):
        variance[channel] /= rows
        inverse[channel] = one / np.sqrt(variance[channel] + eps)
        factor[channel] *= inverse[channel]
        summand[channel] -= factor[channel] * mean[channel]


# Rows: y = relu(factor * z + summand), divided by its length where rows are to have length 1, times alpha.


@part_of_kernel
def _rows(z: Any, i: int, factor: Any, summand: Any, channel: int, n: int) -> Any:
    """``factor * z + summand`` for the lanes from ``z[i]`` on, which are those of a channel and the next ones."""
    return load(factor, channel, n) * load(z, i, n) + load(summand, channel, n)


@part_of_kernel
def _total(lanes: Any, room: Any) -> Any:
    store(room, 0, lanes, WIDTH)
    return ((room[0] + room[1]) + (room[2] + room[3])) + ((room[4] + room[5]) + (room[6] + room[7]))


@jit
def _add_rows(start: int, stop: int, alpha: Any, unit: bool, z: Any, factor: Any, summand: Any, out: Any) -> None:
    width, zero, eps = factor.size, out.dtype.type(0), out.dtype.type(1e-12)
    room, nothing = np.empty(WIDTH, out.dtype), spread(zero)
    for row in range(start, stop):
        at, share = row * width, alpha
        if unit:
            square = nothing
            for channel in range(0, width, WIDTH):
                y = larger(_rows(z, at + channel, factor, summand, channel, width - channel), nothing)
                square = square + y * y
            share = alpha / max(np.sqrt(_total(square, room)), eps)
        for channel in range(0, width, WIDTH):
            n = width - channel
            y = larger(_rows(z, at + channel, factor, summand, channel, n), nothing)
            store(out, at + channel, load(out, at + channel, n) + spread(share) * y, n)


@jit
def _rows_backward(
    start: int,
    stop: int,
    alpha: Any,
    unit: bool,
    z: Any,
    factor: Any,
    summand: Any,
    mean: Any,
    grad: Any,
    out: Any,
    sums: Any,
    products: Any,
) -> None:
    """The gradient for ``factor * z + summand``; each block's sums, and those of products with ``z - mean``."""
    width, zero, eps = factor.size, out.dtype.type(0), out.dtype.type(1e-12)
    room, nothing = np.empty(WIDTH, out.dtype), spread(zero)
    for begin in range(start, stop, BLOCK):
        total, product = sums[begin // BLOCK], products[begin // BLOCK]
        total[:], product[:] = 0, 0
        for row in range(begin, min(begin + BLOCK, stop)):
            at, share, along = row * width, alpha, zero
            if unit:
                square, dot = nothing, nothing
                for channel in range(0, width, WIDTH):
                    n = width - channel
                    y = larger(_rows(z, at + channel, factor, summand, channel, n), nothing)
                    square, dot = square + y * y, dot + y * load(grad, at + channel, n)
                length = max(np.sqrt(_total(square, room)), eps)
                share, along = alpha / length, _total(dot, room) / (length * length)
            for channel in range(0, width, WIDTH):
                i, n = at + channel, width - channel
                y = _rows(z, i, factor, summand, channel, n)
                value = bend(y, spread(share) * (load(grad, i, n) - spread(along) * y), zero)
                store(out, i, value, n)
                store(total, channel, load(total, channel, n) + value, n)
                away = value * (load(z, i, n) - load(mean, channel, n))
                store(product, channel, load(product, channel, n) + away, n)


@jit
def _standardize_backward(
    start: int, stop: int, z: Any, factor: Any, mean: Any, of_mean: Any, of_distance: Any, grad: Any
) -> None:
    """The gradient for ``z``, in place: that for its standardised form less what the mean and the variance take."""
    width = factor.size
    for row in range(start, stop):
        mine, result = z[row * width : (row + 1) * width], grad[row * width : (row + 1) * width]
        for channel in range(width):
            away = of_mean[channel] + (mine[channel] - mean[channel]) * of_distance[channel]
            result[channel] = factor[channel] * (result[channel] - away)


class Run:
    """The passes over the rows of one graph.

    Args:
        sets: The pairs.
        z: The products of all hops, ``[num_hops, num_nodes, channels]``.
        maps: Factor, summand, mean and inverse deviation of each hop and channel.
        total: The sum over hops, or its gradient.

    Attributes:
        rows: What products read, and the way back writes.
    """

    def __init__(self, sets: HopSets, z: Tensor, maps: Sequence[Tensor], total: Tensor) -> None:
        num_hops, self.num_rows, self.width = z.shape
        self.rows, self.total, of_rows = torch.empty_like(z[0]), total.view(-1).numpy(), torch.empty_like(z[0])
        self.flat_rows, self.of_rows = self.rows.view(-1).numpy(), of_rows.view(-1).numpy()
        scales = sets.scales(z.dtype).numpy()
        self.pairs = (self.width, sets.ptr.numpy(), sets.col.numpy(), scales)
        self.reversed = (self.width, sets.colptr.numpy(), sets.row.numpy(), scales)
        self.z = z.view(num_hops, -1).numpy()
        self.factor, self.summand, self.mean, self.inverse = (each.numpy() for each in maps)
        self.bounds, self.number = cuts(self.num_rows, BLOCK), self.z.dtype.type
        self.sums, self.products = np.empty((2, -(-self.num_rows // BLOCK), self.width), self.z.dtype)

    def product(self, place: int, hop: int, own: float) -> None:
        """The product of a set of pairs with ``rows`` becomes ``z[place]``."""
        given = (hop, *self.pairs, self.number(own), self.flat_rows, self.z[place])
        in_threads(_product_and_moments, self.bounds, *given, self.sums, self.products)

    def standardize(self, place: int, eps: float, variance: Tensor) -> None:
        """The variance, the mean and the map of the hop whose product was the last one."""
        maps = (self.factor[place], self.summand[place], self.mean[place], self.inverse[place])
        _standardize(self.num_rows, self.number(eps), self.sums, self.products, *maps, variance[place].numpy())

    def add_rows(self, place: int, alpha: float, unit: bool) -> None:
        """Add what is made of ``z[place]`` to the total."""
        maps = (self.factor[place], self.summand[place])
        in_threads(_add_rows, self.bounds, self.number(alpha), unit, self.z[place], *maps, self.total)

    def add_rows_backward(self, place: int, alpha: float, unit: bool, of_batch: bool) -> tuple[Any, Any]:
        """From the gradient for the total that for ``z[place]``; the gradients for the summand, and for the factor."""
        z, factor, mean = self.z[place], self.factor[place], self.mean[place]
        given = (self.number(alpha), unit, z, factor, self.summand[place], mean, self.total, self.of_rows)
        in_threads(_rows_backward, self.bounds, *given, self.sums, self.products)
        of_summand, of_factor = self.sums.sum(0), self.products.sum(0)
        share = self.number(of_batch / self.num_rows)
        away = (of_summand * share, of_factor * (self.inverse[place] ** 2 * share))
        in_threads(_standardize_backward, self.bounds, z, factor, mean, *away, self.of_rows)
        return of_summand, of_factor

    def product_backward(self, hop: int, own: float) -> None:
        """From the gradient for ``z[place]``, by the reversed pairs, that for ``rows``, which take it up."""
        given = (hop, *self.reversed, self.number(own), self.of_rows, self.flat_rows)
        in_threads(_product, self.bounds, *given)
