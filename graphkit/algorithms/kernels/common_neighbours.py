"""Neighbours of pairs of nodes, compiled by numba.

A graph is a CSR pattern whose rows are sorted and hold no node twice.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

_jit = numba.njit(nogil=True, cache=True, boundscheck=False)


@_jit
def group_by(keys: Any, num_keys: int) -> tuple[Any, Any]:
    """The positions of each key, one key after the other, and where each key's positions begin."""
    start = np.zeros(num_keys + 1, np.int64)
    for key in keys:
        start[key + 1] += 1
    for key in range(num_keys):
        start[key + 1] += start[key]
    following = start[:-1].copy()
    order = np.empty(keys.size, np.int64)
    for position in range(keys.size):
        order[following[keys[position]]] = position
        following[keys[position]] += 1
    return order, start


@_jit
def larger_first(rowptr: Any, first: Any, second: Any) -> tuple[Any, Any]:
    """Each pair with the node of more neighbours first; of equally many, the one of the smaller number."""
    large, small = first.copy(), second.copy()
    for p in range(first.size):
        a, b = first[p], second[p]
        more = (rowptr[b + 1] - rowptr[b]) - (rowptr[a + 1] - rowptr[a])
        if more > 0 or (more == 0 and b < a):
            large[p], small[p] = b, a
    return large, small


@_jit
def common(rowptr: Any, col: Any, first: Any, second: Any) -> tuple[Any, Any]:
    """Common neighbours of each pair: where each pair's begin, and the nodes, sorted."""
    large, small = larger_first(rowptr, first, second)
    order, _ = group_by(large, rowptr.size - 1)
    mark = np.full(rowptr.size - 1, -1, np.int64)  # the neighbours of the larger node of the pair at hand
    start = np.zeros(first.size + 1, np.int64)
    marked = -1
    for p in order:
        if large[p] != marked:
            marked = _mark(rowptr, col, large[p], mark)
        count = 0
        for entry in range(rowptr[small[p]], rowptr[small[p] + 1]):
            count += mark[col[entry]] == marked
        start[p + 1] = count
    start = np.cumsum(start)
    nodes = np.empty(start[-1], np.int64)
    for p in order:
        if large[p] != marked:
            marked = _mark(rowptr, col, large[p], mark)
        place, end, entry = start[p], start[p + 1], rowptr[small[p]]
        while place < end:
            if mark[col[entry]] == marked:
                nodes[place] = col[entry]
                place += 1
            entry += 1
    return start, nodes


@_jit
def _mark(rowptr: Any, col: Any, node: int, mark: Any) -> int:
    """Write a node at its neighbours; returns it."""
    for entry in range(rowptr[node], rowptr[node + 1]):
        mark[col[entry]] = node
    return node


@_jit
def joint(rowptr: Any, col: Any, first: Any, second: Any) -> tuple[Any, Any, Any]:
    """Neighbours of either node of each pair: where each pair's begin, the nodes, sorted, and whose they are."""
    start = np.zeros(first.size + 1, np.int64)
    for p in range(first.size):
        i, end_i = rowptr[first[p]], rowptr[first[p] + 1]
        j, end_j = rowptr[second[p]], rowptr[second[p] + 1]
        count = 0
        while i < end_i and j < end_j:
            u, v = col[i], col[j]
            i += u <= v
            j += v <= u
            count += 1
        start[p + 1] = count + (end_i - i) + (end_j - j)
    start = np.cumsum(start)
    nodes, side = np.empty(start[-1], np.int64), np.empty(start[-1], np.int8)
    beyond = rowptr.size  # larger than any node
    place = 0
    for p in range(first.size):
        i, end_i = rowptr[first[p]], rowptr[first[p] + 1]
        j, end_j = rowptr[second[p]], rowptr[second[p] + 1]
        while i < end_i or j < end_j:
            u = col[i] if i < end_i else beyond
            v = col[j] if j < end_j else beyond
            nodes[place] = min(u, v)
            side[place] = 0 if u == v else (1 if u < v else 2)
            i += u <= v
            j += v <= u
            place += 1
    return start, nodes, side


@_jit
def distinct(rowptr: Any, _: Any, first: Any, second: Any) -> tuple[Any, Any, Any]:
    """Each pair once, whatever its direction, grouped by first node, and where each of the given pairs went."""
    size = rowptr.size - 1
    large, small = larger_first(rowptr, first, second)
    order, group = group_by(large, size)
    seen, number = np.full(size, -1, np.int64), np.empty(size, np.int64)
    inverse = np.empty(first.size, np.int64)
    count = 0
    for a in range(size):
        for position in range(group[a], group[a + 1]):
            p = order[position]
            b = small[p]
            if seen[b] != a:
                seen[b], number[b] = a, count
                count += 1
            inverse[p] = number[b]
    heads, tails = np.empty(count, np.int64), np.empty(count, np.int64)
    for p in range(first.size):
        heads[inverse[p]], tails[inverse[p]] = large[p], small[p]
    return heads, tails, inverse
