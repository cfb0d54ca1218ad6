"""Draws from discrete distributions in constant time, by Walker's alias tables."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from graphkit.algorithms.kernels.splitmix import uniform, word

_jit = numba.njit(nogil=True, cache=True)


@_jit
def alias_tables(rowptr: Any, weight: Any) -> Any:
    """One table per row of a CSR structure: the share of an entry that it keeps, and the entry that gets the rest.

    Entries are numbered within their row (Vose 1991). A row whose weights are all zero is uniform.
    """
    keep, other = np.ones(weight.size), np.zeros(weight.size, np.int32)
    stack = np.empty(weight.size, np.int32)
    for row in range(rowptr.size - 1):
        start, size = rowptr[row], rowptr[row + 1] - rowptr[row]
        total = weight[start : start + size].sum()
        if total == 0:
            continue
        small, large = 0, size  # two stacks that grow towards each other
        for i in range(size):
            keep[start + i] = weight[start + i] * size / total
            if keep[start + i] < 1:
                stack[small] = i
                small += 1
            else:
                large -= 1
                stack[large] = i
        while small > 0 and large < size:
            little, big = stack[small - 1], stack[large]
            other[start + little] = big
            keep[start + big] -= 1 - keep[start + little]
            if keep[start + big] < 1:
                stack[small - 1] = big
                large += 1
            else:
                small -= 1
        for i in range(small):  # what rounding has left
            keep[start + stack[i]] = 1
        for i in range(large, size):
            keep[start + stack[i]] = 1
    return keep, other


@_jit
def draw(state: Any, start: int, size: int, keep: Any, other: Any, number: int = 0) -> Any:
    """An entry of a row of ``size`` entries, numbered within it; without tables all are as likely."""
    if keep.size == 0:
        return np.int64((word(state, number) >> np.uint64(32)) * np.uint64(size) >> np.uint64(32))
    place = uniform(state, number) * size
    entry = np.int64(place)
    return entry if place - entry < keep[start + entry] else np.int64(other[start + entry])
