"""Approximate Cholesky factors of graph Laplacians, and substitution with them."""

from __future__ import annotations

import numba
import numpy as np

from graphkit.algorithms.kernels.splitmix import uniform

Array = np.ndarray
_jit = numba.njit(cache=True, nogil=True)


@_jit
def _unlink(node: int, degree: Array, first: Array, before: Array, after: Array) -> None:
    """Take a node out of the list of its degree."""
    if before[node] >= 0:
        after[before[node]] = after[node]
    else:
        first[degree[node]] = after[node]
    if after[node] >= 0:
        before[after[node]] = before[node]


@_jit
def _link(node: int, degree: Array, first: Array, before: Array, after: Array) -> None:
    """Put a node in front of the list of its degree."""
    before[node], after[node] = -1, first[degree[node]]
    if first[degree[node]] >= 0:
        before[first[degree[node]]] = node
    first[degree[node]] = node


@_jit
def factorize(indptr: Array, indices: Array, weight: Array, seed: int) -> tuple[Array, Array, Array, Array, Array]:
    """Eliminate nodes in the order of their degrees, replacing each clique of neighbours by a random tree.

    Eliminating a node with edges of weights w_1 <= w_2 <= ... (sum W) would join all pairs of neighbours with weight
    w_i w_j / W. Here i is joined to one j > i alone, drawn with probability w_j / S_i, with weight w_i S_i / W, where
    S_i = sum_{j > i} w_j: the same in the mean (Kyng, Sachdeva 2016; Gao, Kyng, Spielman 2023).

    Returns:
        The order of elimination, the start of each node's column, its rows, its values and the pivots.
    """
    n, m = indptr.size - 1, indices.size
    state = np.array([seed], dtype=np.uint64)
    # Half edges: entry e of a node's list; its other half is twin[e]. Slots of eliminated nodes are used again.
    to, value, twin = np.empty(m, np.int64), np.empty(m), np.empty(m, np.int64)
    following, head = np.empty(m, np.int64), np.full(n, -1, np.int64)
    position = indptr[:-1].copy()
    for u in range(n):
        for e in range(indptr[u], indptr[u + 1]):
            to[e], value[e] = indices[e], weight[e]
            following[e], head[u] = head[u], e
            v = indices[e]
            if u < v:  # rows are sorted: the first free entry of v's row belongs to u
                twin[e], twin[position[v]] = position[v], e
                position[v] += 1
    degree = np.diff(indptr).astype(np.int64)
    first = np.full(n + 1, -1, np.int64)
    before, after = np.empty(n, np.int64), np.empty(n, np.int64)
    for u in range(n - 1, -1, -1):
        _link(u, degree, first, before, after)

    order, start, pivot = np.empty(n, np.int64), np.zeros(n + 1, np.int64), np.zeros(n)
    rows, values, used = np.empty(2 * m + 1, np.int64), np.empty(2 * m + 1), 0
    place = np.full(n, -1, np.int64)
    near, total, slots = np.empty(n, np.int64), np.empty(n), np.empty(n, np.int64)
    smallest = 0
    for step in range(n):
        while first[smallest] < 0:
            smallest += 1
        v = first[smallest]
        _unlink(v, degree, first, before, after)
        degree[v] = -1
        # neighbours without repetition; one slot (with its twin) each stays for the new edges
        count, e = 0, head[v]
        while e >= 0:
            u = to[e]
            if value[e] > 0:
                if place[u] < 0:
                    place[u] = count
                    near[count], total[count], slots[count] = u, value[e], e
                    count += 1
                else:
                    total[place[u]] += value[e]
                    value[twin[e]] = 0.0  # a dead half; skipped when u is eliminated
                    _unlink(u, degree, first, before, after)
                    degree[u] -= 1
                    _link(u, degree, first, before, after)
                    smallest = min(smallest, degree[u])
            e = following[e]
        rank = np.argsort(total[:count])
        sums = np.empty(count + 1)
        sums[0] = 0.0
        for i in range(count):
            place[near[i]] = -1
            sums[i + 1] = sums[i] + total[rank[i]]
        whole = sums[count]
        if used + count > rows.size:
            rows = np.concatenate((rows, np.empty(rows.size + count, np.int64)))
            values = np.concatenate((values, np.empty(values.size + count)))
        for i in range(count):
            rows[used], values[used] = near[rank[i]], total[rank[i]] / whole
            used += 1
        order[step], pivot[step], start[step + 1] = v, whole, used
        for i in range(count):
            u, e = near[rank[i]], slots[rank[i]]
            half = twin[e]  # u's half of the edge to v
            if i == count - 1:
                value[half] = 0.0
                _unlink(u, degree, first, before, after)
                degree[u] -= 1
                _link(u, degree, first, before, after)
                smallest = min(smallest, degree[u])
                break
            rest = whole - sums[i + 1]
            mark = sums[i + 1] + uniform(state) * rest
            j = min(max(np.searchsorted(sums, mark, side="right") - 1, i + 1), count - 1)
            other = near[rank[j]]
            to[half] = other  # u's half stays in u's list, v's half moves to the list of the other end
            to[e] = u
            value[half] = value[e] = total[rank[i]] * rest / whole
            following[e], head[other] = head[other], e
            _unlink(other, degree, first, before, after)
            degree[other] = min(degree[other] + 1, n)
            _link(other, degree, first, before, after)
    return order, start, rows[:used].copy(), values[:used].copy(), pivot


@_jit
def substitute(order: Array, start: Array, rows: Array, values: Array, pivot: Array, x: Array) -> None:
    """Solve with the factors, in place, for all columns of ``x``; a pivot of 0 (a component's last node) gives 0."""
    n, k = x.shape
    for step in range(n):
        source = x[order[step]]
        for e in range(start[step], start[step + 1]):
            target, factor = x[rows[e]], values[e]
            for c in range(k):
                target[c] += factor * source[c]
    for step in range(n - 1, -1, -1):
        target = x[order[step]]
        scale = 1.0 / pivot[step] if pivot[step] > 0 else 0.0
        for c in range(k):
            target[c] *= scale
        for e in range(start[step], start[step + 1]):
            source, factor = x[rows[e]], values[e]
            for c in range(k):
                target[c] += factor * source[c]
