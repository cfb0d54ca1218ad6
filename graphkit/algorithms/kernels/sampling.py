"""Subgraphs of a graph in CSR form, compiled by numba.

Rows are targets, columns sources. Workspaces are ``marks`` (:mod:`graphkit.algorithms.kernels.marks`) and ``local``,
which holds the number of each node that is marked, and anything of the others.
Random numbers depend on ``(seed, index)`` alone, so that results do not depend on who draws them first.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from graphkit.algorithms.kernels.marks import clear, mark, marked, sort_marked
from graphkit.algorithms.kernels.splitmix import uniform, word

_jit = numba.njit(nogil=True, cache=True)


@_jit
def below(state: Any, n: int) -> Any:
    """A random number in ``0..n-1``."""
    return np.int64(uniform(state) * n)


@_jit
def stream(seed: int, index: int) -> Any:
    """The state of the random numbers of ``(seed, index)``."""
    state = np.empty(1, np.uint64)
    state[0] = np.uint64(seed)
    state[0] = word(state) + np.uint64(index) * np.uint64(0xBF58476D1CE4E5B9)
    state[0] = word(state)
    return state


@_jit
def room(array: Any, size: int, more: int) -> Any:
    """The array, or a longer copy, with space for ``more`` entries after the first ``size``."""
    if size + more <= array.size:
        return array
    longer = np.empty(max(2 * array.size, size + more), array.dtype)
    longer[:size] = array[:size]
    return longer


@_jit
def add(v: int, nodes: Any, size: int, local: Any, marks: Any) -> int:
    """Append a node that is not there yet; ``nodes`` has room for it."""
    if mark(v, marks):
        local[v] = size
        nodes[size] = v
        return size + 1
    return size


@_jit
def induce(
    rowptr: Any, col: Any, nodes: Any, local: Any, marks: Any, loops: bool, base: int, sub: Any, entry: Any, size: Any
) -> Any:
    """Append the induced subgraph's rows; ``local`` numbers the nodes.

    Returns:
        The numbers of entries per row, the columns (``base`` added), the entries of ``col`` that they are (-1: a loop
        that was added) and how many they are.
    """
    k, most, begin = nodes.size, 0, size
    for i in range(k):
        local[nodes[i]] = i
        mark(nodes[i], marks)
        most += rowptr[nodes[i] + 1] - rowptr[nodes[i]] + 1
    entry = room(entry, size, most)
    count = np.empty(k, np.int64)
    for i in range(k):
        start, stop, before = rowptr[nodes[i]], rowptr[nodes[i] + 1], size
        if stop - start <= 4 * k:
            place = np.uint64(size)  # numba indexes twice as fast by numbers that cannot be negative
            for e in range(np.uint64(start), np.uint64(stop)):
                entry[place] = e  # overwritten by the next one if it does not count
                place += marked(col[e], marks)
            size = np.int64(place)
        else:  # the row of a hub: look up the few nodes in it
            for j in range(k):
                e = start + np.searchsorted(col[start:stop], nodes[j])
                while e < stop and col[e] == nodes[j]:
                    entry[size] = e
                    size += 1
                    e += 1
        if loops:
            e = size
            while e > before and col[entry[e - 1]] > nodes[i]:
                e -= 1
            if e == before or col[entry[e - 1]] != nodes[i]:  # it has no loop: insert one where the row stays sorted
                for j in range(size, e, -1):
                    entry[j] = entry[j - 1]
                entry[e] = ~nodes[i]
                size += 1
        count[i] = size - before
    sub = room(sub, begin, size - begin)
    for j in range(np.uint64(begin), np.uint64(size)):
        kept = entry[j]
        if loops and kept < 0:
            sub[j], entry[j] = base + local[~kept], -1
        else:
            sub[j] = base + local[np.uint64(col[np.uint64(kept)])]
    clear(nodes, marks)
    return count, sub, entry, size


# Subgraphs of GraphSAINT and of clusters ------------------------------------------------------------------------------


@_jit
def induced(rowptr: Any, col: Any, nodes: Any, local: Any, marks: Any) -> Any:
    """The subgraph induced by sorted nodes: entries per row, columns, entries of ``col``."""
    sub, entry = np.empty(0, np.int32), np.empty(0, rowptr.dtype)
    count, sub, entry, size = induce(rowptr, col, nodes, local, marks, False, 0, sub, entry, 0)
    return count, sub[:size].copy(), entry[:size].copy()


@_jit
def saint(
    law: int, rowptr: Any, col: Any, starts: Any, draws: int, steps: int, seed: int, index: int, local: Any, marks: Any
) -> Any:
    """One draw of GraphSAINT: the sorted nodes that it touches, and the subgraph that they induce.

    Laws: 0, sources of uniform entries; 1, uniform members of ``starts`` and a uniform neighbour of each; 2, walks from
    uniform members of ``starts``.
    """
    state = stream(seed, index)
    nodes = np.empty(min(draws * (steps + 1), local.size) + 1, np.int32)
    size = 0
    for _ in range(draws):
        v = col[below(state, col.size)] if law == 0 else starts[below(state, starts.size)]
        nodes[size] = v  # overwritten by the next one if it is there already
        size += mark(v, marks)
        for _ in range(steps):
            degree = rowptr[v + 1] - rowptr[v]
            if degree == 0:  # a dead end stays where it is
                break
            v = col[rowptr[v] + below(state, degree)]
            nodes[size] = v
            size += mark(v, marks)
    nodes = sort_marked(nodes[:size], marks)
    sub, entry = np.empty(0, np.int32), np.empty(0, rowptr.dtype)
    count, sub, entry, size = induce(rowptr, col, nodes, local, marks, False, 0, sub, entry, 0)
    return nodes, count, sub[:size].copy(), entry[:size].copy()


@_jit
def walk_avoids(rowptr: Any, col: Any, steps: int, first: int, second: int, mass: Any, new: Any) -> float:
    """The share of nodes from which a walk of so many steps meets neither of two nodes, on average."""
    n = rowptr.size - 1
    for v in range(n):
        mass[v] = 1.0
    mass[first] = mass[second] = 0.0
    for _ in range(steps):
        for v in range(n):
            degree, total = rowptr[v + 1] - rowptr[v], 0.0
            for e in range(rowptr[v], rowptr[v + 1]):
                total += mass[col[e]]
            new[v] = total / degree if degree > 0 else mass[v]
        new[first] = new[second] = 0.0
        mass[:] = new
    return mass.mean()


@_jit
def walk_probabilities(rowptr: Any, col: Any, draws: int, steps: int) -> Any:
    """The probability that walks touch a node, per node, and that they touch both ends of an entry, per entry."""
    n = rowptr.size - 1
    mass, new = np.empty(n), np.empty(n)
    missed, node, edge = np.empty(n), np.empty(n), np.empty(col.size)
    for v in range(n):
        missed[v] = walk_avoids(rowptr, col, steps, v, v, mass, new) ** draws
        node[v] = 1 - missed[v]
    for v in range(n):
        for e in range(rowptr[v], rowptr[v + 1]):
            u = col[e]
            both = walk_avoids(rowptr, col, steps, v, u, mass, new) ** draws
            edge[e] = node[v] if u == v else 1 - missed[v] - missed[u] + both
    return node, edge


# Neighbour sampling ---------------------------------------------------------------------------------------------------


@_jit
def neighbors(
    rowptr: Any,
    col: Any,
    seeds: Any,
    fanouts: Any,
    replace: bool,
    whole_graph: bool,
    seed: int,
    index: int,
    local: Any,
    marks: Any,
    taken: Any,
) -> Any:
    """Sampled neighbourhoods of seeds: nodes as they are met, entries per row, columns, entries, places of seeds.

    ``taken`` is a workspace of zeros of the size of the largest degree.
    """
    state = stream(seed, index)
    nodes = np.empty(4 * seeds.size + 16, np.int32)
    places = np.empty(seeds.size, np.int64)
    size = 0
    for i in range(seeds.size):
        size = add(seeds[i], nodes, size, local, marks)
        places[i] = local[seeds[i]]
    sub, entry = np.empty(4 * seeds.size + 16, np.int32), np.empty(4 * seeds.size + 16, rowptr.dtype)
    count = np.zeros(4 * seeds.size + 16, np.int64)
    total, begin = 0, 0
    for fanout in fanouts:
        end = size
        for i in range(begin, end):
            start = rowptr[nodes[i]]
            degree = rowptr[nodes[i] + 1] - start
            whole = fanout < 0 or (degree <= fanout and not replace)
            number = degree if whole else (fanout if degree > 0 else 0)
            nodes = room(nodes, size, number)
            sub, entry = room(sub, total, number), room(entry, total, number)
            for j in range(number):
                if whole:
                    pick = j
                elif replace:
                    pick = below(state, degree)
                else:  # Floyd: one draw per element of a random subset
                    last = degree - number + j
                    pick = below(state, last + 1)
                    if taken[pick] != 0:
                        pick = last
                    taken[pick] = 1
                entry[total + j] = start + pick
                u = col[start + pick]
                size = add(u, nodes, size, local, marks)
                sub[total + j] = local[u]
            if not whole and not replace:
                for j in range(number):
                    taken[entry[total + j] - start] = 0
            count = room(count, i, 1)
            count[i] = number
            total += number
        begin = end
    nodes = nodes[:size].copy()
    clear(nodes, marks)
    if whole_graph:
        counts, sub, entry, total = induce(rowptr, col, nodes, local, marks, False, 0, sub, entry, 0)
    else:
        counts = np.zeros(size, np.int64)
        counts[:begin] = count[:begin]
    return nodes, counts, sub[:total].copy(), entry[:total].copy(), places
