"""Streaming graph partitioning, compiled by numba."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np


@numba.njit(nogil=True, cache=True)
def greedy(rowptr: Any, col: Any, order: Any, parts: int, capacity: int, passes: int) -> Any:
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
                best = int(np.argmin(load))
            part[v] = best
            load[best] += 1
    return part
