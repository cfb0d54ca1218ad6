"""Small graphs around roots for shaDow, compiled by numba.

Rows are targets, columns sources; ``local`` and ``marks`` are workspaces as in
:mod:`graphkit.algorithms.kernels.sampling`.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from graphkit.algorithms.kernels.marks import mark, sort_marked
from graphkit.algorithms.kernels.sampling import below, induce, room, stream

_jit = numba.njit(nogil=True, cache=True)


@_jit
def hop_sets(rowptr: Any, col: Any, roots: Any, depth: int, budget: int, seed: int, marks: Any) -> Any:
    """The sorted nodes up to ``depth`` hops from each root, end to end, and how many each has.

    A node of a degree above the budget contributes so many draws with replacement; a negative budget knows no limit.
    """
    flat, sizes = np.empty(64 * roots.size + 16, np.int32), np.empty(roots.size, np.int64)
    nodes = np.empty(64, np.int32)
    total = 0
    for i in range(roots.size):
        state = stream(seed, roots[i])
        nodes[0], size, begin = roots[i], mark(roots[i], marks), 0
        for _ in range(depth):
            end = size
            for j in range(begin, end):
                start, degree = rowptr[nodes[j]], rowptr[nodes[j] + 1] - rowptr[nodes[j]]
                whole = budget < 0 or degree <= budget
                number = degree if whole else budget
                nodes = room(nodes, size, number + 1)
                for t in range(number):
                    nodes[size] = col[start + (t if whole else below(state, degree))]
                    size += mark(nodes[size], marks)
            begin = end
        flat = room(flat, total, size)
        flat[total : total + size] = sort_marked(nodes[:size], marks)
        total += size
        sizes[i] = size
    return flat[:total].copy(), sizes


@_jit
def _rests(rowptr: Any, eps: float) -> Any:
    """Per node what is still to be pushed (0), beside the most that may stay; never 0, so that pushing ends."""
    rest = np.zeros((rowptr.size - 1, 2))
    for v in range(rowptr.size - 1):
        rest[v, 1] = max(eps * (rowptr[v + 1] - rowptr[v]), 1e-300)
    return rest


@_jit
def _push(rowptr: Any, col: Any, root: int, a: float, score: Any, rest: Any, queue: Any, nodes: Any) -> int:
    """Approximate personalised PageRank by pushing; returns how many nodes were reached.

    ``nodes`` holds them, and has room for one more. A node waits in the queue from when its rest passes its limit until
    it is pushed.
    """
    n = rowptr.size - 1
    rest[root, 0], queue[0], nodes[0] = 1.0, root, root
    head, waiting, reached = 0, 1, 1
    while waiting > 0:
        v = queue[head]
        head = head + 1 if head + 1 < n else 0
        waiting -= 1
        degree = rowptr[v + 1] - rowptr[v]
        left, total = rest[v, 0], 0.0
        while left > rest[v, 1]:  # the lazy walk comes back to where it is: push all of that first
            total += left
            left *= (1 - a) / 2
        rest[v, 0] = left
        score[v] += a * total
        if total == 0 or degree == 0:
            continue
        share = (1 - a) * total / (2 * degree)
        for e in range(np.uint64(rowptr[v]), np.uint64(rowptr[v + 1])):
            u = np.uint64(col[e])  # numba indexes twice as fast by numbers that cannot be negative
            before, limit = rest[u, 0], rest[u, 1]
            after = before + share
            rest[u, 0] = after
            nodes[reached] = u  # overwritten by the next one if it was reached before: cheaper than a branch
            reached += before == 0
            if after > limit and before <= limit:
                queue[head + waiting - (n if head + waiting >= n else 0)] = u
                waiting += 1
    return reached


@_jit
def pagerank_scores(rowptr: Any, col: Any, roots: Any, a: float, eps: float, out: Any) -> None:
    """The dense scores of each root."""
    n = rowptr.size - 1
    score, rest = np.zeros(n), _rests(rowptr, eps)
    queue, nodes = np.empty(n, np.int32), np.empty(n + 1, np.int32)
    for i in range(roots.size):
        reached = _push(rowptr, col, roots[i], a, score, rest, queue, nodes)
        for j in range(reached):
            v = nodes[j]
            out[i, v] = score[v]
            score[v], rest[v, 0] = 0.0, 0.0


@_jit
def pagerank_sets(rowptr: Any, col: Any, roots: Any, a: float, eps: float, k: int, threshold: float) -> Any:
    """The sorted nodes of the ``k`` largest scores of each root, end to end, and how many each has."""
    n = rowptr.size - 1
    score, rest = np.zeros(n), _rests(rowptr, eps)
    queue, nodes = np.empty(n, np.int32), np.empty(n + 1, np.int32)
    flat, sizes = np.empty(min(k, n) * roots.size, np.int32), np.empty(roots.size, np.int64)
    total = 0
    for i in range(roots.size):
        reached = _push(rowptr, col, roots[i], a, score, rest, queue, nodes)
        values, positive = np.empty(reached), 0
        for j in range(reached):
            v = nodes[j]
            value = score[v]
            score[v], rest[v, 0] = 0.0, 0.0
            nodes[positive], values[positive] = v, value
            positive += value > 0
        chosen = select(nodes[:positive], values[:positive], roots[i], k, threshold)
        flat[total : total + chosen.size] = chosen
        total += chosen.size
        sizes[i] = chosen.size
    return flat[:total].copy(), sizes


@_jit
def select(nodes: Any, values: Any, root: int, k: int, threshold: float) -> Any:
    """The sorted nodes of the ``k`` largest of positive scores, from ``threshold`` times the second largest on.

    Equal scores are told apart by number; the root is always there.
    """
    if values.size <= 1:
        return np.array([root], np.int32)
    n = values.size
    second = np.partition(values, n - 2)[n - 2]
    cut = np.partition(values, n - k)[n - k] if k < n else 0.0
    out, ties = np.empty(min(k, n) + 1, np.int32), np.empty(n, np.int32)
    size, tied, has_root = 0, 0, False
    for j in range(n):
        if values[j] / second < threshold:
            continue
        if values[j] > cut:
            out[size] = nodes[j]
            size += 1
            has_root = has_root or nodes[j] == root
        elif values[j] == cut:
            ties[tied] = nodes[j]
            tied += 1
    if tied > 0:
        ordered = np.sort(ties[:tied])
        for j in range(min(tied, k - size)):
            out[size] = ordered[j]
            size += 1
            has_root = has_root or ordered[j] == root
    if not has_root:  # a root of few, well connected neighbours
        size = min(size + 1, k)
        out[size - 1] = root
    return np.sort(out[:size])


@_jit
def extract(rowptr: Any, col: Any, flat: Any, sizes: Any, roots: Any, loops: bool, local: Any, marks: Any) -> Any:
    """The disjoint union of the subgraphs that are induced by sets of sorted nodes.

    Returns:
        Entries per row, columns, entries of ``col``, the place of each root and the hops from it (-1: unreachable).
    """
    counts, hop = np.empty(flat.size, np.int64), np.full(flat.size, -1, np.int64)
    places = np.empty(sizes.size, np.int64)
    sub, entry = np.empty(8 * flat.size + 16, np.int32), np.empty(8 * flat.size + 16, rowptr.dtype)
    queue, first = np.empty(flat.size, np.int32), np.empty(flat.size + 1, np.int64)
    size, base = 0, 0
    for i in range(sizes.size):
        nodes = flat[base : base + sizes[i]]
        begin = size
        count, sub, entry, size = induce(rowptr, col, nodes, local, marks, loops, base, sub, entry, size)
        root = base + local[roots[i]]
        for j in range(nodes.size):
            counts[base + j] = count[j]
            first[base + j] = begin
            begin += count[j]
        places[i], hop[root], queue[0] = root, 0, root
        head, tail = 0, 1
        while head < tail:
            v = queue[head]
            head += 1
            for e in range(first[v], first[v] + counts[v]):
                if hop[sub[e]] < 0:
                    hop[sub[e]] = hop[v] + 1
                    queue[tail] = sub[e]
                    tail += 1
        base += sizes[i]
    return counts, sub[:size].copy(), entry[:size].copy(), places, hop
