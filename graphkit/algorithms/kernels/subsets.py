"""Enumeration of subsets of nodes, compiled by numba."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

_jit = numba.njit(nogil=True, cache=True, boundscheck=False)


@_jit
def cliques(allowed: Any, size: int, limit: int, out: Any) -> int:
    """Write the sets of ``size`` nodes of which any two are ``allowed`` together, in lexicographic order.

    Args:
        allowed: Which pairs may be together.
        size: The number of nodes of a set.
        limit: How many sets to count at most.
        out: Room for the sets, ``[size, number]``; with none, they are only counted.

    Returns:
        The number of sets, or ``limit + 1`` if there are more.
    """
    n, count, depth = allowed.shape[0], 0, 0
    chosen = np.full(size, -1, np.int64)
    while depth >= 0:
        chosen[depth] += 1
        node = chosen[depth]
        if node >= n:
            depth -= 1
            continue
        fits = True
        for i in range(depth):
            fits = fits and allowed[chosen[i], node]
        if not fits:
            continue
        if depth + 1 < size:
            depth += 1
            chosen[depth] = node
            continue
        if count < out.shape[1]:
            for i in range(size):
                out[i, count] = chosen[i]
        count += 1
        if count > limit:
            return count
    return count
