"""Sparse operations of polynomial plans, compiled by numba: of small graphs, scipy's checks would cost most.

A matrix is ``indptr`` (int64), ``indices`` (int32) and ``data`` (float64); no row has an entry twice, and entries need
not be sorted. A vector of length 0 stands for ones.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

_jit: Any = numba.njit(nogil=True, cache=True)


@_jit
def sum_rows(indptr: Any, indices: Any, data: Any, w: Any) -> Any:
    """``F w``."""
    n = indptr.size - 1
    out = np.zeros(n)
    for i in range(n):
        for e in range(indptr[i], indptr[i + 1]):
            out[i] += data[e] * (w[indices[e]] if w.size else 1.0)
    return out


@_jit
def transpose(indptr: Any, indices: Any, data: Any) -> Any:
    """The transposed matrix; its rows are sorted."""
    n = indptr.size - 1
    start = np.zeros(n + 1, np.int64)
    for j in indices:
        start[j + 1] += 1
    start = np.cumsum(start)
    place = start[:-1].copy()
    column, value = np.empty_like(indices), np.empty_like(data)
    for i in range(n):
        for e in range(indptr[i], indptr[i + 1]):
            j = indices[e]
            column[place[j]], value[place[j]] = i, data[e]
            place[j] += 1
    return start, column, value


@_jit
def scale(indptr: Any, indices: Any, data: Any, left: Any, right: Any) -> Any:
    """The entries of ``diag(left) F diag(right)``."""
    out = data.copy()
    for i in range(indptr.size - 1):
        for e in range(indptr[i], indptr[i + 1]):
            if left.size:
                out[e] *= left[i]
            if right.size:
                out[e] *= right[indices[e]]
    return out


@_jit
def count_product(fp: Any, fi: Any, gp: Any, gi: Any) -> Any:
    """The number of entries in each row of ``F G``, as starts of rows."""
    n = fp.size - 1
    seen = np.full(n, -1)
    indptr = np.zeros(n + 1, np.int64)
    for i in range(n):
        count = 0
        for e in range(fp[i], fp[i + 1]):
            for f in range(gp[fi[e]], gp[fi[e] + 1]):
                if seen[gi[f]] != i:
                    seen[gi[f]] = i
                    count += 1
        indptr[i + 1] = indptr[i] + count
    return indptr


@_jit
def product(fp: Any, fi: Any, fv: Any, w: Any, gp: Any, gi: Any, gv: Any, indptr: Any) -> Any:
    """``F diag(w) G`` for the starts of rows that :func:`count_product` gives."""
    n = fp.size - 1
    place = np.full(n, -1)
    indices, data = np.empty(indptr[n], np.int32), np.empty(indptr[n])
    for i in range(n):
        first = last = indptr[i]
        for e in range(fp[i], fp[i + 1]):
            k = fi[e]
            x = fv[e] * w[k] if w.size else fv[e]
            for f in range(gp[k], gp[k + 1]):
                j = gi[f]
                if place[j] < first:
                    place[j] = last
                    indices[last], data[last] = j, x * gv[f]
                    last += 1
                else:
                    data[place[j]] += x * gv[f]
    return indices, data


@_jit
def masked(pp: Any, pi: Any, pv: Any, fp: Any, fi: Any, fv: Any, w: Any, gp: Any, gi: Any, gv: Any) -> Any:
    """The entries of ``P * (F diag(w) G^T)`` at those of ``P``."""
    n = pp.size - 1
    row = np.zeros(n)
    out = np.empty_like(pv)
    for i in range(n):
        if pp[i] == pp[i + 1]:
            continue
        for e in range(fp[i], fp[i + 1]):
            row[fi[e]] = fv[e] * (w[fi[e]] if w.size else 1.0)
        for e in range(pp[i], pp[i + 1]):
            total = 0.0
            for f in range(gp[pi[e]], gp[pi[e] + 1]):
                total += row[gi[f]] * gv[f]
            out[e] = pv[e] * total
        for e in range(fp[i], fp[i + 1]):
            row[fi[e]] = 0.0
    return out


@_jit
def hadamard(pp: Any, pi: Any, pv: Any, fp: Any, fi: Any, fv: Any) -> Any:
    """The entries of ``P * F`` at those of ``P``."""
    n = pp.size - 1
    row = np.zeros(n)
    out = np.empty_like(pv)
    for i in range(n):
        for e in range(fp[i], fp[i + 1]):
            row[fi[e]] = fv[e]
        for e in range(pp[i], pp[i + 1]):
            out[e] = pv[e] * row[pi[e]]
        for e in range(fp[i], fp[i + 1]):
            row[fi[e]] = 0.0
    return out


@_jit
def join(
    n: int, out: int, vectors: Any, late: Any, early: Any, leads: Any, ptr: Any, idx: Any, val: Any, limit: int
) -> Any:
    """Sum over the places of several nodes, of the product of factors between them.

    Nodes are placed one after another, node 0 at every node of the graph. Candidates for node ``t`` are a row of its
    leading factor; the others are looked up.

    Args:
        n: The number of nodes of the graph.
        out: The node that gives the column of the result; 0 for a result that is a vector.
        vectors: A weight for each place of each node, ``[nodes, n]``.
        late: The node of each factor that is placed later, ``[factors]``, not falling.
        early: The node of each factor that is placed earlier; rows of its matrix belong to that.
        leads: The leading factor of each node but the first.
        ptr: Starts of rows of each factor in ``idx`` and ``val``, ``[factors, n + 1]``.
        idx: The columns of all factors.
        val: The values of all factors.
        limit: The largest number of entries.

    Returns:
        Whether ``limit`` was enough; starts of rows, columns, and values (or the vector).
    """
    nodes, factors = vectors.shape[0], late.size
    place, entry, end = np.zeros(nodes, np.int64), np.zeros(nodes, np.int64), np.zeros(nodes, np.int64)
    weight = np.zeros(nodes)
    stamp, current, looked = np.full((factors, n), -1), np.zeros(factors, np.int64), np.zeros((factors, n))
    row, seen = np.zeros(n), np.full(n, -1)
    indptr = np.zeros(n + 1, np.int64)
    indices, data, size = np.empty(max(n, 16), np.int32), np.empty(max(n, 16)), 0
    for i in range(n):
        first = size
        place[0], weight[0] = i, vectors[0, i]
        depth = 0
        while True:
            if depth == nodes - 1:
                j = place[out]
                if seen[j] != i:
                    seen[j] = i
                    if size == indices.size:
                        if size >= limit:
                            return False, indptr, indices, data
                        indices, data = _longer(indices, data, min(2 * size, limit))
                    indices[size] = j
                    size += 1
                row[j] += weight[depth]
            else:
                for f in range(factors):  # the row of each factor that is looked up later
                    if early[f] == depth and leads[late[f]] != f:
                        current[f] += 1
                        for e in range(ptr[f, place[depth]], ptr[f, place[depth] + 1]):
                            stamp[f, idx[e]], looked[f, idx[e]] = current[f], val[e]
                depth += 1
                lead = leads[depth]
                entry[depth] = ptr[lead, place[early[lead]]]
                end[depth] = ptr[lead, place[early[lead]] + 1]
            extended = False
            while depth > 0 and not extended:
                if entry[depth] == end[depth]:
                    depth -= 1
                    continue
                e = entry[depth]
                entry[depth] += 1
                y = idx[e]
                x = weight[depth - 1] * val[e] * vectors[depth, y]
                extended = True
                for f in range(factors):
                    if late[f] == depth and f != leads[depth]:
                        if stamp[f, y] != current[f]:
                            extended = False
                            break
                        x *= looked[f, y]
                place[depth], weight[depth] = y, x
            if not extended:
                break
        for e in range(first, size):
            data[e] = row[indices[e]]
            row[indices[e]] = 0.0
        indptr[i + 1] = size
    if out == 0:
        vector = np.zeros(n)
        for e in range(size):
            vector[indices[e]] = data[e]
        return True, indptr, indices, vector
    return True, indptr, indices[:size].copy(), data[:size].copy()


@_jit
def _longer(indices: Any, data: Any, size: int) -> Any:
    wider, longer = np.empty(size, np.int32), np.empty(size)
    wider[: indices.size], longer[: data.size] = indices, data
    return wider, longer
