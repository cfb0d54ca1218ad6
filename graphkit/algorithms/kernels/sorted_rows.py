"""Edges in any order as sorted rows, a range of rows at a time, compiled by numba."""

from __future__ import annotations

from typing import Any

import numba

_jit = numba.njit(nogil=True, cache=True)


@_jit
def count(pairs: Any, undirected: bool, degree: Any) -> None:
    """Add the number of edges that enter each node; loops have one direction."""
    for i in range(len(pairs)):
        source, target = pairs[i]
        degree[target] += 1
        if undirected and source != target:
            degree[source] += 1


@_jit
def scatter(pairs: Any, undirected: bool, first: int, cursor: Any, col: Any) -> None:
    """Put the sources of edges whose targets are in a range to where ``cursor`` stands for them."""
    last = first + cursor.size
    for i in range(len(pairs)):
        source, target = pairs[i]
        if first <= target < last:
            col[cursor[target - first]] = source
            cursor[target - first] += 1
        if undirected and source != target and first <= source < last:
            col[cursor[source - first]] = target
            cursor[source - first] += 1


@_jit
def sort(stop: Any, col: Any) -> int:
    """Sort each row, of which ``stop`` says the end, without repetitions; ``stop`` becomes the numbers of entries."""
    begin, size = 0, 0
    for row in range(stop.size):
        end, before = stop[row], size
        col[begin:end].sort()
        for place in range(begin, end):
            if size == before or col[place] != col[size - 1]:
                col[size] = col[place]
                size += 1
        begin, stop[row] = end, size - before
    return size
