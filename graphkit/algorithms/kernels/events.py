"""Schedules of events, compiled by numba."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np


@numba.njit(nogil=True, cache=True)
def t_batches(source: Any, target: Any, starts: Any, num_sources: int, num_targets: int, bipartite: bool) -> Any:
    """The batch of each event; the schedule begins anew at each of ``starts``, behind all batches so far."""
    batch = np.empty(source.size, np.int64)
    last_source = np.full(num_sources, -1, np.int64)
    last_target = np.full(num_targets, -1, np.int64) if bipartite else last_source
    first, newest, window = 0, -1, 0
    for event in range(source.size):
        while window < starts.size and starts[window] == event:
            first, window = newest + 1, window + 1
        u, v = source[event], target[event]
        own = max(first - 1, last_source[u], last_target[v]) + 1
        batch[event] = last_source[u] = last_target[v] = own
        newest = max(newest, own)
    return batch
