"""Sheaf diffusion in continuous time."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch_geometric.nn.resolver import activation_resolver

from graphkit.core.checks import Checks
from graphkit.core.constraints import Activation
from graphkit.nn.ode import ODESolver
from graphkit.nn.sheaf.conv import SheafLayer, SheafMix
from graphkit.nn.sheaf.graph import SheafGraph
from graphkit.nn.sheaf.laplacian import SheafLaplacian
from graphkit.nn.sheaf.learner import SheafLearner


class SheafFlow(SheafLayer):
    r"""Sheaf diffusion as a differential equation.

    From `"Neural Sheaf Diffusion" <https://arxiv.org/abs/2202.04579>`_ (Bodnar et al., NeurIPS 2022), with the sign
    inside the activation as in the official code.

    .. math::
        \dot X = \sigma(-\Delta(X) (I \otimes W_1) X W_2^\top)

    Args:
        learner: Predicts the sheaf from the state, at every evaluation.
        solver: Integrates the equation.
        left: Whether there is :math:`W_1` (default: ``True``).
        right: Whether there is :math:`W_2` (default: ``True``).
        act: :math:`\sigma` by PyG's names, or ``None`` (default: ``"elu"``).

    Shapes:
        - **input, output:** ``[num_nodes, width * channels]``

    Example:
        >>> import torch
        >>> from graphkit.nn.sheaf import sheaf_graph
        >>> flow = SheafFlow(SheafLearner(2, 2, 3), ODESolver("rk4", step_size=0.5))
        >>> flow(torch.ones(3, 6), sheaf_graph(torch.tensor([[0, 1], [1, 0]]), 3), 0.0, 1.0).shape
        torch.Size([3, 6])
    """

    checks = Checks(skip="it works on stalks; checked with SheafDiffusion")

    def __init__(
        self,
        learner: SheafLearner,
        solver: ODESolver,
        left: bool = True,
        right: bool = True,
        act: Activation | None = "elu",
    ) -> None:
        super().__init__()
        self.learner, self.solver = learner, solver
        self.mix = SheafMix(learner.width, learner.channels, left, right)
        self.activation = nn.Identity() if act is None else activation_resolver(act)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights as ``torch.nn.Linear`` does."""
        self.learner.reset_parameters()
        for weight in self.mix.parameters():
            nn.init.kaiming_uniform_(weight, a=math.sqrt(5))

    def forward(
        self, x: Tensor, graph: SheafGraph, start: float, end: float, laplacian: SheafLaplacian | None = None
    ) -> Tensor:
        """The state at time ``end``; with a ``laplacian`` the sheaf is frozen."""
        out = self.solver(_Equation(self, graph, laplacian), x, start, end)
        assert isinstance(out, Tensor)
        return out

    def derivative(self, x: Tensor, graph: SheafGraph, laplacian: SheafLaplacian | None = None) -> Tensor:
        r""":math:`\dot X` at a state."""
        if laplacian is None:
            laplacian = self.learner(x, graph)
        mixed = self.mix(x.view(-1, self.learner.width, self.learner.channels))
        return self.activation(-self.diffused(laplacian, mixed)).flatten(1)


class _Equation:
    def __init__(self, flow: SheafFlow, graph: SheafGraph, laplacian: SheafLaplacian | None) -> None:
        self.flow, self.graph, self.laplacian = flow, graph, laplacian

    def __call__(self, t: Tensor, z: Tensor) -> Tensor:
        return self.flow.derivative(z, self.graph, self.laplacian)

    def tensors(self) -> list[Tensor]:
        if self.laplacian is None:
            return self.flow.with_mask(list(self.flow.parameters()))
        return self.flow.with_mask([*self.flow.mix.parameters(), self.laplacian.values])
