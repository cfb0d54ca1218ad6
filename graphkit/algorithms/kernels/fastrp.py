"""Very sparse random projections and their propagation, compiled by numba."""

from __future__ import annotations

import math
from typing import Any

import numba

from graphkit.algorithms.kernels.sampling import stream
from graphkit.algorithms.kernels.splitmix import uniform

# Sums may be reordered to use vector registers.
_jit = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})


@_jit
def projection(ids: Any, sparsity: float, seed: int, out: Any) -> None:
    """Rows of a random matrix, each drawn by its id alone: signs in one of ``sparsity`` entries, or all normal (0).

    Entries have the mean 0 and the variance one by the width.
    """
    width = out.shape[1]
    size = math.sqrt(max(sparsity, 1) / width)
    for i in range(ids.size):
        state, row = stream(seed, ids[i]), out[i]
        for channel in range(width):
            u = uniform(state)
            if sparsity == 0:
                row[channel] = size * math.sqrt(-2 * math.log(1 - u)) * math.cos(2 * math.pi * uniform(state))
            elif u * sparsity < 1:
                row[channel] = size if u * sparsity < 0.5 else -size
            else:
                row[channel] = 0


@_jit
def power(
    start: int, stop: int, rowptr: Any, col: Any, value: Any, x: Any, weight: float, unit: bool, out: Any, sums: Any
) -> None:
    """One product of a matrix in CSR form with ``x`` into ``out``; adds ``weight`` times its rows to ``sums``.

    With ``unit`` rows have unit length in the sum; rows of zeros stay zeros.
    """
    for i in range(start, stop):
        row, total = out[i], sums[i]
        row[:] = 0
        for entry in range(rowptr[i], rowptr[i + 1]):
            factor, given = value[entry], x[col[entry]]
            for channel in range(row.size):
                row[channel] += factor * given[channel]
        share = row.dtype.type(weight)
        if unit:
            square = row.dtype.type(0)
            for channel in range(row.size):
                square += row[channel] * row[channel]
            share = row.dtype.type(weight / math.sqrt(square)) if square > 0 else share
        for channel in range(row.size):
            total[channel] += share * row[channel]
