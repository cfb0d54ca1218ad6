"""Integration of ordinary differential equations on node states."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from graphkit.core.config import Configurable
from graphkit.core.validate import check_choice

FIXED_STEP = ("euler", "midpoint", "heun3", "rk4", "explicit_adams", "implicit_adams")
ADAPTIVE = ("dopri5", "dopri8", "bosh3", "adaptive_heun")
METHODS = ("exact", *FIXED_STEP, *ADAPTIVE)

State = Tensor | tuple[Tensor, ...]


class ODE(Protocol):
    """A right-hand side: called as ``ode(t, z)``, it returns :math:`dz/dt`."""

    def __call__(self, t: Tensor, z: Any, /) -> Any:
        """The derivative at time ``t`` in state ``z``."""

    def tensors(self) -> Sequence[Tensor]:
        """The tensors that the derivative depends on, besides the state; the adjoint gives gradients to these."""


class ODESolver(Configurable):
    r"""Integrates :math:`\dot z = f(t, z)` from one time to another, with gradients.

    Chen, Rubanova, Bettencourt, Duvenaud: `"Neural Ordinary Differential Equations"
    <https://arxiv.org/abs/1806.07366>`_, NeurIPS 2018; all methods but ``"exact"`` are those of ``torchdiffeq``.

    Args:
        method: ``"exact"`` for a linear equation that knows its closed form; ``"euler"``, ``"midpoint"``, ``"heun3"``,
            ``"rk4"`` (the 3/8 rule), ``"explicit_adams"`` (unstable unless steps are tiny) or ``"implicit_adams"`` on a
            grid of steps; ``"dopri5"``, ``"dopri8"``, ``"bosh3"`` or ``"adaptive_heun"`` with steps chosen by their
            error (default: ``"dopri5"``).
        step_size: The step of the methods on a grid; the last one is shortened to end in time (default: 1.0).
        atol: Absolute error per step that adaptive methods allow (default: 1e-7).
        rtol: Error per step that they allow relative to the state (default: 1e-9).
        max_evaluations: How many evaluations of :math:`f` one integration may take, with the adjoint's those of its
            way back included; ``None`` for no limit (default: 1000).
        adjoint: The method that integrates the adjoint equation backwards instead of differentiating through the
            steps: constant memory, approximate gradients; ``None`` for exact gradients (default: ``None``).
        adjoint_atol: As ``atol``, on the way back (default: ``atol``).
        adjoint_rtol: As ``rtol``, on the way back (default: ``rtol``).

    Attributes:
        evaluations: How often the last integration evaluated :math:`f`.

    Raises:
        ValueError: If a name is unknown or a number not positive.

    Example:
        >>> class Decay:
        ...     def __call__(self, t, z):
        ...         return -z
        ...     def tensors(self):
        ...         return ()
        >>> z = ODESolver("rk4", step_size=0.1)(Decay(), torch.ones(1, 1), 0.0, 1.0)
        >>> round(float(z), 4)
        0.3679
    """

    def __init__(
        self,
        method: str = "dopri5",
        step_size: float = 1.0,
        atol: float = 1e-7,
        rtol: float = 1e-9,
        max_evaluations: int | None = 1000,
        adjoint: str | None = None,
        adjoint_atol: float | None = None,
        adjoint_rtol: float | None = None,
    ) -> None:
        self.method = check_choice(method, METHODS, "ODE solver")
        if adjoint is not None:
            check_choice(adjoint, (*FIXED_STEP, *ADAPTIVE), "solver of the adjoint equation")
            if method == "exact":
                raise ValueError("ODESolver: the method 'exact' has exact gradients already; use adjoint=None with it")
        self.step_size, self.atol, self.rtol = step_size, atol, rtol
        self.max_evaluations = max_evaluations
        self.adjoint, self.adjoint_atol, self.adjoint_rtol = adjoint, adjoint_atol, adjoint_rtol
        for name in ("step_size", "atol", "rtol", "max_evaluations", "adjoint_atol", "adjoint_rtol"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"ODESolver: {name}={value}, must be positive")
        self.evaluations = 0

    def __call__(
        self,
        ode: ODE,
        z: State,
        start: float,
        end: float,
        on_step: Callable[[float, Tensor], None] | None = None,
    ) -> Any:
        """The state at ``end`` for the state ``z`` at ``start``.

        Args:
            ode: The right-hand side. ``"exact"`` needs a method ``exact(z, duration)``.
            z: The first state, or several that are integrated together.
            start: The time to begin at.
            end: The time to stop at.
            on_step: Called with time and state at the beginning of every accepted step.

        Raises:
            RuntimeError: If the solver passes ``max_evaluations``, or meets NaN or infinity.
            ValueError: If ``"exact"`` is asked of an equation without closed form.
        """
        if self.method == "exact":
            return self._exact(ode, z, end - start)
        watched = _Watched(ode, self)
        if on_step is not None:
            watched.watch_steps(on_step, adaptive=self.method in ADAPTIVE)
        first = z if isinstance(z, Tensor) else z[0]
        times = torch.tensor([start, end], dtype=first.dtype, device=first.device)
        try:
            path = self._integrate(watched, z, times)
        except AssertionError as error:  # torchdiffeq's answer to a step that shrinks to nothing
            raise RuntimeError(
                f"ODE solver {self.method!r}: {str(error).splitlines()[0]}; the equation is too stiff for it: use "
                "looser tolerances, a method with fixed steps, or a shorter time"
            ) from error
        finally:
            self.evaluations = watched.count
        out = path[-1] if isinstance(path, Tensor) else tuple(part[-1] for part in path)
        watched.check(times[-1], out, "the state")
        return out

    def _integrate(self, watched: _Watched, z: State, times: Tensor) -> Any:
        import torchdiffeq

        arguments = {"method": self.method, "options": self._options(self.method), "atol": self.atol, "rtol": self.rtol}
        if self.adjoint is None or not torch.is_grad_enabled():
            return torchdiffeq.odeint(watched, z, times, **arguments)
        return torchdiffeq.odeint_adjoint(
            watched,
            z,
            times,
            **arguments,
            adjoint_method=self.adjoint,
            adjoint_options=self._options(self.adjoint),
            adjoint_atol=self.adjoint_atol or self.atol,
            adjoint_rtol=self.adjoint_rtol or self.rtol,
            adjoint_params=tuple(tensor for tensor in watched.ode.tensors() if tensor.requires_grad),
        )

    def _options(self, method: str) -> dict[str, Any]:
        return {"step_size": self.step_size} if method in FIXED_STEP else {}

    def _exact(self, ode: Any, z: State, duration: float) -> Tensor:
        closed_form = getattr(ode, "exact", None)
        if closed_form is None or not isinstance(z, Tensor):
            raise ValueError(
                "the ODE solver 'exact' needs a linear equation with a closed form; use 'dopri5' or 'rk4' for "
                f"{type(ode).__name__}"
            )
        self.evaluations = 0
        out = closed_form(z, duration)
        if not _is_finite(out):
            raise RuntimeError("ODE solver 'exact': the result is not finite; check the input and the weights")
        return out


class _Watched:
    """A right-hand side that counts its evaluations and stops at NaN."""

    def __init__(self, ode: ODE, solver: ODESolver) -> None:
        self.ode, self.count = ode, 0
        self.method, self.limit = solver.method, solver.max_evaluations

    def __call__(self, t: Tensor, z: State) -> State:
        if self.limit is not None and self.count >= self.limit:
            raise RuntimeError(
                f"ODE solver {self.method!r} needs more than max_evaluations={self.limit} evaluations (it is at time "
                f"{float(t.detach()):.6g}); use looser tolerances, larger steps or a shorter time, or raise the limit"
            )
        self.count += 1
        out = self.ode(t, z)
        self.check(t, out, "the derivative")
        return out

    def check(self, t: Tensor, value: State, what: str) -> None:
        if not _is_finite(value if isinstance(value, Tensor) else value[0]):
            raise RuntimeError(
                f"ODE solver {self.method!r}: {what} is NaN or infinite at time {float(t.detach()):.6g} (evaluation "
                f"{self.count}); check the input and the weights, or use smaller steps if the solution explodes"
            )

    def watch_steps(self, on_step: Callable[[float, Tensor], None], adaptive: bool) -> None:
        def callback(t: Tensor, z: Tensor, step: Tensor) -> None:
            on_step(float(t), z)

        setattr(self, "callback_accept_step" if adaptive else "callback_step", callback)


def _is_finite(value: Tensor) -> bool:
    return math.isfinite(float(value.detach().sum()))  # one pass and no mask; a sum that overflows has exploded too
