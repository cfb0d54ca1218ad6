"""Enumeration of paths, compiled by numba; imported where paths are first asked for.

Both kernels treat the nodes ``start <= v < stop`` as ends of paths and walk against the edges. ``graph`` holds
``rowptr`` and ``col``, and for one shortest path per pair also ``colptr`` and ``row``. They first count:
``counts[v, k - 1]`` becomes the number of paths of length ``k`` that end at ``v``, and more than ``limit`` of them stop
the count. They run again to ``fill`` the ``buffers`` plan, nodes and distances: ``counts[v, k - 1]`` is then where the
paths of ``v`` go among those of length ``k``, and ``plan[k - 1]`` says where these begin and how many there are.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from graphkit.algorithms.kernels.hops import breadth_first

_jit = numba.njit(nogil=True, cache=True, boundscheck=False)


@_jit
def branching(
    shortest: bool, start: int, stop: int, graph: Any, limit: int, counts: Any, fill: bool, buffers: Any
) -> int:
    """All simple or all shortest paths, depth first."""
    rowptr, col = graph
    plan, nodes, distances = buffers
    size, length = rowptr.size - 1, counts.shape[1]
    distance, parent, queue = np.full(size, -1, np.int32), np.empty(size, np.int32), np.empty(size, np.int32)
    used = np.zeros(size, np.bool_)
    path, edge = np.empty(length + 1, np.int32), np.empty(length + 1, np.int64)
    far = np.zeros(length + 1, np.int32)
    total, reached = 0, 0
    for v in range(start, stop):
        if shortest or fill:
            reached = breadth_first(v, rowptr, col, length, distance, parent, queue, reached)
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
    return total


@_jit
def one_shortest(start: int, stop: int, graph: Any, limit: int, counts: Any, fill: bool, buffers: Any) -> int:
    """One shortest path per pair: the first in lexicographic order, read from the end with the smaller number."""
    rowptr, col, colptr, row = graph
    plan, nodes, _ = buffers
    size, length = rowptr.size - 1, counts.shape[1]
    distance, parent, queue = np.full(size, -1, np.int32), np.empty(size, np.int32), np.empty(size, np.int32)
    total, reached = 0, 0
    for v in range(start, stop):
        reached = breadth_first(v, rowptr, col, length, distance, parent, queue, reached)
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
                    if i > 0 and v < u:  # neighbours are sorted, so the first one met is the first in order
                        w = parent[w]
                    elif i > 0:
                        for j in range(colptr[w], colptr[w + 1]):
                            if distance[row[j]] == i - 1:
                                w = row[j]
                                break
            counts[v, k - 1] += 1
    return total
