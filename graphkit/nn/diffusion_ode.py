"""Graph diffusion as a differential equation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from graphkit.nn.diffusivity_exact import exact_diffusion
from graphkit.ops import SparseMatrix

Regularizer = Literal["kinetic", "directional", "jacobian"]


class DiffusionODE:
    r"""The equation :math:`\dot z = s \, (A z - z) + \beta b`, with :math:`A` fixed or a function of :math:`z`.

    Args:
        operator: :math:`A`: a matrix makes the equation linear; a function of the state nonlinear.
        rate: The speed :math:`s`, a scalar.
        source: The source :math:`b` (default: none).
        strength: The scalar :math:`\beta` of the source (default: none, so no source).
        parameters: What the function, if it is one, depends on besides the state; the adjoint method needs to know
            (default: nothing).
        norm: A norm of a matrix :math:`A`, or more (default: the closed form computes it).
        fastest: The largest :math:`s` there can be, if that is positive (default: the closed form looks at :math:`s`).

    Example:
        >>> swap = SparseMatrix.from_edges(torch.tensor([[0, 1], [1, 0]]))
        >>> ode = DiffusionODE(swap, torch.tensor(1.0))
        >>> ode(torch.tensor(0.0), torch.tensor([[1.0], [0.0]])).tolist()
        [[-1.0], [1.0]]
    """

    def __init__(
        self,
        operator: SparseMatrix | Callable[[Tensor], SparseMatrix],
        rate: Tensor,
        source: Tensor | None = None,
        strength: Tensor | None = None,
        parameters: Sequence[Tensor] = (),
        norm: float | None = None,
        fastest: float | None = None,
    ) -> None:
        self.operator, self.rate, self.source, self.strength = operator, rate, source, strength
        self.parameters, self.norm, self.fastest = parameters, norm, fastest

    def __call__(self, t: Tensor, z: Tensor) -> Tensor:
        """The derivative; it does not depend on time."""
        matrix = self.operator if isinstance(self.operator, SparseMatrix) else self.operator(z)
        out = self.rate * (matrix.matmul(z) - z)
        return out if self.source is None or self.strength is None else out + self.strength * self.source

    def exact(self, z: Tensor, duration: float) -> Tensor:
        """The solution of a linear equation after some time."""
        if not isinstance(self.operator, SparseMatrix):
            raise ValueError(
                "the ODE solver 'exact' needs a linear equation, but this diffusivity changes with the state; use "
                "'dopri5' or 'rk4'"
            )
        given = self.source, self.strength, self.norm, self.fastest
        return exact_diffusion(self.operator, z, self.rate, duration, *given)

    def tensors(self) -> list[Tensor]:
        """What the derivative depends on, besides the state."""
        values = self.operator.values if isinstance(self.operator, SparseMatrix) else None
        own = [values, self.rate, self.source, self.strength]
        return [*(tensor for tensor in own if tensor is not None), *self.parameters]


class RegularizedODE:
    r"""An equation that carries penalties along, one number per node and penalty, starting at 0.

    .. math::
        \dot r_{kinetic} = \tfrac12 \, \overline{f^2}, \qquad
        \dot r_{directional} = \tfrac12 \, \overline{((\partial f / \partial z)^\top f)^2}, \qquad
        \dot r_{jacobian} = \sum_j \frac{\partial \sum_m f_{mj}}{\partial z_{\cdot j}}

    with means over channels. Finlay et al.: `"How to Train Your Neural ODE" <https://arxiv.org/abs/2002.02798>`_,
    ICML 2020; the last one follows GRAND's code, which takes a trace where the paper has a squared norm.

    Args:
        ode: The equation.
        names: Which penalties: ``"kinetic"``, ``"directional"``, ``"jacobian"``.
    """

    def __init__(self, ode: DiffusionODE, names: Sequence[str]) -> None:
        self.ode, self.names = ode, tuple(names)

    def __call__(self, t: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The derivatives of the state and its penalties."""
        z = state[0]
        with torch.enable_grad():
            z = z if z.requires_grad else z.detach().requires_grad_()
            out = self.ode(t, z)
            return out, *(self._penalty(name, z, out) for name in self.names)

    def tensors(self) -> list[Tensor]:
        """What the derivative depends on, besides the state."""
        return self.ode.tensors()

    def _penalty(self, name: str, z: Tensor, out: Tensor) -> Tensor:
        if name == "kinetic":
            return out.square().mean(1) / 2
        if name == "directional":
            (pulled,) = torch.autograd.grad(out, z, out, create_graph=True)
            return pulled.square().mean(1) / 2
        columns = range(out.size(1))
        return sum(
            (torch.autograd.grad(out[:, j].sum(), z, create_graph=True)[0][:, j] for j in columns),
            start=out.new_zeros(out.size(0)),
        )
