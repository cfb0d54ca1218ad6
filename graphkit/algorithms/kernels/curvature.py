"""Curvature of edges and optimal transport, compiled."""

from __future__ import annotations

import numba
import numpy as np

Array = np.ndarray
_jit = numba.njit(cache=True, nogil=True)


@_jit
def append_neighbour(lists: Array, start: Array, count: Array, capacity: Array, u: int, v: int) -> Array:
    """Append v to the neighbours of u; a full list moves to the end, with twice the room.

    Returns:
        The lists, new ones if there was no room.
    """
    if count[u] == capacity[u]:
        moved = np.empty(2 * capacity[u] + 4, np.int64)
        moved[: count[u]] = lists[start[u] : start[u] + count[u]]
        start[u], capacity[u] = lists.size, moved.size
        lists = np.concatenate((lists, moved))
    lists[start[u] + count[u]] = v
    count[u] += 1
    return lists


@_jit
def mark_neighbours(lists: Array, start: Array, count: Array, node: int, marked: Array, value: bool) -> None:
    """Set ``marked`` at the neighbours of a node."""
    for a in range(count[node]):
        marked[lists[start[node] + a]] = value


@_jit
def count_marked(lists: Array, start: Array, count: Array, node: int, marked: Array) -> int:
    """The number of neighbours of a node that are marked."""
    total = 0
    for a in range(count[node]):
        total += marked[lists[start[node] + a]]
    return total


@_jit
def _corners(lists: Array, start: Array, count: Array, i: int, j: int, near_i: Array, near_j: Array) -> tuple[int, int]:
    """How many k of N(i) - N(j) - {j} have neighbours w != i in N(j) - N(i), and the largest number of such w."""
    corners, most = 0, 0
    for a in range(count[i]):
        k = lists[start[i] + a]
        if k == j or near_j[k]:
            continue
        ways = 0
        for b in range(count[k]):
            w = lists[start[k] + b]
            ways += w != i and near_j[w] and not near_i[w]
        corners += ways > 0
        most = max(most, ways)
    return corners, most


@_jit
def balanced_forman(lists: Array, start: Array, count: Array, pairs: Array) -> tuple[Array, Array, Array, Array]:
    """The paper's definition for ``pairs`` ``[p, 2]``.

    Returns:
        Curvature, triangles, the corners of squares at the first end and the largest number of squares at a corner.
    """
    n, p = count.size, pairs.shape[0]
    near_i, near_j = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    curvature, triangles = np.zeros(p), np.zeros(p, np.int64)
    corners, most = np.zeros(p, np.int64), np.zeros(p, np.int64)
    for e in range(p):
        i, j = pairs[e]
        mark_neighbours(lists, start, count, i, near_i, True)
        mark_neighbours(lists, start, count, j, near_j, True)
        common = count_marked(lists, start, count, i, near_j)
        corners_i, most_i = _corners(lists, start, count, i, j, near_i, near_j)
        corners_j, most_j = _corners(lists, start, count, j, i, near_j, near_i)
        mark_neighbours(lists, start, count, i, near_i, False)
        mark_neighbours(lists, start, count, j, near_j, False)
        triangles[e], corners[e], most[e] = common, corners_i, max(most_i, most_j)
        small, large = min(count[i], count[j]), max(count[i], count[j])
        if small > 1:
            curvature[e] = 2 / small + 2 / large - 2 + 2 * common / large + common / small
            if most[e] > 0:
                curvature[e] += (corners_i + corners_j) / (most[e] * large)
    return curvature, triangles, corners, most


@_jit
def walks(lists: Array, start: Array, count: Array, i: int, j: int, near_i: Array, out: Array) -> None:
    """For each k of N(j), in its order: the number of walks i - m - k of length two, less one if i and k are joined."""
    for a in range(count[j]):
        k = lists[start[j] + a]
        out[a] = -1 if near_i[k] else 0
        for b in range(count[k]):
            out[a] += near_i[lists[start[k] + b]]


@_jit
def official_formula(common: int, degree_i: int, degree_j: int, corners: int, most: int) -> float:
    """The authors' code's value from common neighbours, degrees, corners and the largest product."""
    small, large = min(degree_i, degree_j), max(degree_i, degree_j)
    if small == 0:
        return 0.0
    value = 2 / large + 2 / small - 2 + (2 / large + 1 / small) * common
    return value + corners / (most * large) if most > 0 else value


@_jit
def position(lists: Array, start: Array, count: Array, u: int, v: int) -> int:
    """Where v stands in the lists as a neighbour of u; -1 if it is none."""
    for place in range(start[u], start[u] + count[u]):
        if lists[place] == v:
            return place
    return -1


@_jit
def official_sides(lists: Array, start: Array, count: Array, u: int, ways: Array, sides: Array) -> None:
    """What the curvature of each edge of u takes from this end, in the rows of ``sides`` at which its neighbours stand.

    Of the edge (u, v): the common neighbours, and of the products (A^2 - A)[u, k] at the neighbours k of v the number
    of positive ones and the largest. Their rows for u are shared by all its edges, hence d^2 steps and not d^3 for a
    node of degree d. ``ways`` ``[num_nodes]`` is all 0 before and after.
    """
    own = lists[start[u] : start[u] + count[u]]
    for m in own:
        ways[m] -= 1
        for k in lists[start[m] : start[m] + count[m]]:
            ways[k] += 1
    for a in range(own.size):
        v = own[a]
        corners, most = 0, 0
        for k in lists[start[v] : start[v] + count[v]]:
            corners += ways[k] > 0
            most = max(most, ways[k])
        side = sides[start[u] + a]
        side[0], side[1], side[2] = ways[v] + 1, corners, most
    for m in own:
        ways[m] = 0
        for k in lists[start[m] : start[m] + count[m]]:
            ways[k] = 0


@_jit
def official_edge(count: Array, u: int, v: int, side: Array, other: Array) -> float:
    """The definition of the authors' code for the edge (u, v), from its two sides."""
    return official_formula(side[0], count[u], count[v], side[1] + other[1], max(side[2], other[2]))


@_jit
def official_balanced_forman(lists: Array, start: Array, count: Array, pairs: Array) -> Array:
    """The definition of the authors' code for ``pairs`` ``[p, 2]``; 0 for those that are not joined."""
    ways, sides = np.zeros(count.size, np.int64), np.empty((lists.size, 3), np.int64)
    for u in range(count.size):
        official_sides(lists, start, count, u, ways, sides)
    out = np.zeros(pairs.shape[0])
    for e in range(pairs.shape[0]):
        u, v = pairs[e]
        place, back = position(lists, start, count, u, v), position(lists, start, count, v, u)
        if place >= 0:
            out[e] = official_edge(count, u, v, sides[place], sides[back])
    return out


@_jit
def transport(cost: Array, supply: Array, demand: Array) -> Array:
    """The cheapest plan that moves integer ``supply`` to ``demand`` (equal sums), by successive shortest paths."""
    a, b = cost.shape
    plan = np.zeros((a, b), np.int64)
    left, open_ = supply.copy(), demand.copy()
    u, v = np.zeros(a, np.int64), np.zeros(b, np.int64)  # potentials keep reduced costs from going below zero
    far = np.iinfo(np.int64).max // 4
    while left.sum() > 0:
        # Dijkstra from all rows with supply over rows and columns
        row_distance = np.where(left > 0, 0, far)
        column_distance = np.full(b, far)
        row_from, column_from = np.full(a, -1), np.full(b, -1)
        row_done, column_done = np.zeros(a, np.bool_), np.zeros(b, np.bool_)
        end = -1
        while True:
            best, node, is_row = far, -1, True
            for i in range(a):
                if not row_done[i] and row_distance[i] < best:
                    best, node, is_row = row_distance[i], i, True
            for j in range(b):
                if not column_done[j] and column_distance[j] < best:
                    best, node, is_row = column_distance[j], j, False
            if is_row:
                row_done[node] = True
                for j in range(b):
                    new = best + cost[node, j] + u[node] - v[j]
                    if new < column_distance[j]:
                        column_distance[j], column_from[j] = new, node
            else:
                column_done[node] = True
                if open_[node] > 0:
                    end = node
                    break
                for i in range(a):
                    if plan[i, node] > 0:
                        new = best - cost[i, node] - u[i] + v[node]
                        if new < row_distance[i]:
                            row_distance[i], row_from[i] = new, node
        reached = column_distance[end]
        for i in range(a):
            u[i] += min(row_distance[i], reached)
        for j in range(b):
            v[j] += min(column_distance[j], reached)
        amount, j = open_[end], end
        while True:
            i = column_from[j]
            if row_from[i] < 0:
                amount = min(amount, left[i])
                break
            j = row_from[i]
            amount = min(amount, plan[i, j])
        open_[end] -= amount
        j = end
        while True:
            i = column_from[j]
            plan[i, j] += amount
            if row_from[i] < 0:
                left[i] -= amount
                break
            j = row_from[i]
            plan[i, j] -= amount
    return plan


@_jit
def ollivier_ricci(lists: Array, start: Array, count: Array, pairs: Array) -> tuple[Array, Array]:
    """Ollivier-Ricci curvature of joined ``pairs`` ``[p, 2]``, and the dearest entry of each transport plan.

    The measures are uniform on the neighbours, distances count hops: at most 3 from N(i) over i and j to N(j).
    """
    n, p = count.size, pairs.shape[0]
    near, hops = np.zeros(n, np.bool_), np.empty(n, np.int64)
    curvature, dearest = np.empty(p), np.full((p, 2), -1, np.int64)
    for e in range(p):
        i, j = pairs[e]
        di, dj = count[i], count[j]
        cost = np.empty((di, dj), np.int64)
        for a in range(di):
            s = lists[start[i] + a]
            for b in range(dj):
                hops[lists[start[j] + b]] = 3
            mark_neighbours(lists, start, count, s, near, True)
            for b in range(dj):
                t = lists[start[j] + b]
                if t == s:
                    hops[t] = 0
                elif near[t]:
                    hops[t] = 1
                else:
                    for c in range(count[t]):
                        if near[lists[start[t] + c]]:
                            hops[t] = 2
                            break
                cost[a, b] = hops[t]
            mark_neighbours(lists, start, count, s, near, False)
        plan = transport(cost, np.full(di, dj), np.full(dj, di))
        moved, most = 0, 0
        for a in range(di):
            for b in range(dj):
                product = plan[a, b] * cost[a, b]
                moved += product
                if product > most:
                    most, dearest[e, 0], dearest[e, 1] = product, lists[start[i] + a], lists[start[j] + b]
        curvature[e] = 1 - moved / (di * dj)
    return curvature, dearest
