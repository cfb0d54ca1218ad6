"""Breadth-first searches, compiled by numba."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

_jit = numba.njit(nogil=True, cache=True)


@_jit
def breadth_first(
    v: int, rowptr: Any, col: Any, max_hop: int, distance: Any, parent: Any, queue: Any, before: int
) -> int:
    """Distances to ``v`` along columns, and the next node on the way, for nodes within ``max_hop`` hops.

    Args:
        v: The node where the search begins.
        rowptr: Where each node's neighbours begin.
        col: The neighbours.
        max_hop: The largest distance.
        distance: Room for distances, -1 for all nodes that are not reached.
        parent: Room for the next nodes.
        queue: Room for the nodes that are reached, nearest first; those of the search before, which are cleared.
        before: How many the search before has reached, 0 for the first one.

    Returns:
        How many are reached, ``v`` included.
    """
    for i in range(before):
        distance[queue[i]] = -1
    queue[0], distance[v] = v, 0
    head, tail = 0, 1
    while head < tail:
        u = queue[head]
        head += 1
        if distance[u] == max_hop:
            break
        for j in range(rowptr[u], rowptr[u + 1]):
            w = col[j]
            if distance[w] < 0:
                distance[w], parent[w], queue[tail] = distance[u] + 1, u, w
                tail += 1
    return tail


@_jit
def count(rowptr: Any, col: Any, max_hop: int, limit: int) -> tuple[int, int]:
    """The number of pairs, counted row by row until ``limit`` is passed, and the number of rows that were counted."""
    size = rowptr.size - 1
    distance, parent, queue = np.full(size, -1, np.int32), np.empty(size, np.int32), np.empty(size, np.int32)
    total, reached = 0, 0
    for node in range(size):
        reached = breadth_first(node, rowptr, col, max_hop, distance, parent, queue, reached)
        total += reached - 1
        if total > limit:
            return total, node + 1
    return total, size


@_jit
def fill(rowptr: Any, col: Any, max_hop: int, sources: Any, targets: Any, hops: Any) -> None:
    """Write all pairs, sorted by target and then by source."""
    size = rowptr.size - 1
    distance, parent, queue = np.full(size, -1, np.int32), np.empty(size, np.int32), np.empty(size, np.int32)
    position, reached = 0, 0
    for node in range(size):
        reached = breadth_first(node, rowptr, col, max_hop, distance, parent, queue, reached)
        for other in np.sort(queue[1:reached]):
            sources[position], targets[position], hops[position] = other, node, distance[other]
            position += 1
