"""Layers whose output is a fixed point."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch_geometric.nn import inits

from graphkit.core.checks import Checks
from graphkit.core.constraints import Checked, Count, Positive
from graphkit.nn.implicit.root import implicit_root


class FixedPoint(Checked, nn.Module):
    r"""The fixed point :math:`z = f(z, x)` of a map, a layer of infinite depth whose memory does not grow with it.

    From `"Deep Equilibrium Models" <https://arxiv.org/abs/1909.01377>`_ (Bai, Kolter, Koltun, NeurIPS 2019). The state
    is found without gradients; these are those of the implicit function,

    .. math::
        \frac{\partial \ell}{\partial \theta} = y^\top \frac{\partial f}{\partial \theta}, \qquad
        y = \Big(\frac{\partial f}{\partial z}\Big)^\top y + \frac{\partial \ell}{\partial z}

    where :math:`\theta` is all that :math:`f` depends on but the state, its parameters included; :math:`y` is a fixed
    point as well and found in the same way.

    There is one fixed point where :math:`f` contracts, as a propagation does that returns to its input, or where it is
    subhomogeneous, as tanh of a non-negative map that is normalised (`"Subhomogeneous Deep Equilibrium Models"
    <https://arxiv.org/abs/2403.00720>`_, Sittoni, Tudisco, ICML 2024).

    Args:
        f: The map, a module or function, called as ``f(z, *inputs)``; it must not be random, so dropout has no place
            in it.
        solver: ``"plain"`` applies :math:`f` again and again; ``"anderson"`` mixes the last images so that their
            residuals cancel, which takes a fraction of the steps (default: ``"anderson"``).
        tol: Largest residual :math:`\|f(z) - z\|`, relative to the largest state that was met (default: the precision
            of the dtype to the power 2/3, such as 2.4e-5).
        max_iterations: How often :math:`f` is applied at most (default: 1000).
        memory: How many images ``"anderson"`` mixes (default: 5).

    Shapes:
        - **input:** ``start``, a state of any shape; further arguments of :math:`f`
        - **output:** like ``start``

    Attributes:
        iterations: How often :math:`f` was applied to find the last state.
        residual: The residual that was left.

    Raises:
        RuntimeError: If the residual does not become small, with how much :math:`f` contracts,
            or if a gradient is to have a gradient.
        ValueError: If :math:`f` changes the shape of the state.

    Example:
        >>> halfway = FixedPoint(lambda z, x: 0.5 * z + x, tol=1e-6)
        >>> x = torch.ones(2, requires_grad=True)
        >>> z = halfway(torch.zeros(2), x)
        >>> [round(value, 4) for value in (*z.tolist(), *torch.autograd.grad(z.sum(), x)[0].tolist())]
        [2.0, 2.0, 2.0, 2.0]
    """

    checks = Checks(skip="it takes a map, and no graph of its own")

    def __init__(
        self,
        f: Callable[..., Tensor],
        solver: Literal["anderson", "plain"] = "anderson",
        tol: Positive | None = None,
        max_iterations: Count = 1000,
        memory: Count = 5,
    ) -> None:
        super().__init__()
        self.f, self.solver, self.tol = f, solver, tol
        self.max_iterations, self.memory = max_iterations, memory
        self.iterations, self.residual = 0, 0.0

    def reset_parameters(self) -> None:
        """Draw new weights of the map, if it has any."""
        if isinstance(self.f, nn.Module):
            inits.reset(self.f)

    def forward(self, start: Tensor, *inputs: Any) -> Tensor:
        """The fixed point that is reached from ``start``, which gets no gradient; see the class for shapes."""
        with torch.no_grad():
            z, self.iterations, self.residual = self._solve(lambda z: self.f(z, *inputs), start.detach(), "the state")
        if not torch.is_grad_enabled():
            return z
        z.requires_grad_()
        image = self.f(z, *inputs)

        def solve(grad: Tensor) -> Tensor:
            def step(y: Tensor) -> Tensor:
                return torch.autograd.grad(image, z, y, retain_graph=True)[0] + grad

            return self._solve(step, grad, "its gradient")[0].neg()

        return implicit_root(z.detach(), image - z, solve)

    def _solve(self, f: Callable[[Tensor], Tensor], z: Tensor, what: str) -> tuple[Tensor, int, float]:
        """A fixed point, the number of steps to it, and the residual."""
        tol = torch.finfo(z.dtype).eps ** (2 / 3) if self.tol is None else self.tol
        past: list[tuple[Tensor, Tensor]] = []
        scale, error, factor = z.norm(), float("inf"), 0.0
        for iteration in range(1, self.max_iterations + 1):
            image = f(z)
            if image.shape != z.shape:
                raise ValueError(
                    f"FixedPoint: f takes a state of shape {list(z.shape)} to {list(image.shape)}, must keep the shape"
                )
            residual = image - z
            scale = torch.maximum(scale, image.norm())
            numbers = [scale, residual.norm() / scale]
            if past:
                numbers.append((image - past[-1][1]).norm() / (z - past[-1][1] + past[-1][0]).norm())
            largest, left, *contraction = torch.stack(numbers).tolist()  # the one wait for a device
            if not math.isfinite(largest):
                error = float("inf")
                break
            before, error = error, left if largest > 0 else 0.0
            if error <= tol:
                return image, iteration, error
            factor = contraction[0] if contraction else factor
            past = [*(past if error < before else [])[-self.memory :], (residual, image)]
            z = image if self.solver == "plain" else _mixed(past)
        if factor < 1:
            reason = f"f contracts slowly, by {factor:.6g}, so raise max_iterations or tol, or use solver='anderson'"
        else:
            reason = (
                f"f does not contract, it took two states apart by the factor {factor:.3g}, so bound its weights, e.g. "
                "by torch.nn.utils.parametrizations.spectral_norm"
            )
        raise RuntimeError(
            f"FixedPoint: {what} has the residual {error:.2g} after {iteration} iterations, must be at most {tol:.2g}; "
            + reason
        )


def _mixed(past: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The mixture of images whose mixed residual is smallest: Anderson's step."""
    residual, image = past[-1]
    if len(past) == 1:
        return image
    changes = torch.stack([residual - earlier for earlier, _ in past[:-1]]).flatten(1).double()
    gram = changes @ changes.T
    gram.diagonal().add_(1e-12 * gram.diagonal().amax() + torch.finfo(torch.double).tiny)
    shares = torch.linalg.solve_ex(gram, changes @ residual.flatten().double()).result.to(image.dtype)
    steps = torch.stack([image - earlier for _, earlier in past[:-1]])
    return image - torch.tensordot(shares, steps, dims=1)
