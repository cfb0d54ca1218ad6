"""Attention over the edges of a graph on the CPU, compiled by numba: no tensor with a row per edge is made.

Arrays are flat, widths are multiples of eight, and an empty array is one that is not there. Every pass writes rows of
its own only, so that results do not depend on the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numba
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from graphkit.ops.kernels import by_rows
from graphkit.ops.lanes import WIDTH, bend, exp, load, part_of_kernel, prefetch, spread, store, total

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


@part_of_kernel
def _score(call: Any, parts: Any, t: int, s: int, e: int, out: Any, i: int) -> None:
    """Write an entry's scores to ``out[i:i + heads]``; its rows of the parts start at t, s and e."""
    form, _, slope, heads, width, _ = call
    target, source, edge, weight = parts
    zero = out.dtype.type(0)
    for head in range(heads):
        if form == ADDITIVE:
            z = edge[e + head] if edge.size else zero
            if target.size:
                z += target[t + head] + source[s + head]
            out[i + head] = z if z > zero else slope * z
        else:
            sums = spread(zero)
            for block in range(head * width, (head + 1) * width, WIDTH):
                lanes = load(source, s + block)
                if edge.size:
                    lanes = lanes + load(edge, e + block)
                if form == DOT:
                    sums = sums + load(target, t + block) * lanes
                else:
                    z = load(target, t + block) + lanes
                    sums = sums + load(weight, block) * bend(z, z, slope)
            out[i + head] = slope * total(sums) if form == DOT else total(sums)


@part_of_kernel
def _score_backward(by_row: bool, call: Any, parts: Any, t: int, s: int, e: int, grad: Any, i: int, of: Any) -> None:
    """Add what the scores' gradients ``grad[i:i + heads]`` give to the target (or source), the edge and the weight."""
    form, _, slope, heads, width, _ = call
    target, source, edge, weight = parts
    of_node, of_edge, of_weight = of
    zero, n = grad.dtype.type(0), t if by_row else s
    for head in range(heads):
        if form == ADDITIVE:
            z = edge[e + head] if edge.size else zero
            if target.size:
                z += target[t + head] + source[s + head]
            g = grad[i + head] if z > zero else slope * grad[i + head]
            if of_node.size:
                of_node[n + head] += g
            if of_edge.size:
                of_edge[e + head] = g
        else:
            scale = spread(slope * grad[i + head] if form == DOT else grad[i + head])
            for block in range(head * width, (head + 1) * width, WIDTH):
                at_target, other = load(target, t + block), load(source, s + block)
                if edge.size:
                    other = other + load(edge, e + block)
                if form == DOT:
                    of_other = scale * at_target
                    of_this = scale * other if by_row else of_other
                else:
                    z = at_target + other
                    of_this = of_other = bend(z, scale * load(weight, block), slope)
                    if of_weight.size:
                        store(of_weight, n + block, load(of_weight, n + block) + scale * bend(z, z, slope))
                store(of_node, n + block, load(of_node, n + block) + of_this)
                if of_edge.size:
                    store(of_edge, e + block, of_other)


@part_of_kernel
def _positive(norm: int, scores: Any, size: int) -> None:
    """The function of scores that a normalisation divides by its sum, in place."""
    half, four = scores.dtype.type(0.5), scores.dtype.type(4)
    if norm == SOFTMAX:
        for i in range(size):
            scores[i] = exp(scores[i])
    elif norm == SQUAREPLUS:
        for i in range(size):
            scores[i] = half * (scores[i] + math.sqrt(scores[i] * scores[i] + four))


@part_of_kernel
def _dot(a: Any, i: int, b: Any, j: int, width: int) -> Any:
    sums = spread(a.dtype.type(0))
    for block in range(0, width, WIDTH):
        sums = sums + load(a, i + block) * load(b, j + block)
    return total(sums)


@part_of_kernel
def _add(out: Any, i: int, factor: Any, x: Any, j: int, width: int) -> None:
    for block in range(0, width, WIDTH):
        store(out, i + block, load(out, i + block) + spread(factor) * load(x, j + block))


@part_of_kernel
def _statistics(call: Any, count: int, scores: Any, stats: Any, q: int) -> None:
    """Turn the scores of a row into numbers whose shares are the weights; keep the largest and one over the sum."""
    _, norm, _, heads, _, _ = call
    zero, one = scores.dtype.type(0), scores.dtype.type(1)
    for head in range(heads):
        stats[q + head], stats[q + heads + head] = zero, one
    if norm == SOFTMAX and count:
        for head in range(heads):
            top = scores[head]
            for i in range(head, count * heads, heads):
                top = max(top, scores[i])
            stats[q + head] = top if top != -np.inf else zero
        for i in range(0, count * heads, heads):
            for head in range(heads):
                scores[i + head] -= stats[q + head]
    _positive(norm, scores, count * heads)
    if norm != NONE:
        for head in range(heads):
            amount = scores.dtype.type(EPS)
            for i in range(head, count * heads, heads):
                amount += scores[i]
            stats[q + heads + head] = one / amount


@_jit
def _attend(
    start: int, stop: int, ptr: Any, col: Any, call: Any, parts: Any, values: Any, stats: Any, weights: Any, out: Any
) -> None:
    _, _, _, heads, width, channels = call
    value, edge_value, keep = values
    source, wide, broad = parts[1], heads * width, heads * channels
    scores = np.empty(_longest(start, stop, ptr) * heads, stats.dtype)
    for row in range(start, stop):
        first, count = ptr[row], ptr[row + 1] - ptr[row]
        for k in range(count):
            e = first + k
            _bring(source, wide, col, e)
            _bring(value, broad, col, e)
            _score(call, parts, row * wide, col[e] * wide, e * wide, scores, k * heads)
        q = row * 3 * heads
        _statistics(call, count, scores, stats, q)
        for k in range(count):
            e = (first + k) * heads
            for head in range(heads):
                weight = scores[k * heads + head] * stats[q + heads + head]
                if weights.size:
                    weights[e + head] = weight
                if keep.size:
                    weight *= keep[e + head]
                if value.size:
                    o, v = row * broad + head * channels, col[first + k] * broad + head * channels
                    _add(out, o, weight, value, v, channels)
                    if edge_value.size:
                        _add(out, o, weight, edge_value, (e + head) * channels, channels)


@part_of_kernel
def _weight_gradient(channels: int, values: Any, grads: Any, o: int, v: int, k: int) -> Any:
    """The gradient of the ``k``-th weight, whose rows of the output and of values start at ``o`` and ``v``."""
    value, edge_value, keep = values
    grad, of_weights = grads
    out = of_weights[k] if of_weights.size else _dot(grad, o, value, v, channels)
    if edge_value.size:
        out += _dot(grad, o, edge_value, k * channels, channels)
    if keep.size:
        out *= keep[k]
    return out


@part_of_kernel
def _score_gradient(norm: int, positive: Any, share: Any, of_weight: Any, mean: Any, one: Any) -> Any:
    """The gradient of a score, from that of its weight and their mean over the row."""
    if norm == NONE:
        return of_weight
    out = positive * share * (of_weight - mean)
    return out * positive / (positive * positive + one) if norm == SQUAREPLUS else out


@_jit
def _rows_backward(
    start: int, stop: int, ptr: Any, col: Any, call: Any, parts: Any, values: Any, stats: Any, grads: Any, of: Any
) -> None:
    """The gradients of targets, edges, weights of scores and values of edges."""
    _, norm, _, heads, width, channels = call
    of_parts, of_edge_value, keep = of[:3], of[3], values[2]
    wide, broad, one = heads * width, heads * channels, stats.dtype.type(1)
    positive = np.empty(_longest(start, stop, ptr) * heads, stats.dtype)
    of_scores = np.empty_like(positive)
    for row in range(start, stop):
        first, count, t = ptr[row], ptr[row + 1] - ptr[row], row * wide
        top, share, mean = row * 3 * heads, (row * 3 + 1) * heads, (row * 3 + 2) * heads
        for k in range(count):
            e, i = first + k, k * heads
            _bring(parts[1], wide, col, e)
            _bring(values[0], broad, col, e)
            _score(call, parts, t, col[e] * wide, e * wide, positive, i)
            for head in range(heads):
                positive[i + head] -= stats[top + head]
        _positive(norm, positive, count * heads)
        for head in range(heads):
            stats[mean + head] = 0
        for k in range(count):
            e, i = (first + k) * heads, k * heads
            for head in range(heads):
                o, v = row * broad + head * channels, col[first + k] * broad + head * channels
                of_scores[i + head] = _weight_gradient(channels, values, grads, o, v, e + head)
                weight = positive[i + head] * stats[share + head]
                stats[mean + head] += weight * of_scores[i + head]
                if of_edge_value.size:
                    if keep.size:
                        weight *= keep[e + head]
                    _add(of_edge_value, (e + head) * channels, weight, grads[0], o, channels)
        for k in range(count):
            e, i = first + k, k * heads
            for head in range(heads):
                of_scores[i + head] = _score_gradient(
                    norm, positive[i + head], stats[share + head], of_scores[i + head], stats[mean + head], one
                )
            _score_backward(True, call, parts, t, col[e] * wide, e * wide, of_scores, i, of_parts)


@_jit
def _columns_backward(
    start: int,
    stop: int,
    ptr: Any,
    row: Any,
    position: Any,
    call: Any,
    parts: Any,
    values: Any,
    stats: Any,
    grads: Any,
    of: Any,
) -> None:
    """The gradients of sources and values."""
    _, norm, _, heads, width, channels = call
    (grad, _), (of_source, of_value), keep = grads, of, values[2]
    wide, broad, one = heads * width, heads * channels, stats.dtype.type(1)
    positive = np.empty(_longest(start, stop, ptr) * heads, stats.dtype)
    of_scores, nothing = np.empty(heads, stats.dtype), np.empty(0, stats.dtype)
    of_parts = (of_source, nothing, nothing)
    for column in range(start, stop):
        first, count, s = ptr[column], ptr[column + 1] - ptr[column], column * wide
        for k in range(count):
            r, e, i = row[first + k], position[first + k], k * heads
            _bring(parts[0], wide, row, first + k)
            _bring(grad, broad, row, first + k)
            _bring(stats, 3 * heads, row, first + k)
            _score(call, parts, r * wide, s, e * wide, positive, i)
            for head in range(heads):
                positive[i + head] -= stats[r * 3 * heads + head]
        _positive(norm, positive, count * heads)
        for k in range(count):
            r, e, i = row[first + k], position[first + k], k * heads
            share, mean = (r * 3 + 1) * heads, (r * 3 + 2) * heads
            for head in range(heads):
                o, v = r * broad + head * channels, column * broad + head * channels
                of_weight = _weight_gradient(channels, values, grads, o, v, e * heads + head)
                weight = positive[i + head] * stats[share + head]
                of_scores[head] = _score_gradient(
                    norm, positive[i + head], stats[share + head], of_weight, stats[mean + head], one
                )
                if keep.size:
                    weight *= keep[e * heads + head]
                if of_value.size:
                    _add(of_value, v, weight, grad, o, channels)
            _score_backward(False, call, parts, r * wide, s, e * wide, of_scores, 0, of_parts)


class Call(NamedTuple):
    """How attention is computed.

    Attributes:
        form: The form of the scores.
        norm: How they are normalised.
        slope: The factor of negative scores, or of all where they are dot products.
        heads: The number of heads.
        width: The channels of a head's part of the scores.
        channels: The channels of a head's part of the values; without values 0.
    """

    form: int
    norm: int
    slope: float
    heads: int
    width: int
    channels: int


class _Arguments:
    """What all kernels take: numbers, and flat arrays whose rows are padded to whole vectors."""

    def __init__(self, call: Call, inputs: Sequence[Tensor | None]) -> None:
        self.like = next(tensor for tensor in inputs if tensor is not None).detach()
        self.width = 1 if call.form == ADDITIVE else -(-call.width // WIDTH) * WIDTH
        self.channels = -(-call.channels // WIDTH) * WIDTH
        slope = self.like.numpy().dtype.type(call.slope)
        self.call = (call.form, call.norm, slope, call.heads, self.width, self.channels)
        self.parts = tuple(self.flat(part, self.width) for part in inputs[:4])
        self.values = (*(self.flat(value, self.channels) for value in inputs[4:6]), self.flat(inputs[6], 1))

    def flat(self, tensor: Tensor | None, width: int) -> np.ndarray:
        """The array of a tensor, whose last axis becomes ``width`` long."""
        if tensor is None:
            return self.like.new_empty(0).numpy()
        padded = tensor if width in (1, tensor.size(-1)) else F.pad(tensor, (0, width - tensor.size(-1)))
        return padded.detach().contiguous().view(-1).numpy()


def attend(rowptr: Tensor, col: Tensor, call: Call, inputs: Sequence[Tensor | None]) -> tuple[Tensor, Tensor]:
    """The weighted sums of values, or the weights where there are no values, and what the backward pass wants to know.

    ``inputs`` are target, source, edge and weight of the scores, values, those of edges, and what dropout keeps.
    """
    given, size = _Arguments(call, inputs), rowptr.numel() - 1
    stats = given.like.new_empty(size, 3, call.heads)
    out = given.like.new_zeros(size, call.heads, given.channels)
    weights = given.like.new_empty(0 if call.channels else col.numel(), call.heads)
    results = (tensor.view(-1) for tensor in (stats, weights, out))
    by_rows(_attend, rowptr, col, given.call, given.parts, given.values, *results)
    if not call.channels:
        return weights, stats
    return (
        out
        if call.channels == given.channels
        else out[..., : call.channels].clone(memory_format=torch.contiguous_format)
    ), stats


def attend_backward(
    rows: tuple[Tensor, Tensor],
    columns: tuple[Tensor, Tensor, Tensor],
    call: Call,
    inputs: Sequence[Tensor | None],
    stats: Tensor,
    grad: Tensor,
) -> list[Tensor | None]:
    """The gradients of all inputs but the last.

    ``rows`` is ``(rowptr, col)``, ``columns`` is ``(colptr, row, position)``, with each entry's position in row order.
    """
    given = _Arguments(call, inputs)
    grads = given.flat(grad if call.channels else None, given.channels), given.flat(None if call.channels else grad, 1)
    of = [np.zeros_like(array) for array in (*given.parts, *given.values[:2])]
    target, source, edge, weight, value, edge_value = of
    of_weight = np.zeros_like(target if weight.size else weight)
    shared = given.call, given.parts, given.values, stats.view(-1), grads
    by_rows(_rows_backward, *rows, *shared, (target, edge, of_weight, edge_value))
    by_rows(_columns_backward, *columns, *shared, (source, value))
    if weight.size:  # row by row, in double precision, whatever the number of threads
        of[3] = of_weight.reshape(-1, weight.size).sum(0, dtype=np.float64).astype(weight.dtype)
    return [None if x is None else _shaped(array, x) for array, x in zip(of, inputs, strict=False)]


def _shaped(array: np.ndarray, like: Tensor) -> Tensor:
    """A flat array of padded rows as a tensor."""
    if array.size == 0:
        return torch.zeros_like(like)
    shape = like.shape
    return torch.from_numpy(array).view(*shape[:-1], array.size // shape[:-1].numel())[..., : shape[-1]]
