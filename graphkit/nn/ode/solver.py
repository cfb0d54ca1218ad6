"""The solver that layers and models hold: a method by name, and how exact it is to be."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import Tensor

from graphkit.core.config import Configurable
from graphkit.core.constraints import Count, OneOf, Positive
from graphkit.nn.ode.dormand_prince import dormand_prince
from graphkit.nn.ode.equation import ODE, State
from graphkit.nn.ode.exact import solve_exactly
from graphkit.nn.ode.grid import STEPS, integrate_on_grid
from graphkit.nn.ode.numerical import ADAPTIVE, FIXED_STEP, OnStep, WatchedODE, integrate

METHODS = ("exact", *FIXED_STEP, *ADAPTIVE)
Method = Annotated[str, OneOf(METHODS)]
AdjointMethod = Annotated[str, OneOf((*FIXED_STEP, *ADAPTIVE))]


class ODESolver(Configurable):
    r"""Integrates :math:`\dot z = f(t, z)` from one time to another, with gradients.

    Chen, Rubanova, Bettencourt, Duvenaud: `"Neural Ordinary Differential Equations"
    <https://arxiv.org/abs/1806.07366>`_, NeurIPS 2018; all methods but ``"exact"`` are those of ``torchdiffeq``,
    ``"dopri5"`` with the same steps and gradients in less time.

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
        method: Method = "dopri5",
        step_size: Positive = 1.0,
        atol: Positive = 1e-7,
        rtol: Positive = 1e-9,
        max_evaluations: Count | None = 1000,
        adjoint: AdjointMethod | None = None,
        adjoint_atol: Positive | None = None,
        adjoint_rtol: Positive | None = None,
    ) -> None:
        if adjoint is not None and method == "exact":
            raise ValueError("ODESolver: the method 'exact' has exact gradients already; use adjoint=None with it")
        self.method, self.step_size, self.atol, self.rtol = method, step_size, atol, rtol
        self.max_evaluations = max_evaluations
        self.adjoint, self.adjoint_atol, self.adjoint_rtol = adjoint, adjoint_atol, adjoint_rtol
        self.evaluations = 0

    def __call__(self, ode: ODE, z: State, start: float, end: float, on_step: OnStep | None = None) -> Any:
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
            self.evaluations = 0
            return solve_exactly(ode, z, end - start)
        watched = WatchedODE(ode, self.method, self.max_evaluations, on_step)
        try:
            if self.adjoint is None and self.method == "dopri5" and isinstance(z, Tensor):
                return dormand_prince(watched, z, start, end, self.atol, self.rtol)
            if self.adjoint is None and self.method in STEPS and start < end:
                return integrate_on_grid(watched, z, start, end, self.step_size)
            return integrate(watched, z, start, end, self._of_torchdiffeq(ode))
        finally:
            self.evaluations = watched.count

    def _of_torchdiffeq(self, ode: ODE) -> dict[str, Any]:
        """The arguments of its ``odeint``."""
        arguments = {"method": self.method, "options": self._options(self.method), "atol": self.atol, "rtol": self.rtol}
        if self.adjoint is not None and torch.is_grad_enabled():
            arguments |= {
                "adjoint_method": self.adjoint,
                "adjoint_options": self._options(self.adjoint),
                "adjoint_atol": self.adjoint_atol or self.atol,
                "adjoint_rtol": self.adjoint_rtol or self.rtol,
                "adjoint_params": tuple(tensor for tensor in ode.tensors() if tensor.requires_grad),
            }
        return arguments

    def _options(self, method: str) -> dict[str, Any]:
        return {"step_size": self.step_size} if method in FIXED_STEP else {}
