"""Iterations on a device whose end the host finds out without waiting for each of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

Parts = tuple[Tensor, ...]


class Looks:
    """When the host looks whether a device is through: after as many rounds as the last time, then 1, 2, 4, ... later.

    A round beyond the end changes nothing, so results do not depend on when the host looks.

    Attributes:
        rounds: How many were needed the last time.
    """

    def __init__(self) -> None:
        self.rounds = 4

    def follow(self, advance: Callable[[Parts], Parts], state: Parts) -> tuple[Parts, list[float]]:
        """Advance a state for as long as its first part is true.

        Returns:
            The last state, and those of its parts that are single numbers, read in one go: each look is one wait.
        """
        dtype = next(part.dtype for part in state if part.is_floating_point())
        needed = state[0].to(dtype) * 0
        look, later = self.rounds, 1
        for i in itertools.count():
            if i == look:
                numbers = [part.to(dtype) for part in (*state, needed) if part.dim() == 0]
                *told, rounds = torch.stack(numbers).tolist()
                if not told[0]:
                    self.rounds = int(rounds)
                    return state, told
                look, later = i + later, 2 * later
            going = state[0]
            needed = needed + going
            state = choose(going, advance(state), state)
        raise AssertionError("counting ends never")


def choose(condition: Tensor, new: Parts, old: Parts) -> Parts:
    """The new parts where a condition holds, which is a single truth value; else the old ones."""
    return tuple(one.where(condition, other) for one, other in zip(new, old, strict=True))
