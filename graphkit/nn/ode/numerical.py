"""The methods of ``torchdiffeq``: steps on a grid, or steps chosen by their error."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from graphkit.nn.ode.equation import ODE, State, is_finite

FIXED_STEP = ("euler", "midpoint", "heun3", "rk4", "explicit_adams", "implicit_adams")
ADAPTIVE = ("dopri5", "dopri8", "bosh3", "adaptive_heun")

OnStep = Callable[[float, Tensor], None]


class WatchedODE:
    """A right-hand side that counts its evaluations, stops at a limit and at NaN, and reports accepted steps."""

    def __init__(self, ode: ODE, method: str, limit: int | None, on_step: OnStep | None) -> None:
        self.ode, self.method, self.limit, self.count, self.on_step = ode, method, limit, 0, on_step
        self.defers = False  # whether derivatives are looked at with the next numbers that are read
        self._unread: list[tuple[Tensor, Tensor, int]] = []  # times, sums of derivatives, evaluations
        if on_step is not None:  # what torchdiffeq calls
            setattr(self, "callback_accept_step" if method in ADAPTIVE else "callback_step", self.accept)

    def accept(self, t: Tensor | float, z: Tensor, step: Tensor | None = None) -> None:
        """Report that a step begins at this time and state."""
        if self.on_step is not None:
            self.on_step(float(t), z)

    def __call__(self, t: Tensor, z: State) -> Any:
        if self.limit is not None and self.count >= self.limit:
            raise RuntimeError(
                f"ODE solver {self.method!r} needs more than max_evaluations={self.limit} evaluations (it is at time "
                f"{float(t.detach()):.6g}); use looser tolerances, larger steps or a shorter time, or raise the limit"
            )
        self.count += 1
        out = self.ode(t, z)
        if self.defers:
            self._unread.append((t, out.detach().sum(), self.count))
        elif self.sees(out):
            self.check(t, out, "the derivative")
        return out

    def read(self, *numbers: Tensor) -> list[float]:
        """Numbers for the host; with those of a device, whether the derivatives since the last ones were finite."""
        if not self.defers:
            return [float(number.detach()) for number in numbers]
        unread, self._unread = self._unread, []
        values = torch.stack(
            [each.detach().double() for each in (*numbers, *(total for _, total, _ in unread))]
        ).tolist()
        for (t, _, count), total in zip(unread, values[len(numbers) :], strict=True):
            if not math.isfinite(total):
                raise self._not_finite(t, "the derivative", count)
        return values[: len(numbers)]

    def sees(self, state: State) -> bool:
        """Whether values are looked at; on a grid a device would be asked each time, and the trainer sees the loss."""
        first = state if isinstance(state, Tensor) else state[0]
        return self.method in ADAPTIVE or first.device.type == "cpu"

    def check(self, t: Tensor, value: State, what: str) -> None:
        """Raise a ``RuntimeError`` at NaN or infinity."""
        if not is_finite(value):
            raise self._not_finite(t, what, self.count)

    def _not_finite(self, t: Tensor, what: str, count: int) -> RuntimeError:
        return RuntimeError(
            f"ODE solver {self.method!r}: {what} is NaN or infinite at time {float(t.detach()):.6g} (evaluation "
            f"{count}); check the input and the weights, or use smaller steps if the solution explodes"
        )


def too_stiff(method: str, why: str) -> RuntimeError:
    """What there is to say of steps that shrink to nothing."""
    return RuntimeError(
        f"ODE solver {method!r}: {why}; the equation is too stiff for it: use looser tolerances, a method with fixed "
        "steps, or a shorter time"
    )


def integrate(ode: WatchedODE, z: State, start: float, end: float, arguments: dict[str, Any]) -> State:
    """The state at ``end`` for the state ``z`` at ``start``; ``arguments`` are those of ``torchdiffeq.odeint``.

    Raises:
        RuntimeError: If steps shrink to nothing, evaluations pass their limit, or there is NaN or infinity.
    """
    import torchdiffeq

    first = z if isinstance(z, Tensor) else z[0]
    times = torch.linspace(start, end, 2, dtype=first.dtype, device=first.device)
    odeint = torchdiffeq.odeint_adjoint if "adjoint_method" in arguments else torchdiffeq.odeint
    try:
        path = odeint(ode, z, times, **arguments)
    except AssertionError as error:  # torchdiffeq's answer to a step that shrinks to nothing
        raise too_stiff(ode.method, str(error).splitlines()[0]) from error
    out = path[-1] if isinstance(path, Tensor) else tuple(part[-1] for part in path)
    ode.check(times[-1], out, "the state")
    return out
