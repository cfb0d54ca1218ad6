"""First-order spectral rewiring, compiled."""

from __future__ import annotations

import numba
import numpy as np

from graphkit.algorithms.kernels.curvature import append_neighbour, position

Array = np.ndarray
_jit = numba.njit(cache=True, nogil=True)


@_jit
def power_step(lists: Array, start: Array, count: Array, x: Array) -> Array:
    """One step of power iteration for the second eigenvector of D^-1/2 A D^-1/2; isolated nodes have 0."""
    n = x.size
    inner = 0.0
    for i in range(n):
        inner += x[i] * np.sqrt(count[i])
    inner /= count.sum()
    scaled = np.zeros(n)
    for i in range(n):
        if count[i] > 0:
            scaled[i] = x[i] / np.sqrt(count[i]) - inner
    out = np.zeros(n)
    for i in range(n):
        if count[i] > 0:
            total = 0.0
            for a in range(count[i]):
                total += scaled[lists[start[i] + a]]
            root = np.sqrt(count[i])
            out[i] = scaled[i] * root + total / root
    return out / np.sqrt((out * out).sum())


@_jit
def _extremes(z: Array, nodes: Array, k: int, sign: float) -> Array:
    """The k of ``nodes`` with the largest ``sign * z``, the largest first."""
    out, filled = np.empty(k, np.int64), 0
    for i in nodes:
        value = sign * z[i]
        if filled < k or value > sign * z[out[k - 1]]:
            place = min(filled, k - 1)
            while place > 0 and sign * z[out[place - 1]] < value:
                out[place] = out[place - 1]
                place -= 1
            out[place] = i
            filled = min(filled + 1, k)
    return out


@_jit
def _smallest_product(lists: Array, start: Array, count: Array, z: Array, nodes: Array) -> tuple[int, int]:
    """The pair u < v, not joined, with the smallest z_u z_v; the first in row-major order of the equal ones.

    The smallest product is that of a large and a small entry: among the k largest and the k smallest, the best pair is
    the best of all when it is below the products that a node outside could reach. Else k is doubled.
    """
    k = 16
    while True:
        k = min(k, nodes.size)
        high, low = _extremes(z, nodes, k, 1.0), _extremes(z, nodes, k, -1.0)
        best, first, second = np.inf, -1, -1
        for p in high:
            for q in low:
                u, v, product = min(p, q), max(p, q), z[p] * z[q]
                if u == v or product > best or (product == best and (u, v) >= (first, second)):
                    continue
                if position(lists, start, count, u, v) < 0:
                    best, first, second = product, u, v
        if k == nodes.size or best < min(z[high[k - 1]] * z[low[0]], z[high[0]] * z[low[k - 1]], 0.0):
            return first, second
        k *= 2


@_jit
def fosr(lists: Array, start: Array, count: Array, x: Array, num_edges: int, initial_steps: int) -> tuple[Array, Array]:
    """Add edges one after another; ``count`` and ``start`` change.

    Returns:
        The pairs ``[num_edges, 2]`` (fewer when no free pair is left), smaller node first, and the last vector.
    """
    pairs = np.empty((num_edges, 2), np.int64)
    capacity = count.copy()
    nodes = np.flatnonzero(count)
    if nodes.size == 0:
        return pairs[:0], x
    for _ in range(initial_steps):
        x = power_step(lists, start, count, x)
    for done in range(num_edges):
        u, v = _smallest_product(lists, start, count, x / np.sqrt(count + 1.0), nodes)
        if u < 0:
            return pairs[:done], x
        pairs[done, 0], pairs[done, 1] = u, v
        lists = append_neighbour(lists, start, count, capacity, u, v)
        lists = append_neighbour(lists, start, count, capacity, v, u)
        x = power_step(lists, start, count, x)
    return pairs, x
