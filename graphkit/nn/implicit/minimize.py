"""Minimisers of strongly convex functions, from gradients and products with the Hessian."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Solver = Literal["newton", "lbfgs", "descent"]
_UNSEEN = 4  # steps of conjugate gradients before the host first looks at a device; from then on as many as before


class Convex(ABC):
    """A strongly convex, twice differentiable function of a state, with all that it depends on besides."""

    @abstractmethod
    def value(self, h: Tensor) -> Tensor:
        """The value, a single number."""

    @abstractmethod
    def gradient(self, h: Tensor) -> Tensor:
        """The gradient, like ``h``; differentiable by what the function depends on."""

    @abstractmethod
    def hessian(self, h: Tensor) -> Callable[[Tensor], Tensor]:
        """The product with the Hessian at ``h``."""

    @abstractmethod
    def curvature(self) -> float:
        """No eigenvalue of any Hessian is larger."""


@dataclass(frozen=True)
class Minimum:
    """Where a function is smallest.

    Attributes:
        state: The minimiser.
        residual: The largest entry of the gradient that is left, relative to that at zero.
        iterations: The steps that were taken.
    """

    state: Tensor
    residual: float
    iterations: int


@torch.no_grad()
def minimize(
    energy: Convex, start: Tensor, solver: Solver = "newton", tol: float | None = None, max_iterations: int = 10_000
) -> Minimum:
    """The minimiser of a strongly convex function; see :class:`~graphkit.nn.GraphEnergy` for the arguments.

    Raises:
        RuntimeError: If the gradient does not become small.
    """
    eps = torch.finfo(start.dtype).eps
    if tol is None:  # line searches by values cannot see steps below the root of the precision
        tol = eps ** (1 / 2 if solver == "lbfgs" else 2 / 3)
    tol = max(tol, 64 * eps)
    largest = _inf_norm(energy.gradient(torch.zeros_like(start)))
    if largest == 0 or start.numel() == 0:
        return Minimum(torch.zeros_like(start), 0.0, 0)
    run = {"newton": _newton, "lbfgs": _lbfgs, "descent": _descent}[solver]
    h, left, iterations = run(energy, start, tol * largest, max_iterations)
    residual = left / largest
    if not residual <= tol:
        raise RuntimeError(
            f"the minimiser of the energy was not found: solver={solver!r} left {residual:.2g} of the gradient after "
            f"{iterations} iterations, must be at most tol={tol:.2g}, or gradients of weights would be wrong; use "
            "solver='newton', a larger tau, tol or max_iterations, or smaller weights"
        )
    return Minimum(h, residual, iterations)


def conjugate_gradients(product: Callable[[Tensor], Tensor], b: Tensor, tol: float) -> Tensor:
    r"""The solution of :math:`A x = b`, with :math:`A` symmetric and positive definite.

    Args:
        product: Multiplies with :math:`A`.
        b: The right-hand side, of any shape.
        tol: Largest residual relative to ``b``; where rounding allows no smaller one, that is the end, too. A device is
            asked for it when steps have doubled, and those that are too many change nothing.
    """
    steps = _conjugate_steps(product, b, tol)
    return next(x for x, unfinished in steps if not unfinished)


def _conjugate_steps(
    product: Callable[[Tensor], Tensor], b: Tensor, tol: float
) -> Iterator[tuple[Tensor, Tensor | bool]]:
    """The solution; from a device what there is whenever the host looks, and whether that is not yet the solution."""
    x, residual = torch.zeros_like(b), b.clone()
    direction, square = residual.clone(), residual.square().sum()
    enough = tol**2 * square
    on_cpu, look = b.device.type == "cpu", _UNSEEN
    for i in range(10 * b.numel()):
        if on_cpu and not square > enough:
            break
        if not on_cpu and i == look:
            yield x, square > enough
            look *= 2
        image = product(direction)
        step = square / (direction * image).sum()
        new, left = x + step * direction, residual - step * image
        if not on_cpu:
            new, left = new.where(square > enough, x), left.where(square > enough, residual)
        x, residual = new, left
        before, square = square, residual.square().sum()
        direction = residual + square / before * direction
    yield x, False


def _newton(energy: Convex, h: Tensor, enough: float, max_iterations: int) -> tuple[Tensor, float, int]:
    """Inexact Newton steps, halved until the gradient shrinks, which needs no value of the function.

    Whether the linear system is solved is read with how well its solution does, so that a step that is tried is a wait.
    """
    gradient = energy.gradient(h)
    left, size, _ = _norms(gradient)
    for iteration in range(max_iterations):
        if left <= enough:
            return h, left, iteration
        for step, unfinished in _conjugate_steps(energy.hessian(h), gradient, min(0.1, size**0.5)):
            new = h - step
            there = energy.gradient(new)
            largest, shrunk, unsolved = _norms(there, unfinished)
            if not unsolved:
                break
        share = 1.0
        while not shrunk <= (1 - 1e-4 * share) * size:
            share /= 2
            if share <= 1e-6:  # rounding leaves no better state
                return h, left, iteration
            new = h - share * step
            there = energy.gradient(new)
            largest, shrunk, _ = _norms(there)
        h, gradient, left, size = new, there, largest, shrunk
    return h, left, max_iterations


def _norms(x: Tensor, told: Tensor | bool = False) -> tuple[float, float, bool]:
    """The largest entry, the Euclidean norm, and what else is to be told, for which the host waits once."""
    norms = [x.abs().amax(), x.norm()]
    if isinstance(told, bool):
        return *torch.stack(norms).tolist(), told
    largest, size, also = torch.stack([*norms, told.to(x.dtype)]).tolist()
    return largest, size, bool(also)


def _lbfgs(energy: Convex, h: Tensor, enough: float, max_iterations: int) -> tuple[Tensor, float, int]:
    h = h.clone()
    optimizer = torch.optim.LBFGS(
        [h],
        max_iter=max_iterations,
        max_eval=10 * max_iterations,
        tolerance_grad=enough,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> float:
        with torch.no_grad():
            h.grad = energy.gradient(h)
            return float(energy.value(h))

    optimizer.step(closure)
    return h, _inf_norm(energy.gradient(h)), int(optimizer.state[h]["n_iter"])


def _descent(energy: Convex, h: Tensor, enough: float, max_iterations: int) -> tuple[Tensor, float, int]:
    """Steps along the gradient, of a length that is safe everywhere."""
    step, iteration = 1 / energy.curvature(), 0
    gradient = energy.gradient(h)
    left = _inf_norm(gradient)
    while left > enough and iteration < max_iterations:
        h, iteration = h - step * gradient, iteration + 1
        gradient = energy.gradient(h)
        left = _inf_norm(gradient)
    return h, left, iteration


def _inf_norm(x: Tensor) -> float:
    return float(x.abs().amax()) if x.numel() else 0.0
