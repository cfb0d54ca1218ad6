"""Steps of stochastic gradient descent on embeddings, compiled by numba."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from graphkit.algorithms.kernels.alias import draw
from graphkit.algorithms.kernels.sampling import below, stream
from graphkit.algorithms.kernels.splitmix import uniform

# Sums may be reordered to use vector registers.
_jit = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})


@_jit
def initial(out: Any, seed: int) -> None:
    """Fill rows with numbers that are uniform in (-1/2, 1/2) / width, drawn row by row."""
    width = out.shape[1]
    for v in range(out.shape[0]):
        state = stream(seed, v)
        for channel in range(width):
            out[v, channel] = (uniform(state) - 0.5) / width


@_jit
def _pull(given: Any, target: Any, label: float, rate: float, change: Any, target_change: Any) -> None:
    """Add the step of one pair: towards each other if the label is 1, apart if it is 0."""
    score = given.dtype.type(0)
    for channel in range(given.size):
        score += given[channel] * target[channel]
    g = given.dtype.type((label - 1 / (1 + math.exp(-score))) * rate)
    for channel in range(given.size):
        change[channel] += g * target[channel]
        target_change[channel] += g * given[channel]


@_jit
def skip_gram(
    walks: Any,
    window: int,
    negatives: int,
    keep: Any,
    other: Any,
    embedding: Any,
    context: Any,
    rates: Any,
    seed: int,
    first: int,
) -> int:
    """Train on walks, one after another; returns the number of pairs.

    All nodes of a window share the negative samples of its centre (Ji et al. 2016), so that few rows are touched.
    """
    width = embedding.shape[1]
    target, change = np.zeros((negatives + 1, width), embedding.dtype), np.zeros(width, embedding.dtype)
    drawn = np.empty(negatives + 1, np.int64)
    pairs = 0
    for number in range(walks.shape[0]):
        walk, rate, state = walks[number], rates[number], stream(seed, first + number)
        length = 0
        while length < walk.size and walk[length] >= 0:
            length += 1
        for centre in range(length):
            radius = 1 + below(state, window)
            drawn[0] = walk[centre]
            for k in range(1, negatives + 1):
                drawn[k] = draw(state, 0, context.shape[0], keep, other)
            target[:] = 0
            for place in range(max(0, centre - radius), min(length, centre + radius + 1)):
                if place == centre:
                    continue
                given = embedding[walk[place]]
                change[:] = 0
                for k in range(negatives + 1):
                    if k == 0:
                        _pull(given, context[drawn[0]], 1.0, rate, change, target[0])
                    elif drawn[k] != drawn[0]:
                        _pull(given, context[drawn[k]], 0.0, rate, change, target[k])
                for channel in range(width):
                    given[channel] += change[channel]
                pairs += 1
            for k in range(negatives + 1):
                row, step = context[drawn[k]], target[k]
                for channel in range(width):
                    row[channel] += step[channel]
    return pairs


@_jit
def line(
    source: Any,
    target: Any,
    edge_keep: Any,
    edge_other: Any,
    node_keep: Any,
    node_other: Any,
    negatives: int,
    embedding: Any,
    context: Any,
    rates: Any,
    seed: int,
    first: int,
) -> None:
    """Train on one drawn edge per rate; ``context`` may be ``embedding`` itself."""
    change = np.zeros(embedding.shape[1], embedding.dtype)
    for number in range(rates.size):
        state = stream(seed, first + number)
        edge = draw(state, 0, source.size, edge_keep, edge_other)
        given = embedding[source[edge]]
        change[:] = 0
        for k in range(negatives + 1):
            v = target[edge] if k == 0 else draw(state, 0, context.shape[0], node_keep, node_other)
            row = context[v]
            _pull(given, row, 1.0 if k == 0 else 0.0, rates[number], change, row)
        for channel in range(change.size):
            given[channel] += change[channel]
