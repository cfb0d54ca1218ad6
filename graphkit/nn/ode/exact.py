"""The closed form of a linear equation, by the equation's own method."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from graphkit.nn.ode.equation import State, has_exploded


def solve_exactly(ode: Any, z: State, duration: float) -> Tensor:
    """The state ``ode.exact(z, duration)``.

    Raises:
        ValueError: If the equation has no closed form.
        RuntimeError: If (on the CPU) the result is not finite.
    """
    closed_form = getattr(ode, "exact", None)
    if closed_form is None or not isinstance(z, Tensor):
        raise ValueError(
            "the ODE solver 'exact' needs a linear equation with a closed form; use 'dopri5' or 'rk4' for "
            f"{type(ode).__name__}"
        )
    out = closed_form(z, duration)
    if has_exploded(out):
        raise RuntimeError("ODE solver 'exact': the result is not finite; check the input and the weights")
    return out
