"""Sets of nodes as one bit per node, compiled by numba: what is looked up for each edge fits into the first cache.

``marks`` is a workspace, all zero wherever a kernel begins and ends.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba.cpython.unsafe import numbers

_jit = numba.njit(nogil=True, cache=True)
_trailing_zeros: Any = numbers.trailing_zeros  # numba declares it with an argument that compiled code does not give


@_jit
def marked(v: Any, marks: Any) -> Any:
    """Whether a node is in the set, 0 or 1."""
    u = np.uint32(v)  # whose shifts cost less than those of 64 bits
    return (marks[u >> np.uint32(6)] >> np.uint64(u & np.uint32(63))) & np.uint64(1)


@_jit
def mark(v: Any, marks: Any) -> Any:
    """Put a node into the set; whether it is new there, 0 or 1."""
    word, bit = np.uint64(v) >> np.uint64(6), np.uint64(1) << (np.uint64(v) & np.uint64(63))
    before = marks[word]
    marks[word] = before | bit
    return np.int64(before & bit == 0)


@_jit
def clear(nodes: Any, marks: Any) -> None:
    """Empty the set, which holds no others than the given nodes."""
    for i in range(nodes.size):
        marks[np.uint64(nodes[i]) >> np.uint64(6)] = 0


@_jit
def sort_marked(nodes: Any, marks: Any) -> Any:
    """The nodes sorted; the set holds them and no others, and is emptied."""
    out = np.empty(nodes.size, nodes.dtype)
    if marks.size > 32 * nodes.size:  # sorting costs less than reading the whole set
        out[:] = nodes
        out.sort()
        clear(nodes, marks)
        return out
    count = 0
    for word in range(marks.size):
        bits = marks[word]
        marks[word] = 0
        while bits != 0:
            out[count] = 64 * word + np.int64(_trailing_zeros(bits))
            count += 1
            bits &= bits - np.uint64(1)
    return out
