"""Stochastic discrete Ricci flow, compiled."""

from __future__ import annotations

import numba
import numpy as np

from graphkit.algorithms.kernels.curvature import (
    append_neighbour,
    count_marked,
    mark_neighbours,
    official_edge,
    official_formula,
    official_sides,
    position,
    walks,
)

Array = np.ndarray
_jit = numba.njit(cache=True, nogil=True)


@_jit
def _with_shortcut(
    lists: Array,
    start: Array,
    count: Array,
    x: int,
    y: int,
    end: int,
    near_y: Array,
    ways_y: Array,
    ways_x: Array,
    common: int,
) -> float:
    """The curvature of (x, y) once x sees ``end``, a neighbour of y, directly."""
    near = np.zeros(count.size, np.bool_)
    mark_neighbours(lists, start, count, end, near, True)
    new = count_marked(lists, start, count, end, near_y) - 1
    corners, most = int(new > 0), max(new, 0)
    for a in range(count[y]):
        k = lists[start[y] + a]
        number = ways_y[a] + near[k] - (k == end)
        corners += number > 0
        most = max(most, number)
    for a in range(count[x]):
        corners += ways_x[a] > 0
        most = max(most, ways_x[a])
    return official_formula(common + 1, count[x], count[y], corners, most)


@_jit
def improvements(lists: Array, start: Array, count: Array, x: int, y: int) -> tuple[Array, Array]:
    """What each new edge between the closed neighbourhoods of x and y does to the curvature of (x, y).

    As in the authors' code, the new edge (i, j) is entered in the direction from i to j alone while it is judged.

    Returns:
        Pairs (i, j), i from N(x) and then x, j from N(y) and then y, and the gain of each.
    """
    n, dx, dy = count.size, count[x], count[y]
    near_x, near_y, near_i = np.zeros(n, np.bool_), np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    mark_neighbours(lists, start, count, x, near_x, True)
    mark_neighbours(lists, start, count, y, near_y, True)
    ways_y, ways_x = np.empty(dy, np.int64), np.empty(dx, np.int64)  # products at N(y) and at N(x)
    walks(lists, start, count, x, y, near_x, ways_y)
    walks(lists, start, count, y, x, near_y, ways_x)
    common = count_marked(lists, start, count, x, near_y)
    corners, most = (ways_y > 0).sum() + (ways_x > 0).sum(), max(ways_y.max(), ways_x.max())
    now = official_formula(common, dx, dy, corners, most)
    pairs, gains, size = np.empty(((dx + 1) * (dy + 1), 2), np.int64), np.empty((dx + 1) * (dy + 1)), 0
    for a in range(dx + 1):
        i = lists[start[x] + a] if a < dx else x
        mark_neighbours(lists, start, count, i, near_i, True)
        for b in range(dy + 1):
            j = lists[start[y] + b] if b < dy else y
            if i == j or near_i[j]:
                continue
            if i == x:
                value = _with_shortcut(lists, start, count, x, y, j, near_y, ways_y, ways_x, common)
            elif j == y:
                value = _with_shortcut(lists, start, count, y, x, i, near_x, ways_x, ways_y, common)
            else:  # a square: one more way at i and at j
                more = corners + (ways_x[a] == 0) + (ways_y[b] == 0)
                value = official_formula(common, dx, dy, more, max(most, ways_x[a] + 1, ways_y[b] + 1))
            pairs[size, 0], pairs[size, 1], gains[size] = i, j, value - now
            size += 1
        mark_neighbours(lists, start, count, i, near_i, False)
    return pairs[:size], gains[:size]


@_jit
def draw(gains: Array, tau: float, uniform: float) -> int:
    """A position with probability softmax(tau * gains); the first of the largest for an infinite tau."""
    if np.isinf(tau):
        return int(np.argmax(gains))
    weight = np.exp(tau * (gains - gains.max())).cumsum()
    return min(int(np.searchsorted(weight, uniform * weight[-1], side="right")), gains.size - 1)


@_jit
def _refresh(
    lists: Array, start: Array, count: Array, curvature: Array, sides: Array, stale: Array, ways: Array
) -> None:
    """Curvature of all edges of stale nodes, each stored at its smaller end."""
    for u in range(count.size):
        if stale[u]:
            official_sides(lists, start, count, u, ways, sides)
    for u in range(count.size):
        if not stale[u]:
            continue
        for place in range(start[u], start[u] + count[u]):
            v = lists[place]
            if v < u and stale[v]:
                continue  # done from there
            back = position(lists, start, count, v, u)
            curvature[place if u < v else back] = official_edge(count, u, v, sides[place], sides[back])


@_jit
def _extreme(lists: Array, start: Array, count: Array, curvature: Array, sign: float) -> tuple[int, int]:
    """The joined pair u < v of the largest ``sign * curvature``; the first in row-major order of the equal ones."""
    best, first, second = -np.inf, -1, -1
    for u in range(count.size):
        for a in range(count[u]):
            v = lists[start[u] + a]
            if v > u:
                value = sign * curvature[start[u] + a]
                if value > best or (value == best and u == first and v < second):
                    best, first, second = value, u, v
    return first, second


@_jit
def _remove(lists: Array, start: Array, count: Array, u: int, v: int) -> None:
    for place in range(position(lists, start, count, u, v), start[u] + count[u] - 1):
        lists[place] = lists[place + 1]
    count[u] -= 1


@_jit
def sdrf(lists: Array, start: Array, count: Array, uniform: Array, tau: float, bound: float) -> tuple[Array, Array]:
    """Add an edge around the most negative one, and remove the most positive one if above ``bound``, once per number.

    Returns:
        The pairs added and removed, ``[rounds, 2]`` each, in the order of the rounds; -1 for none.
    """
    added, removed = np.full((uniform.size, 2), -1, np.int64), np.full((uniform.size, 2), -1, np.int64)
    curvature, sides, capacity = np.empty(lists.size), np.empty((lists.size, 3), np.int64), count.copy()
    ways, stale = np.zeros(count.size, np.int64), np.ones(count.size, np.bool_)
    _refresh(lists, start, count, curvature, sides, stale, ways)
    for step in range(uniform.size):
        x, y = _extreme(lists, start, count, curvature, -1.0)
        if x < 0:
            return added[:step], removed[:step]
        high, low = _extreme(lists, start, count, curvature, 1.0)  # on the curvature before the addition
        above = curvature[position(lists, start, count, high, low)] > bound
        pairs, gains = improvements(lists, start, count, x, y)
        if gains.size > 0:
            i, j = pairs[draw(gains, tau, uniform[step])]
            added[step, 0], added[step, 1] = i, j
            lists = append_neighbour(lists, start, count, capacity, i, j)
            lists = append_neighbour(lists, start, count, capacity, j, i)
            curvature = np.concatenate((curvature, np.empty(lists.size - curvature.size)))
            sides = np.concatenate((sides, np.empty((lists.size - len(sides), 3), np.int64)))
        if above:
            removed[step, 0], removed[step, 1] = high, low
            _remove(lists, start, count, high, low)
            _remove(lists, start, count, low, high)
        if gains.size == 0 and not above:
            return added[:step], removed[:step]
        # an edge's curvature knows its ends, their neighbours and the neighbours of these
        stale[:] = False
        for pair in (added[step], removed[step]):
            for end in pair:
                if end >= 0:
                    stale[end] = True
                    mark_neighbours(lists, start, count, end, stale, True)
        _refresh(lists, start, count, curvature, sides, stale, ways)
    return added, removed
