"""The random numbers of compiled code, SplitMix64: the same wherever and by whomever they are drawn."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

_jit = numba.njit(nogil=True, cache=True)


@_jit
def mix(x: Any) -> Any:
    """A bijection of 64-bit words that looks random."""
    x = np.uint64(x) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@_jit
def word(state: Any, number: int = 0) -> Any:
    """The next 64 random bits of one of the states, which changes."""
    bits = mix(state[number])
    state[number] += np.uint64(0x9E3779B97F4A7C15)
    return bits


@_jit
def uniform(state: Any, number: int = 0) -> float:
    """The next number in [0, 1) of one of the states."""
    return np.float64(word(state, number) >> np.uint64(11)) * 2.0**-53
