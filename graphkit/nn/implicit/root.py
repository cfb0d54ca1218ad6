"""The derivative of a root, whoever found it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def implicit_root(z: Tensor, residual: Tensor, solve: Callable[[Tensor], Tensor]) -> Tensor:
    r"""The root :math:`z` of :math:`r(z, \theta) = 0` with its derivative by the parameters :math:`\theta`.

    .. math::
        \frac{\partial z}{\partial \theta} = -\Big(\frac{\partial r}{\partial z}\Big)^{-1}
        \frac{\partial r}{\partial \theta}

    No iterate of the solver is stored.

    Args:
        z: The root, as a constant.
        residual: :math:`r(z, \theta)`, differentiable by :math:`\theta`.
        solve: Maps :math:`g` to the solution :math:`y` of :math:`(\partial r / \partial z)^\top y = g`.

    Raises:
        RuntimeError: If the gradient is to have a gradient.
    """
    return _Root.apply(residual, z, solve)


class _Root(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, residual: Tensor, z: Tensor, solve: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.solve = solve
        return z.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        if torch.is_grad_enabled():
            raise RuntimeError("implicit gradients have no gradients of their own; leave out create_graph=True")
        return -ctx.solve(grad), None, None
