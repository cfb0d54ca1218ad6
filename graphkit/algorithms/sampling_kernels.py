"""Subgraphs of a graph in CSR form, compiled by numba; importing this module imports numba.

Rows are targets, columns sources. ``local`` is a workspace of one entry per node, -1 wherever a kernel begins and ends.
Random numbers depend on ``(seed, index)`` alone, so that results do not depend on who draws them first.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

_jit = numba.njit(nogil=True, cache=True)

_STEP, _MIX1, _MIX2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S11, _S27, _S30, _S31 = np.uint64(11), np.uint64(27), np.uint64(30), np.uint64(31)


@_jit
def _next(state: Any) -> Any:
    """The next 64 random bits (SplitMix64)."""
    state[0] += _STEP
    z = state[0]
    z = (z ^ (z >> _S30)) * _MIX1
    z = (z ^ (z >> _S27)) * _MIX2
    return z ^ (z >> _S31)


@_jit
def _below(state: Any, n: int) -> int:
    """A random number in ``0..n-1``."""
    return np.int64(np.float64(_next(state) >> _S11) * 2.0**-53 * n)


@_jit
def _stream(seed: int, index: int) -> Any:
    state = np.empty(1, np.uint64)
    state[0] = np.uint64(seed)
    state[0] = _next(state) + np.uint64(index) * _MIX1
    state[0] = _next(state)
    return state


@_jit
def _room(array: Any, size: int, more: int) -> Any:
    """The array, or a longer copy, with space for ``more`` entries after the first ``size``."""
    if size + more <= array.size:
        return array
    longer = np.empty(max(2 * array.size, size + more), array.dtype)
    longer[:size] = array[:size]
    return longer


@_jit
def _add(v: int, nodes: Any, size: int, local: Any) -> int:
    """Append a node that is not there yet; ``nodes`` has room for it."""
    if local[v] < 0:
        local[v] = size
        nodes[size] = v
        return size + 1
    return size


@_jit
def _sort(nodes: Any, size: int, local: Any) -> Any:
    """The sorted nodes, numbered in ``local`` in that order."""
    if local.size < 32 * size:  # reading all of ``local`` costs less than sorting
        out = np.empty(size, nodes.dtype)
        found = 0
        for v in range(local.size):
            if local[v] >= 0:
                out[found] = v
                local[v] = found
                found += 1
        return out
    out = nodes[:size].copy()
    out.sort()
    for i in range(size):
        local[out[i]] = i
    return out


@_jit
def _induce(
    rowptr: Any, col: Any, nodes: Any, local: Any, loops: bool, base: int, sub: Any, entry: Any, size: int
) -> Any:
    """Append the induced subgraph's rows; ``local`` numbers the nodes, and is cleared.

    Returns:
        The numbers of entries per row, the columns (``base`` added), the entries of ``col`` that they are (-1: a loop
        that was added) and how many they are.
    """
    k, most = nodes.size, 0
    for i in range(k):
        most += rowptr[nodes[i] + 1] - rowptr[nodes[i]] + 1
    sub, entry = _room(sub, size, most), _room(entry, size, most)
    count = np.empty(k, np.int64)
    for i in range(k):
        start, stop, before = rowptr[nodes[i]], rowptr[nodes[i] + 1], size
        if stop - start <= 4 * k:
            for e in range(start, stop):
                j = local[col[e]]
                sub[size], entry[size] = base + j, e  # overwritten by the next one if it does not count
                size += j >= 0
        else:  # the row of a hub: look up the few kept nodes in it
            for j in range(k):
                e = start + np.searchsorted(col[start:stop], nodes[j])
                while e < stop and col[e] == nodes[j]:
                    sub[size], entry[size] = base + j, e
                    size += 1
                    e += 1
        if loops:
            e = size
            while e > before and sub[e - 1] > base + i:
                e -= 1
            if e == before or sub[e - 1] != base + i:  # it has no loop: insert one where it keeps the row sorted
                for j in range(size, e, -1):
                    sub[j], entry[j] = sub[j - 1], entry[j - 1]
                sub[e], entry[e] = base + i, -1
                size += 1
        count[i] = size - before
    for i in range(k):
        local[nodes[i]] = -1
    return count, sub, entry, size


# Subgraphs of GraphSAINT and of clusters ------------------------------------------------------------------------------


@_jit
def induced(rowptr: Any, col: Any, nodes: Any, local: Any) -> Any:
    """The subgraph induced by sorted nodes: entries per row, columns, entries of ``col``."""
    for i in range(nodes.size):
        local[nodes[i]] = i
    sub, entry = np.empty(0, np.int32), np.empty(0, rowptr.dtype)
    count, sub, entry, size = _induce(rowptr, col, nodes, local, False, 0, sub, entry, 0)
    return count, sub[:size].copy(), entry[:size].copy()


@_jit
def saint(
    law: int, rowptr: Any, col: Any, starts: Any, draws: int, steps: int, seed: int, index: int, local: Any
) -> Any:
    """One draw of GraphSAINT: the sorted nodes that it touches, and the subgraph that they induce.

    Laws: 0, sources of uniform entries; 1, uniform members of ``starts`` and a uniform neighbour of each; 2, walks from
    uniform members of ``starts``.
    """
    state = _stream(seed, index)
    nodes = np.empty(min(draws * (steps + 1), local.size), np.int32)
    size = 0
    for _ in range(draws):
        if law == 0:
            size = _add(col[_below(state, col.size)], nodes, size, local)
            continue
        v = starts[_below(state, starts.size)]
        size = _add(v, nodes, size, local)
        for _ in range(steps):
            degree = rowptr[v + 1] - rowptr[v]
            if degree == 0:  # a dead end stays where it is
                break
            v = col[rowptr[v] + _below(state, degree)]
            size = _add(v, nodes, size, local)
    nodes = _sort(nodes, size, local)
    sub, entry = np.empty(0, np.int32), np.empty(0, rowptr.dtype)
    count, sub, entry, size = _induce(rowptr, col, nodes, local, False, 0, sub, entry, 0)
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
    induce: bool,
    seed: int,
    index: int,
    local: Any,
    taken: Any,
) -> Any:
    """Sampled neighbourhoods of seeds: nodes in the order found, entries per row, columns, entries, places of seeds.

    ``taken`` is a workspace of zeros of the size of the largest degree.
    """
    state = _stream(seed, index)
    nodes = np.empty(4 * seeds.size + 16, np.int32)
    places = np.empty(seeds.size, np.int64)
    size = 0
    for i in range(seeds.size):
        size = _add(seeds[i], nodes, size, local)
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
            nodes = _room(nodes, size, number)
            sub, entry = _room(sub, total, number), _room(entry, total, number)
            for j in range(number):
                if whole:
                    pick = j
                elif replace:
                    pick = _below(state, degree)
                else:  # Floyd: one draw per element of a random subset
                    last = degree - number + j
                    pick = _below(state, last + 1)
                    if taken[pick] != 0:
                        pick = last
                    taken[pick] = 1
                entry[total + j] = start + pick
                u = col[start + pick]
                size = _add(u, nodes, size, local)
                sub[total + j] = local[u]
            if not whole and not replace:
                for j in range(number):
                    taken[entry[total + j] - start] = 0
            count = _room(count, i, 1)
            count[i] = number
            total += number
        begin = end
    nodes = nodes[:size].copy()
    if induce:
        counts, sub, entry, total = _induce(rowptr, col, nodes, local, False, 0, sub, entry, 0)
    else:
        counts = np.zeros(size, np.int64)
        counts[:begin] = count[:begin]
        for i in range(size):
            local[nodes[i]] = -1
    return nodes, counts, sub[:total].copy(), entry[:total].copy(), places


# Neighbourhoods of shaDow ---------------------------------------------------------------------------------------------


@_jit
def hop_sets(rowptr: Any, col: Any, roots: Any, depth: int, budget: int, seed: int, local: Any) -> Any:
    """The sorted nodes up to ``depth`` hops from each root, end to end, and how many each has.

    A node of a degree above the budget contributes so many draws with replacement; a negative budget knows no limit.
    """
    flat, sizes = np.empty(64 * roots.size + 16, np.int32), np.empty(roots.size, np.int64)
    nodes = np.empty(64, np.int32)
    total = 0
    for i in range(roots.size):
        state = _stream(seed, roots[i])
        size, begin = _add(roots[i], nodes, 0, local), 0
        for _ in range(depth):
            end = size
            for j in range(begin, end):
                start, degree = rowptr[nodes[j]], rowptr[nodes[j] + 1] - rowptr[nodes[j]]
                whole = budget < 0 or degree <= budget
                number = degree if whole else budget
                nodes = _room(nodes, size, number)
                for t in range(number):
                    size = _add(col[start + (t if whole else _below(state, degree))], nodes, size, local)
            begin = end
        flat = _room(flat, total, size)
        flat[total : total + size] = _sort(nodes, size, local)
        for j in range(size):
            local[nodes[j]] = -1
        total += size
        sizes[i] = size
    return flat[:total].copy(), sizes


@_jit
def _push(rowptr: Any, col: Any, root: int, a: float, eps: float, score: Any, rest: Any, where: Any, queue: Any, nodes: Any) -> int:
    """Approximate personalised PageRank by pushing; returns how many nodes were reached (``nodes``).

    ``where``: 0 for a node not yet reached, 1 for one that was, 2 for one that waits.
    """
    n = rowptr.size - 1
    rest[root], queue[0], nodes[0], where[root] = 1.0, root, root, 2
    head, waiting, reached = 0, 1, 1
    while waiting > 0:
        v = queue[head]
        head = head + 1 if head + 1 < n else 0
        waiting -= 1
        where[v] = 1
        degree = rowptr[v + 1] - rowptr[v]
        left, total = rest[v], 0.0
        while left > eps * degree:  # the lazy walk comes back to where it is: push all of that first
            total += left
            left *= (1 - a) / 2
        rest[v] = left
        score[v] += a * total
        share = (1 - a) * total / (2 * degree) if degree > 0 else 0.0
        for e in range(rowptr[v], rowptr[v + 1]):
            u = col[e]
            rest[u] += share
            if where[u] != 2 and rest[u] > eps * (rowptr[u + 1] - rowptr[u]):
                if where[u] == 0:
                    nodes[reached] = u
                    reached += 1
                where[u] = 2
                queue[head + waiting - (n if head + waiting >= n else 0)] = u
                waiting += 1
            elif where[u] == 0:
                where[u] = 1
                nodes[reached] = u
                reached += 1
    return reached


@_jit
def pagerank_scores(rowptr: Any, col: Any, roots: Any, a: float, eps: float, out: Any) -> None:
    """The dense scores of each root."""
    n = rowptr.size - 1
    score, rest, where = np.zeros(n), np.zeros(n), np.zeros(n, np.uint8)
    queue, nodes = np.empty(n, np.int32), np.empty(n, np.int32)
    for i in range(roots.size):
        reached = _push(rowptr, col, roots[i], a, eps, score, rest, where, queue, nodes)
        for j in range(reached):
            v = nodes[j]
            out[i, v] = score[v]
            score[v], rest[v], where[v] = 0.0, 0.0, 0


@_jit
def pagerank_sets(rowptr: Any, col: Any, roots: Any, a: float, eps: float, k: int, threshold: float) -> Any:
    """The sorted nodes of the ``k`` largest scores of each root, end to end, and how many each has."""
    n = rowptr.size - 1
    score, rest, where = np.zeros(n), np.zeros(n), np.zeros(n, np.uint8)
    queue, nodes = np.empty(n, np.int32), np.empty(n, np.int32)
    flat, sizes = np.empty(min(k, n) * roots.size, np.int32), np.empty(roots.size, np.int64)
    total = 0
    for i in range(roots.size):
        reached = _push(rowptr, col, roots[i], a, eps, score, rest, where, queue, nodes)
        values = np.empty(reached)
        positive = 0
        for j in range(reached):
            values[j] = score[nodes[j]]
            positive += values[j] > 0
        chosen = select(nodes[:reached], values, positive, roots[i], k, threshold)
        flat[total : total + chosen.size] = chosen
        total += chosen.size
        sizes[i] = chosen.size
        for j in range(reached):
            v = nodes[j]
            score[v], rest[v], where[v] = 0.0, 0.0, 0
    return flat[:total].copy(), sizes


@_jit
def select(nodes: Any, values: Any, positive: int, root: int, k: int, threshold: float) -> Any:
    """The sorted nodes of the ``k`` largest scores that are at least ``threshold`` times the second largest of all.

    Equal scores are told apart by number; the root is always there.
    """
    if positive <= 1:
        return np.array([root], np.int32)
    n = values.size
    second = np.partition(values, n - 2)[n - 2]
    cut = np.partition(values, n - k)[n - k] if k < n else 0.0
    out, ties = np.empty(min(k, n) + 1, np.int32), np.empty(n, np.int32)
    size, tied, has_root = 0, 0, False
    for j in range(n):
        if values[j] <= 0 or values[j] / second < threshold:
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
def extract(rowptr: Any, col: Any, flat: Any, sizes: Any, roots: Any, loops: bool, local: Any) -> Any:
    """The disjoint union of the subgraphs that are induced by sets of sorted nodes.

    Returns:
        Entries per row, columns, entries of ``col``, the place of each root and the hops from it (-1: unreachable).
    """
    counts, hop, places = np.empty(flat.size, np.int64), np.full(flat.size, -1, np.int64), np.empty(sizes.size, np.int64)
    sub, entry = np.empty(8 * flat.size + 16, np.int32), np.empty(8 * flat.size + 16, rowptr.dtype)
    queue, first = np.empty(flat.size, np.int32), np.empty(flat.size + 1, np.int64)
    size, base = 0, 0
    for i in range(sizes.size):
        nodes = flat[base : base + sizes[i]]
        for j in range(nodes.size):
            local[nodes[j]] = j
        root = base + local[roots[i]]
        begin = size
        count, sub, entry, size = _induce(rowptr, col, nodes, local, loops, base, sub, entry, size)
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


# Partitions -----------------------------------------------------------------------------------------------------------


@_jit
def partition(rowptr: Any, col: Any, order: Any, parts: int, capacity: int, passes: int) -> Any:
    """Linear deterministic greedy streaming: each node goes where most neighbours are, scaled by the room left."""
    n = rowptr.size - 1
    part = np.full(n, -1, np.int64)
    load, links, seen = np.zeros(parts, np.int64), np.zeros(parts, np.int64), np.empty(parts, np.int64)
    for _ in range(passes):
        for i in range(n):
            v = order[i]
            if part[v] >= 0:
                load[part[v]] -= 1
            met = 0
            for e in range(rowptr[v], rowptr[v + 1]):
                p = part[col[e]]
                if p >= 0 and col[e] != v:
                    if links[p] == 0:
                        seen[met] = p
                        met += 1
                    links[p] += 1
            best, most = -1, 0.0
            for j in range(met):
                p = seen[j]
                gain = links[p] * (1 - load[p] / capacity)
                if gain > most or (gain == most and best >= 0 and p < best):
                    best, most = p, gain
                links[p] = 0
            if best < 0:
                best = np.argmin(load)
            part[v] = best
            load[best] += 1
    return part
