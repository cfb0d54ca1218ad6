"""One step of the greedy reduction of total resistance, compiled."""

from __future__ import annotations

import numba
import numpy as np

Array = np.ndarray
_fast = numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz", "arcp", "nnan"})


@_fast
def _update(inverse: Array, square: Array, v: Array, w: Array, left: float, right: float, first: int) -> None:
    """Subtract ``left v`` from a row of the inverse and ``left w + right v`` from one of its square."""
    for j in range(first, v.size):
        inverse[j] -= left * v[j]
        square[j] -= left * w[j] + right * v[j]


@_fast
def _gains(inverse: Array, square: Array, d: Array, p: Array, i: int, out: Array) -> None:
    """The gains of edges from ``i`` to all ``j > i``."""
    for j in range(i + 1, d.size):
        out[j] = (p[i] + p[j] - 2 * square[j]) / (1 + d[i] + d[j] - 2 * inverse[j])


@_fast
def _largest(values: Array, first: int) -> float:
    best = -1.0
    for j in range(first, values.size):
        best = max(best, values[j])
    return best


@numba.njit(cache=True, nogil=True)
def best_edge(
    inverse: Array,
    square: Array,
    d: Array,
    p: Array,
    v: Array,
    w: Array,
    r: float,
    b: float,
    lists: Array,
    start: Array,
    count: Array,
) -> tuple[float, int, int]:
    """Account for a new edge and find the best next one, in one pass over the upper triangles.

    With the inverse G, its square P and the new edge's potentials v = G e and w = P e (e its incidence vector),
    r = e' v and b = e' w,

        G <- G - v v' / (1 + r),    P <- P - (v w' + w v') / (1 + r) + b v v' / (1 + r)^2.

    ``inverse`` and ``square`` hold the upper triangles of G and P, ``d`` and ``p`` their diagonals; all change in
    place. Zeros for v, w, r and b mean no new edge. Neighbours, in ``lists``, are no candidates.

    Returns:
        The best gain and its pair s < t, the first of those within a billionth; (-1, -1, -1) if all are joined.
    """
    n = d.size
    g = 1 / (1 + r)
    for i in range(n):
        d[i] -= g * v[i] * v[i]
        p[i] -= 2 * g * v[i] * w[i] - b * g * g * v[i] * v[i]
    gains, of_row, best = np.empty(n), np.empty(n), -1.0
    for i in range(n):
        if r > 0:
            _update(inverse[i], square[i], v, w, g * v[i], g * w[i] - b * g * g * v[i], i + 1)
        _gains(inverse[i], square[i], d, p, i, gains)
        for a in range(count[i]):
            gains[lists[start[i] + a]] = -1.0
        of_row[i] = _largest(gains, i + 1)
        best = max(best, of_row[i])
    if best < 0:
        return -1.0, -1, -1
    enough = best * (1 - 1e-9)
    for i in range(n):
        if of_row[i] >= enough:
            _gains(inverse[i], square[i], d, p, i, gains)
            for a in range(count[i]):
                gains[lists[start[i] + a]] = -1.0
            for j in range(i + 1, n):
                if gains[j] >= enough:
                    return gains[j], i, j
    return -1.0, -1, -1


@numba.njit(cache=True, nogil=True)
def difference(upper: Array, diagonal: Array, s: int, t: int) -> Array:
    """Column s minus column t of a symmetric matrix of which the upper triangle and the diagonal are given."""
    out = np.empty(diagonal.size)
    for j in range(out.size):
        a = diagonal[s] if j == s else (upper[s, j] if s < j else upper[j, s])
        c = diagonal[t] if j == t else (upper[t, j] if t < j else upper[j, t])
        out[j] = a - c
    return out
