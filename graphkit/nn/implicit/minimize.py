"""Minimisers of strongly convex functions, from gradients and products with the Hessian."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from graphkit.nn.implicit.looks import Looks, Parts, choose

Solver = Literal["newton", "lbfgs", "descent"]
_LOOSEST = 0.1  # how well a linear system is solved at least
_SHRINKING = 1e-4  # how much of what a step promises the gradient has to shrink
_SMALLEST = 1e-6  # share of a step
_STEPS = 4  # of conjugate gradients, before a device tries where they lead


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
    energy: Convex,
    start: Tensor,
    solver: Solver = "newton",
    tol: float | None = None,
    max_iterations: int = 10_000,
    looks: Looks | None = None,
) -> Minimum:
    """The minimiser of a strongly convex function; see :class:`~graphkit.nn.GraphEnergy` for the arguments.

    ``looks`` knows from the last search when a device may be through.

    Raises:
        RuntimeError: If the gradient does not become small.
    """
    eps = torch.finfo(start.dtype).eps
    if tol is None:  # line searches by values cannot see steps below the root of the precision
        tol = eps ** (1 / 2 if solver == "lbfgs" else 2 / 3)
    tol = max(tol, 64 * eps)
    zero = torch.zeros_like(start)
    if start.numel() == 0:
        return Minimum(zero, 0.0, 0)
    largest = energy.gradient(zero).abs().amax()
    if start.device.type != "cpu" and solver != "lbfgs":
        follow = {"newton": _newton_on_device, "descent": _descent_on_device}[solver]
        positive = largest.clamp(min=torch.finfo(start.dtype).tiny)
        start = start.where(largest > 0, zero)
        h, residual, iterations = follow(energy, start, positive, tol, max_iterations, looks or Looks())
    elif scale := float(largest):
        run = {"newton": _newton, "lbfgs": _lbfgs, "descent": _descent}[solver]
        h, left, iterations = run(energy, start, tol * scale, max_iterations)
        residual = left / scale
    else:
        h, residual, iterations = zero, 0.0, 0
    if not residual <= tol:
        raise RuntimeError(
            f"the minimiser of the energy was not found: solver={solver!r} left {residual:.2g} of the gradient after "
            f"{iterations} iterations, must be at most tol={tol:.2g}, or gradients of weights would be wrong; use "
            "solver='newton', a larger tau, tol or max_iterations, or smaller weights"
        )
    return Minimum(h, residual, iterations)


def conjugate_gradients(
    product: Callable[[Tensor], Tensor], b: Tensor, tol: float, looks: Looks | None = None
) -> Tensor:
    r"""The solution of :math:`A x = b`, with :math:`A` symmetric and positive definite.

    Args:
        product: Multiplies with :math:`A`.
        b: The right-hand side, of any shape.
        tol: Largest residual relative to ``b``; where rounding allows no smaller one, that is the end, too.
        looks: Knows from the last solution when a device may be through (default: nothing is known).
    """
    system, most = _system(b), 10 * b.numel()
    enough = tol**2 * system[-1]
    if b.device.type == "cpu":
        for _ in range(most):
            if not system[-1] > enough:
                break
            system = _conjugate(product, *system)
        return system[0]

    def advance(state: Parts) -> Parts:
        _, steps, *system = state
        new = _conjugate(product, *system)
        return (new[-1] > enough) & (steps + 1 < most), steps + 1, *new

    start = (system[-1] > enough, torch.zeros_like(enough), *system)
    return (looks or Looks()).follow(advance, start)[0][2]


def _system(b: Tensor) -> Parts:
    """Where conjugate gradients begin: the solution, what it leaves of ``b``, a direction, and a squared norm."""
    return torch.zeros_like(b), b.clone(), b.clone(), b.square().sum()


def _conjugate(
    product: Callable[[Tensor], Tensor], x: Tensor, residual: Tensor, direction: Tensor, before: Tensor
) -> Parts:
    image = product(direction)
    step = before / (direction * image).sum()
    x, residual = x + step * direction, residual - step * image
    square = residual.square().sum()
    return x, residual, residual + square / before * direction, square


def _newton(energy: Convex, h: Tensor, enough: float, max_iterations: int) -> tuple[Tensor, float, int]:
    """Inexact Newton steps, halved until the gradient shrinks, which needs no value of the function."""
    gradient = energy.gradient(h)
    left, size = torch.stack(_norms(gradient)).tolist()
    for iteration in range(max_iterations):
        if left <= enough:
            return h, left, iteration
        step = conjugate_gradients(energy.hessian(h), gradient, min(_LOOSEST, size**0.5))
        share = 1.0
        while True:
            new = h - share * step
            there = energy.gradient(new)
            largest, shrunk = torch.stack(_norms(there)).tolist()
            if shrunk <= (1 - _SHRINKING * share) * size:
                break
            share /= 2
            if share <= _SMALLEST:  # rounding leaves no better state
                return h, left, iteration
        h, gradient, left, size = new, there, largest, shrunk
    return h, left, max_iterations


def _newton_on_device(
    energy: Convex, h: Tensor, scale: Tensor, tol: float, max_iterations: int, looks: Looks
) -> tuple[Tensor, float, int]:
    """The same search; a round goes on with the linear system, and tries where this leads if it is solved by then."""

    def begin(h: Tensor, iteration: Tensor) -> Parts:
        gradient = energy.gradient(h)
        largest, size = _norms(gradient)
        share, steps = torch.ones_like(size), torch.zeros_like(size)
        return largest / scale, iteration, share, steps, size, h, gradient, *_system(gradient)

    def advance(state: Parts) -> Parts:
        _, residual, iteration, share, steps, size, h, gradient, *system = state
        product, most = energy.hessian(h), 10 * h.numel()
        enough = size.sqrt().clamp(max=_LOOSEST) ** 2 * gradient.square().sum()
        for _ in range(_STEPS):
            unsolved = (system[-1] > enough) & (steps < most)
            system = [*choose(unsolved, _conjugate(product, *system), (*system,))]
            steps = steps + unsolved
        unsolved = (system[-1] > enough) & (steps < most)
        tried = begin(h - share * system[0], iteration + 1)
        taken = ~unsolved & (tried[4] <= (1 - _SHRINKING * share) * size)
        share = share.where(unsolved, share / 2)
        return going(choose(taken, tried, (residual, iteration, share, steps, size, h, gradient, *system)))

    def going(state: Parts) -> Parts:
        residual, iteration, share, *_ = state
        return (residual > tol) & (iteration < max_iterations) & (share > _SMALLEST), *state

    state, (_, residual, iterations, *_) = looks.follow(advance, going(begin(h, torch.zeros_like(scale))))
    return state[6], residual, int(iterations)


def _norms(x: Tensor) -> tuple[Tensor, Tensor]:
    """The largest entry and the Euclidean norm."""
    return x.abs().amax(), x.norm()


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
    return h, float(energy.gradient(h).abs().amax()), int(optimizer.state[h]["n_iter"])


def _descent(energy: Convex, h: Tensor, enough: float, max_iterations: int) -> tuple[Tensor, float, int]:
    """Steps along the gradient, of a length that is safe everywhere."""
    step, iteration = 1 / energy.curvature(), 0
    gradient = energy.gradient(h)
    left = float(gradient.abs().amax())
    while left > enough and iteration < max_iterations:
        h, iteration = h - step * gradient, iteration + 1
        gradient = energy.gradient(h)
        left = float(gradient.abs().amax())
    return h, left, iteration


def _descent_on_device(
    energy: Convex, h: Tensor, scale: Tensor, tol: float, max_iterations: int, looks: Looks
) -> tuple[Tensor, float, int]:
    step = 1 / energy.curvature()

    def begin(h: Tensor, iteration: Tensor) -> Parts:
        gradient = energy.gradient(h)
        residual = gradient.abs().amax() / scale
        return (residual > tol) & (iteration < max_iterations), residual, iteration, h, gradient

    def advance(state: Parts) -> Parts:
        _, _, iteration, h, gradient = state
        return begin(h - step * gradient, iteration + 1)

    state, (_, residual, iterations) = looks.follow(advance, begin(h, torch.zeros_like(scale)))
    return state[3], residual, int(iterations)
