"""Enumeration of paths, compiled by numba; imported where paths are first asked for.

Both kernels treat the nodes ``start <= v < stop`` as ends of paths and walk against the edges. They first count:
``counts[v, k - 1]`` becomes the number of paths of length ``k`` that end at ``v``, and more than ``limit`` of them stop
the count. They run again to ``fill`` the buffers: ``counts[v, k - 1]`` is then where the paths of ``v`` go among those
of length ``k``, and ``plan[k - 1]`` says where these begin and how many there are.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

_jit = numba.njit(nogil=True, cache=True, boundscheck=False)


@_jit
def _breadth_first(v: int, rowptr: Any, col: Any, length: int, distance: Any, queue: Any, parent: Any) -> int:
    """Distances to ``v`` and the next node on the way, for nodes within ``length`` hops; returns how many there are."""
    queue[0] = v
    distance[v] = 0
    head, tail = 0, 1
    while head < tail:
        u = queue[head]
        head += 1
        if distance[u] == length:
            break
        for j in range(rowptr[u], rowptr[u + 1]):
            w = col[j]
            if distance[w] < 0:
                distance[w] = distance[u] + 1
                parent[w] = u
                queue[tail] = w
                tail += 1
    return tail


@_jit
def branching(
    start: int,
    stop: int,
    rowptr: Any,
    col: Any,
    shortest: bool,
    limit: int,
    counts: Any,
    fill: bool,
    plan: Any,
    nodes: Any,
    distances: Any,
) -> int:
    """All simple or all shortest paths, depth first."""
    size, length = rowptr.size - 1, counts.shape[1]
    distance = np.full(size, -1, np.int32)
    queue, parent = np.empty(size, np.int32), np.empty(size, np.int32)
    used = np.zeros(size, np.bool_)
    path, edge = np.empty(length + 1, np.int32), np.empty(length + 1, np.int64)
    far = np.zeros(length + 1, np.int32)
    total = 0
    for v in range(start, stop):
        reached = 0
        if shortest or fill:
            reached = _breadth_first(v, rowptr, col, length, distance, queue, parent)
        path[0], edge[0], used[v] = v, rowptr[v], True
        depth = 0
        while depth >= 0:
            u, j = path[depth], edge[depth]
            if j == rowptr[u + 1]:
                used[u] = False
                depth -= 1
                continue
            edge[depth] += 1
            w = col[j]
            if used[w] or (j > rowptr[u] and col[j - 1] == w):
                continue
            if shortest and distance[w] != depth + 1:
                continue
            if fill:
                begin, number = plan[depth, 0], plan[depth, 1]
                place = counts[v, depth]
                for i in range(depth + 1):
                    nodes[begin + i * number + place] = path[i]
                nodes[begin + (depth + 1) * number + place] = w
                if not shortest:
                    row = begin + place * (depth + 2)
                    for i in range(depth + 1):
                        distances[row + i] = far[i]
                    distances[row + depth + 1] = distance[w]
            counts[v, depth] += 1
            total += 1
            if total > limit:
                return total
            if depth + 1 < length:
                depth += 1
                path[depth], far[depth], edge[depth], used[w] = w, distance[w], rowptr[w], True
        for i in range(reached):
            distance[queue[i]] = -1
    return total


@_jit
def one_shortest(
    start: int,
    stop: int,
    rowptr: Any,
    col: Any,
    colptr: Any,
    row: Any,
    limit: int,
    counts: Any,
    fill: bool,
    plan: Any,
    nodes: Any,
    distances: Any,
) -> int:
    """One shortest path per pair: the first in lexicographic order, read from the end with the smaller number."""
    size, length = rowptr.size - 1, counts.shape[1]
    distance = np.full(size, -1, np.int32)
    queue, parent = np.empty(size, np.int32), np.empty(size, np.int32)
    total = 0
    for v in range(start, stop):
        reached = _breadth_first(v, rowptr, col, length, distance, queue, parent)
        total += reached - 1
        if total > limit:
            return total
        for position in range(1, reached):
            u = queue[position]
            k = distance[u]
            if fill:
                begin, number = plan[k - 1, 0], plan[k - 1, 1]
                place = counts[v, k - 1]
                w = u
                for i in range(k, -1, -1):
                    nodes[begin + i * number + place] = w
                    if i > 0 and v < u:  # neighbours are sorted, so the first to be found is the first in order
                        w = parent[w]
                    elif i > 0:
                        for j in range(colptr[w], colptr[w + 1]):
                            if distance[row[j]] == i - 1:
                                w = row[j]
                                break
            counts[v, k - 1] += 1
        for i in range(reached):
            distance[queue[i]] = -1
    return total
