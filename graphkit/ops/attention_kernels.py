"""Attention over the edges of a graph on the CPU, compiled by numba: no tensor with a row per edge is made.

Arrays are flat, and an empty array is one that is not there. Every pass writes rows of
its own only, so that results do not depend on the number of threads.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from graphkit.ops import lanes
from graphkit.ops.lanes import (
    WIDTH,
    add_to,
    bend,
    dots,
    exp,
    load,
    number,
    part_of_kernel,
    prefetch,
    spread,
    store,
)

ADDITIVE, DYNAMIC, DOT = range(3)  # forms of scores
NONE, SOFTMAX, SQUAREPLUS = range(3)  # normalisations
EPS = 1e-16  # of the sum in squareplus
_AHEAD = 16  # entries between a prefetch and its use: enough to hide the memory's latency
_LINE = 64  # bytes
_jit = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})


@part_of_kernel
def _longest(start: int, stop: int, ptr: Any) -> int:
    longest = 0
    for row in range(start, stop):
        longest = max(longest, ptr[row + 1] - ptr[row])
    return longest


@part_of_kernel
def _bring(array: Any, width: int, ids: Any, entry: int) -> None:
    """Prefetch the row of the entry some entries ahead."""
    if array.size and entry + _AHEAD < ids.size:
        row = ids[entry + _AHEAD] * width
        for i in range(row, row + width, _LINE // array.itemsize):
            prefetch(array, i)


# What kernels are called with:
# call = (form, norm, slope, heads, width, channels), the last two of each head's part of the scores and the values;
# parts = (target, source, edge, weight) of the scores; values = (value, edge_value, keep);
# stats: of each row and head the largest score, one over the sum, and the mean gradient of the weights.
# What there is one of per head takes eight heads at once.


@part_of_kernel
def _told(call: Any) -> Any:
    form, norm, slope, heads, width, channels = call
    return number(form), number(norm), slope, number(heads), number(width), number(channels)


@part_of_kernel
def _score_of_head(call: Any, parts: Any, t: int, s: int, e: int, head: int) -> Any:
    """A head's score, but for its factor, as lanes to add; rows of the parts start at t, s and e."""
    form, _, slope, _, width, _ = _told(call)
    target, source, edge, weight = parts
    sums = spread(source.dtype.type(0))
    for block in range(head * width, (head + 1) * width, WIDTH):
        n = (head + 1) * width - block
        other = load(source, s + block, n)
        if edge.size:
            other = other + load(edge, e + block, n)
        if form == DOT:
            sums = sums + load(target, t + block, n) * other
        else:
            z = load(target, t + block, n) + other
            sums = sums + load(weight, block, n) * bend(z, z, slope)
    return sums


@part_of_kernel
def _score(call: Any, parts: Any, t: int, s: int, e: int, pieces: Any, out: Any, i: int) -> None:
    """Write an entry's scores to ``out[i:i + heads]``; its rows of the parts start at t, s and e."""
    form, _, slope, heads, _, _ = _told(call)
    target, source, edge, _ = parts
    for head in range(0, heads, WIDTH):
        n = heads - head
        if form == ADDITIVE:
            z = load(edge, e + head, n) if edge.size else spread(out.dtype.type(0))
            if target.size:
                z = z + (load(target, t + head, n) + load(source, s + head, n))
            z = bend(z, z, slope)
        else:
            for lane in range(min(n, WIDTH)):
                store(pieces, lane * WIDTH, _score_of_head(call, parts, t, s, e, head + lane), WIDTH)
            z = lanes.added(pieces)
            if form == DOT:
                z = z * spread(slope)
        store(out, i + head, z, n)


@part_of_kernel
def _score_backward(by_row: bool, call: Any, parts: Any, t: int, s: int, e: int, grad: Any, i: int, of: Any) -> None:
    """Add what the scores' gradients ``grad[i:i + heads]`` give to the target (or source), the edge and the weight."""
    form, _, slope, heads, width, _ = _told(call)
    target, source, edge, weight = parts
    of_node, of_edge, of_weight = of
    node = t if by_row else s
    if form == ADDITIVE:
        for head in range(0, heads, WIDTH):
            n = heads - head
            z = load(edge, e + head, n) if edge.size else spread(grad.dtype.type(0))
            if target.size:
                z = z + (load(target, t + head, n) + load(source, s + head, n))
            of_score = bend(z, load(grad, i + head, n), slope)
            if of_node.size:
                store(of_node, node + head, load(of_node, node + head, n) + of_score, n)
            if of_edge.size:
                store(of_edge, e + head, of_score, n)
        return
    for head in range(heads):
        scale = spread(slope * grad[i + head] if form == DOT else grad[i + head])
        for block in range(head * width, (head + 1) * width, WIDTH):
            n = (head + 1) * width - block
            at_target, other = load(target, t + block, n), load(source, s + block, n)
            if edge.size:
                other = other + load(edge, e + block, n)
            if form == DOT:
                of_other = scale * at_target
                of_this = scale * other if by_row else of_other
            else:
                z = at_target + other
                of_this = of_other = bend(z, scale * load(weight, block, n), slope)
                if of_weight.size:
                    of_head = load(of_weight, node + block, n) + scale * bend(z, z, slope)
                    store(of_weight, node + block, of_head, n)
            store(of_node, node + block, load(of_node, node + block, n) + of_this, n)
            if of_edge.size:
                store(of_edge, e + block, of_other, n)


@part_of_kernel
def _positive(norm: int, scores: Any, start: int, stop: int) -> None:
    """The function of scores that a normalisation divides by its sum, in place."""
    half, four = scores.dtype.type(0.5), scores.dtype.type(4)
    if norm == SOFTMAX:
        for i in range(start, stop):
            scores[i] = exp(scores[i])
    elif norm == SQUAREPLUS:
        for i in range(start, stop):
            scores[i] = half * (scores[i] + math.sqrt(scores[i] * scores[i] + four))


@part_of_kernel
def _subtract(scores: Any, i: int, stats: Any, q: int, heads: int) -> None:
    for head in range(0, heads, WIDTH):
        n = heads - head
        store(scores, i + head, load(scores, i + head, n) - load(stats, q + head, n), n)


@part_of_kernel
def _weights(call: Any, start: int, stop: int, scores: Any, stats: Any, q: int) -> None:
    """Turn the scores of a row into weights; keep the largest and one over the sum of what they are shares of.

    The scores of its entries from ``start`` to ``stop`` stand together.
    """
    _, norm, _, heads, _, _ = _told(call)
    zero, one = scores.dtype.type(0), scores.dtype.type(1)
    for head in range(0, heads, WIDTH):
        n = heads - head
        top = spread(zero)
        if norm == SOFTMAX:
            top = spread(scores.dtype.type(-np.finfo(scores.dtype).max))
            for k in range(start, stop):
                top = lanes.larger(top, load(scores, k * heads + head, n))
        store(stats, q + head, top, n)
    if norm != NONE:
        for k in range(start, stop):
            _subtract(scores, k * heads, stats, q, heads)
        _positive(norm, scores, start * heads, stop * heads)
    for head in range(0, heads, WIDTH):
        n = heads - head
        share = spread(one)
        if norm != NONE:
            amount = spread(scores.dtype.type(EPS))
            for k in range(start, stop):
                amount = amount + load(scores, k * heads + head, n)
            share = share / amount
            for k in range(start, stop):
                store(scores, k * heads + head, load(scores, k * heads + head, n) * share, n)
        store(stats, q + heads + head, share, n)


@_jit
def attend(
    start: int, stop: int, ptr: Any, col: Any, call: Any, parts: Any, values: Any, stats: Any, weights: Any, out: Any
) -> None:
    """The weighted sums of values, or the weights where there are no values."""
    _, _, _, heads, width, channels = _told(call)
    value, edge_value, keep = values
    source, wide, broad = parts[1], heads * width, heads * channels
    scores, pieces = np.empty(_longest(start, stop, ptr) * heads, stats.dtype), np.zeros(WIDTH * WIDTH, stats.dtype)
    for row in range(start, stop):
        first, count = ptr[row], ptr[row + 1] - ptr[row]
        for k in range(count):
            e = first + k
            _bring(source, wide, col, e)
            _bring(value, broad, col, e)
            _score(call, parts, row * wide, col[e] * wide, e * wide, pieces, scores, k * heads)
        _weights(call, 0, count, scores, stats, row * 3 * heads)
        for i in range(count * heads):
            if weights.size:
                weights[first * heads + i] = scores[i]
            if keep.size:
                scores[i] *= keep[first * heads + i]
        for k in range(count if value.size else 0):
            i, e = k * heads, (first + k) * broad
            for head in range(heads):
                shift = head * channels
                add_to(out, row * broad + shift, scores[i + head], value, col[first + k] * broad + shift, channels)
                if edge_value.size:
                    add_to(out, row * broad + shift, scores[i + head], edge_value, e + shift, channels)


@_jit
def normalize(start: int, stop: int, ptr: Any, call: Any, scores: Any, stats: Any) -> None:
    """Turn the scores of all entries into weights, in place."""
    heads = number(call[3])
    for row in range(start, stop):
        _weights(call, ptr[row], ptr[row + 1], scores, stats, row * 3 * heads)


@part_of_kernel
def _weight_gradients(call: Any, values: Any, grads: Any, o: int, v: int, k: int, head: int, pieces: Any) -> Any:
    """The gradients of an entry's weights, of eight heads; rows of output, values and weights start at o, v and k."""
    _, _, _, heads, _, channels = _told(call)
    value, edge_value, keep = values
    grad, of_weights = grads
    n, shift = heads - head, head * channels
    if of_weights.size:
        out = load(of_weights, k + head, n)
    else:
        out = dots(grad, o + shift, value, v + shift, channels, n, pieces)
        if edge_value.size:
            out = out + dots(grad, o + shift, edge_value, k * channels + shift, channels, n, pieces)
    return out * load(keep, k + head, n) if keep.size else out


@part_of_kernel
def _score_gradient(norm: int, positive: Any, share: Any, of_weight: Any, mean: Any, one: Any) -> Any:
    """The gradient of a score, from that of its weight and their mean over the row."""
    if norm == NONE:
        return of_weight
    out = positive * share * (of_weight - mean)
    return out * positive / (positive * positive + spread(one)) if norm == SQUAREPLUS else out


@_jit
def normalize_backward(start: int, stop: int, ptr: Any, call: Any, weights: Any, stats: Any, grad: Any) -> None:
    """Turn the gradients of weights into those of scores, in place."""
    _, norm, slope, heads, _, _ = _told(call)
    one = stats.dtype.type(1)
    for row in range(start, stop):
        for head in range(0, heads, WIDTH):
            n, mean = heads - head, spread(stats.dtype.type(0))
            share = load(stats, (row * 3 + 1) * heads + head, n)
            for k in range(ptr[row], ptr[row + 1]):
                mean = mean + load(weights, k * heads + head, n) * load(grad, k * heads + head, n)
            for k in range(ptr[row], ptr[row + 1]):
                i = k * heads + head
                positive = load(weights, i, n) / share
                of_score = _score_gradient(norm, positive, share, load(grad, i, n), mean, one)
                store(grad, i, spread(slope) * of_score, n)


@_jit
def rows_backward(
    start: int, stop: int, ptr: Any, col: Any, call: Any, parts: Any, values: Any, stats: Any, grads: Any, of: Any
) -> None:
    """The gradients of targets, edges, weights of scores and values of edges."""
    _, norm, _, heads, width, channels = _told(call)
    of_parts, of_edge_value, keep = of[:3], of[3], values[2]
    wide, broad, one = heads * width, heads * channels, stats.dtype.type(1)
    positive, pieces = np.empty(_longest(start, stop, ptr) * heads, stats.dtype), np.zeros(WIDTH * WIDTH, stats.dtype)
    of_scores = np.empty_like(positive)
    for row in range(start, stop):
        first, count, t = ptr[row], ptr[row + 1] - ptr[row], row * wide
        top, share, mean = row * 3 * heads, (row * 3 + 1) * heads, (row * 3 + 2) * heads
        for k in range(count):
            e = first + k
            _bring(parts[1], wide, col, e)
            _bring(values[0], broad, col, e)
            _score(call, parts, t, col[e] * wide, e * wide, pieces, positive, k * heads)
            _subtract(positive, k * heads, stats, top, heads)
        _positive(norm, positive, 0, count * heads)
        for head in range(0, heads, WIDTH):
            n = heads - head
            factor, average = load(stats, share + head, n), spread(stats.dtype.type(0))
            for k in range(count):
                i, e = k * heads + head, (first + k) * heads
                of_weight = _weight_gradients(call, values, grads, row * broad, col[first + k] * broad, e, head, pieces)
                store(of_scores, i, of_weight, n)
                average = average + load(positive, i, n) * factor * of_weight
            store(stats, mean + head, average, n)
            for k in range(count):
                i = k * heads + head
                of_score = _score_gradient(norm, load(positive, i, n), factor, load(of_scores, i, n), average, one)
                store(of_scores, i, of_score, n)
        for k in range(count):
            e = first + k
            _score_backward(True, call, parts, t, col[e] * wide, e * wide, of_scores, k * heads, of_parts)
        for k in range(count if of_edge_value.size else 0):
            for head in range(heads):
                i, e, shift = k * heads + head, (first + k) * heads + head, head * channels
                weight = positive[i] * stats[share + head]
                if keep.size:
                    weight *= keep[e]
                add_to(of_edge_value, e * channels, weight, grads[0], row * broad + shift, channels)


@_jit
def columns_backward(
    start: int, stop: int, ptr: Any, entries: Any, call: Any, parts: Any, values: Any, stats: Any, grads: Any, of: Any
) -> None:
    """The gradients of sources and values; entries are those of columns, with their rows and positions in rows."""
    row, position = entries
    _, norm, _, heads, width, channels = _told(call)
    (grad, _), (of_source, of_value), keep = grads, of, values[2]
    wide, broad, one = heads * width, heads * channels, stats.dtype.type(1)
    positive, pieces = np.empty(_longest(start, stop, ptr) * heads, stats.dtype), np.zeros(WIDTH * WIDTH, stats.dtype)
    of_scores, weights, nothing = np.empty(heads, stats.dtype), np.empty(heads, stats.dtype), np.empty(0, stats.dtype)
    of_parts = (of_source, nothing, nothing)
    for column in range(start, stop):
        first, count, s, v = ptr[column], ptr[column + 1] - ptr[column], column * wide, column * broad
        for k in range(count):
            r, e, i = row[first + k], position[first + k], k * heads
            _bring(parts[0], wide, row, first + k)
            _bring(grad, broad, row, first + k)
            _bring(stats, 3 * heads, row, first + k)
            _score(call, parts, r * wide, s, e * wide, pieces, positive, i)
            _subtract(positive, i, stats, r * 3 * heads, heads)
        _positive(norm, positive, 0, count * heads)
        for k in range(count):
            r, e, o = row[first + k], position[first + k], row[first + k] * broad
            share, mean = (r * 3 + 1) * heads, (r * 3 + 2) * heads
            for head in range(0, heads, WIDTH):
                n = heads - head
                of_weight = _weight_gradients(call, values, grads, o, v, e * heads, head, pieces)
                part, factor = load(positive, k * heads + head, n), load(stats, share + head, n)
                of_score = _score_gradient(norm, part, factor, of_weight, load(stats, mean + head, n), one)
                store(of_scores, head, of_score, n)
                weight = part * factor
                if keep.size:
                    weight = weight * load(keep, e * heads + head, n)
                store(weights, head, weight, n)
            for head in range(heads if of_value.size else 0):
                add_to(of_value, v + head * channels, weights[head], grad, o + head * channels, channels)
            _score_backward(False, call, parts, r * wide, s, e * wide, of_scores, 0, of_parts)
