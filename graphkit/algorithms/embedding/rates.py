"""The learning rate of word2vec."""

from __future__ import annotations

import numpy as np

_SLOWEST = 1e-4  # the least rate, of the first


def falling_rates(lr: float, first: int, count: int, total: int) -> np.ndarray:
    """The rates of ``count`` of ``total`` steps from number ``first`` on, which fall linearly to nearly 0."""
    return lr * np.maximum(1 - np.arange(first, first + count) / total, _SLOWEST)
