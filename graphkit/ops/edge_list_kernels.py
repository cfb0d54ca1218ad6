"""Products along edges in any order, on the CPU, compiled by numba."""

from __future__ import annotations

from typing import Any

import numba

_jit = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})


@_jit
def product(row: Any, col: Any, values: Any, x: Any, out: Any) -> None:
    """Add the rows of ``x`` at ``col``, times ``values`` unless there are none, to those of ``out`` at ``row``."""
    weighted = values.size > 0
    for edge in range(row.size):
        target, source = out[row[edge]], x[col[edge]]
        if weighted:
            value = values[edge]
            for channel in range(target.size):
                target[channel] += value * source[channel]
        else:
            for channel in range(target.size):
                target[channel] += source[channel]


@_jit
def dot(row: Any, col: Any, a: Any, b: Any, out: Any) -> None:
    """The inner products of the rows of ``a`` at ``row`` with those of ``b`` at ``col``."""
    for edge in range(row.size):
        left, right = a[row[edge]], b[col[edge]]
        total = a.dtype.type(0)
        for channel in range(left.size):
            total += left[channel] * right[channel]
        out[edge] = total
