"""Breadth-first searches, compiled by numba."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

_jit = numba.njit(nogil=True, cache=True)


@_jit
def _search(start: int, rowptr: Any, col: Any, max_hop: int, seen: Any, distance: Any, queue: Any) -> int:
    """Fill ``queue`` with ``start`` and all nodes up to ``max_hop`` columns away; returns how many they are."""
    seen[start], distance[start], queue[0] = start, 0, start
    done, queued = 0, 1
    while done < queued:
        node = queue[done]
        done += 1
        if distance[node] == max_hop:
            break
        for entry in range(rowptr[node], rowptr[node + 1]):
            other = col[entry]
            if seen[other] != start:
                seen[other], distance[other], queue[queued] = start, distance[node] + 1, other
                queued += 1
    return queued


@_jit
def count(rowptr: Any, col: Any, max_hop: int, limit: int) -> tuple[int, int]:
    """The number of pairs, counted row by row until ``limit`` is passed, and the number of rows that were counted."""
    size = rowptr.size - 1
    seen, distance, queue = np.full(size, -1), np.empty(size, np.int64), np.empty(size, np.int64)
    total = 0
    for node in range(size):
        total += _search(node, rowptr, col, max_hop, seen, distance, queue) - 1
        if total > limit:
            return total, node + 1
    return total, size


@_jit
def fill(rowptr: Any, col: Any, max_hop: int, sources: Any, targets: Any, hops: Any) -> None:
    """Write all pairs, sorted by target and then by source."""
    size = rowptr.size - 1
    seen, distance, queue = np.full(size, -1), np.empty(size, np.int64), np.empty(size, np.int64)
    position = 0
    for node in range(size):
        count = _search(node, rowptr, col, max_hop, seen, distance, queue)
        reached = queue[1:count]
        reached.sort()
        for other in reached:
            sources[position], targets[position], hops[position] = other, node, distance[other]
            position += 1
