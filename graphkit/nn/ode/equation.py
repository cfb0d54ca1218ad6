"""The equations that solvers integrate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

State = Tensor | tuple[Tensor, ...]


class ODE(Protocol):
    """A right-hand side: called as ``ode(t, z)``, it returns :math:`dz/dt`."""

    def __call__(self, t: Tensor, z: Any, /) -> Any:
        """The derivative at time ``t`` in state ``z``."""

    def tensors(self) -> Sequence[Tensor]:
        """The tensors that the derivative depends on, besides the state; the adjoint gives gradients to these."""


def is_finite(state: State) -> bool:
    """Whether (the first part of) a state has neither NaN nor infinity."""
    first = state if isinstance(state, Tensor) else state[0]
    return math.isfinite(float(first.detach().sum()))  # one pass and no mask; a sum that overflows has exploded too


def has_exploded(state: State) -> bool:
    """Whether a processor sees NaN or infinity; a device would be asked, and there the trainer sees the loss."""
    first = state if isinstance(state, Tensor) else state[0]
    return first.device.type == "cpu" and not is_finite(first)
