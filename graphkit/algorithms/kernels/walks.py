"""Random walks on a graph in CSR form whose rows are sources, compiled by numba."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from graphkit.algorithms.kernels.alias import draw
from graphkit.algorithms.kernels.sampling import stream
from graphkit.algorithms.kernels.splitmix import uniform

_jit = numba.njit(nogil=True, cache=True)

_ABREAST = 32  # walks that go on in turn, so that their waits for memory overlap


@_jit
def _joined(rowptr: Any, col: Any, source: int, target: int) -> bool:
    low, high = rowptr[source], rowptr[source + 1]
    stop = high
    while low < high:
        middle = (low + high) >> 1
        if col[middle] < target:
            low = middle + 1
        else:
            high = middle
    return low < stop and col[low] == target


@_jit
def walks(
    rowptr: Any, col: Any, keep: Any, other: Any, starts: Any, p: float, q: float, seed: int, first: int, out: Any
) -> None:
    """Walks from ``starts`` into the rows of ``out``; after a dead end follows -1.

    Random numbers of a walk depend on ``(seed, first + its row)`` alone. A neighbour of second order is drawn by
    rejection: proposed as in a walk of first order, kept in proportion to ``1/p``, 1 or ``1/q``.
    """
    length, second_order = out.shape[1], p != 1 or q != 1
    largest = max(1.0, 1 / p, 1 / q)
    size, stop = np.uint32(rowptr.size - 1), rowptr[-1]
    states = np.empty(_ABREAST, np.uint64)
    for begin in range(0, starts.size, _ABREAST):
        block = min(_ABREAST, starts.size - begin)
        for i in range(block):
            states[i] = stream(seed, first + begin + i)[0]
            out[begin + i, 0] = starts[begin + i]
        for step in range(1, length):
            for i in range(block):
                walk = begin + i
                v = np.uint32(out[walk, step - 1])
                start = rowptr[v] if v < size else stop
                degree = rowptr[v + np.uint32(1)] - start if v < size else 0
                if degree == 0:
                    out[walk, step] = -1
                    continue
                u = col[start + draw(states, start, degree, keep, other, i)]
                if second_order and step > 1:
                    before = out[walk, step - 2]
                    while True:
                        bias = 1 / p if u == before else (1.0 if _joined(rowptr, col, before, u) else 1 / q)
                        if uniform(states, i) * largest < bias:
                            break
                        u = col[start + draw(states, start, degree, keep, other, i)]
                out[walk, step] = u


@_jit
def visits(walked: Any, count: Any) -> None:
    """Add how often each node stands in walks."""
    for walk in walked:
        for v in walk:
            if v >= 0:
                count[v] += 1
