"""Hashed colour refinement, compiled by numba: one labelled copy of a graph at a time, so that memory stays small."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from graphkit.algorithms.kernels.splitmix import mix

_jit = numba.njit(nogil=True, cache=True, boundscheck=False)


@_jit
def _join(first: Any, second: Any) -> Any:
    """A hash of an ordered pair; of a multiset, the hash is the sum of its mixed elements."""
    return mix(np.uint64(3) * mix(first) + second)


@_jit
def hash_rows(words: Any) -> Any:
    """A hash for each row."""
    out = np.empty(words.shape[0], np.uint64)
    for i in range(words.shape[0]):
        code = np.uint64(words.shape[1])
        for j in range(words.shape[1]):
            code = _join(code, words[i, j])
        out[i] = code
    return out


@_jit
def _round_edges(colour: Any, new: Any, rowptr: Any, col: Any, kind: Any) -> None:
    for v in range(colour.size):
        total = np.uint64(0)
        for j in range(rowptr[v], rowptr[v + 1]):
            total += _join(kind[j], colour[col[j]])
        new[v] = _join(colour[v], total)


@_jit
def _round_tuples(colour: Any, new: Any, n: int, k: int, folklore: bool) -> None:
    for place in range(colour.size):
        if folklore:
            total = np.uint64(0)
            for w in range(n):
                code, step = np.uint64(0), colour.size
                for _ in range(k):
                    step //= n
                    code = _join(code, colour[place + (w - place // step % n) * step])
                total += mix(code)
            new[place] = _join(colour[place], total)
            continue
        code, step = colour[place], colour.size
        for _ in range(k):
            step //= n
            line, total = place - place // step % n * step, np.uint64(0)
            for w in range(n):
                total += mix(colour[line + w * step])
            code = _join(code, total)
        new[place] = code


@_jit
def _num_distinct(colour: Any) -> int:
    ordered = np.sort(colour)
    count = min(ordered.size, 1)
    for i in range(1, ordered.size):
        count += ordered[i] != ordered[i - 1]
    return count


@_jit
def hash_colours(
    rowptr: Any, col: Any, kind: Any, node: Any, relations: Any, k: int, folklore: bool, l: int, iterations: int  # noqa: E741
) -> Any:  # fmt: skip
    """Hashes of the nodes and of the graph, pooled over all labelled copies.

    Args:
        rowptr: Where each node's neighbours begin.
        col: The neighbours.
        kind: The hash of each of their edges.
        node: The hash of each node.
        relations: A word for each pair of nodes (read for ``k`` >= 2).
        k: The length of tuples.
        folklore: Whether all places of a tuple are replaced at once.
        l: The number of labels.
        iterations: The number of rounds; -1 goes on in each copy until it is stable.
    """
    n = node.size
    labelled, label = np.full(l, -1, np.int64), np.zeros(n, np.uint64)
    of_node, of_graph = np.zeros(n, np.uint64), np.uint64(0)
    colour, new = np.empty(n**k, np.uint64), np.empty(n**k, np.uint64)
    depth = 0
    while depth >= 0:
        if depth < l:  # the next unlabelled node gets the label depth + 1
            v = labelled[depth]
            if v >= 0:
                label[v] = 0
            v += 1
            while v < n and label[v] > 0:
                v += 1
            labelled[depth] = v
            if v == n:
                labelled[depth] = -1
                depth -= 1
            else:
                depth += 1
                label[v] = depth
            continue
        for place in range(colour.size):
            code, step = np.uint64(k), colour.size
            for _ in range(k):
                step //= n
                u = place // step % n
                code = _join(_join(code, node[u]), label[u])
                other = colour.size
                for _ in range(k if k > 1 else 0):
                    other //= n
                    code = _join(code, relations[u, place // other % n])
            colour[place] = code
        classes, rounds = 0, 0
        while rounds != iterations:
            if iterations < 0:
                distinct = _num_distinct(colour)
                if rounds > 0 and distinct == classes:
                    break
                classes = distinct
            if k == 1:
                _round_edges(colour, new, rowptr, col, kind)
            else:
                _round_tuples(colour, new, n, k, folklore)
            colour, new = new, colour
            rounds += 1
        total = np.uint64(0)
        for place in range(colour.size):
            code = mix(colour[place])
            total += code
            of_node[place // (colour.size // n)] += code
        of_graph += mix(total)
        depth -= 1
    for v in range(n):
        of_node[v] = mix(of_node[v])
    return of_node, _join(of_graph, np.uint64(n))
