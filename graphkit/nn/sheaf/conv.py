"""One step of sheaf diffusion."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.nn.resolver import activation_resolver

from graphkit.core.checks import Checks
from graphkit.core.constraints import Activation, Checked, Count
from graphkit.nn.layer import Layer
from graphkit.nn.sheaf.laplacian import SheafLaplacian


class SheafLayer(Layer):
    """A layer that multiplies stalks with a Laplacian; an edge mask scales what the edge brings to its target.

    Args:
        aggr: The aggregation of PyG's messages; a product is a sum (default: ``"add"``).
    """

    def diffused(self, laplacian: SheafLaplacian, x: Tensor) -> Tensor:
        """The product, with PyG's mask of edges where there is one."""
        self.refuse_messages("multiplies with a Laplacian")
        if self._explain:
            laplacian = laplacian.masked(self._mask(None, laplacian.places.edge.numel()))
        return laplacian @ x


class SheafMix(Checked, nn.Module):
    r"""The linear part of sheaf diffusion: :math:`(I \otimes W_1) X W_2^\top`.

    Args:
        stalk_dim: Coordinates per stalk :math:`D`.
        channels: Channels :math:`f`.
        left: Whether there is :math:`W_1 \in \mathbb{R}^{D \times D}`, which acts on stalks (default: ``True``).
        right: Whether there is :math:`W_2 \in \mathbb{R}^{f \times f}`, which acts on channels (default: ``True``).
        bias: Whether each of the two adds a bias (default: ``False``).

    Shapes:
        - **input, output:** ``[num_nodes, stalk_dim, channels]``

    Example:
        >>> SheafMix(2, 3)(torch.ones(5, 2, 3)).shape
        torch.Size([5, 2, 3])
    """

    checks = Checks(skip="it works on stalks; checked with SheafDiffusion")

    def __init__(
        self, stalk_dim: Count, channels: Count, left: bool = True, right: bool = True, bias: bool = False
    ) -> None:
        super().__init__()
        self.left = nn.Parameter(torch.empty(stalk_dim, stalk_dim)) if left else None
        self.right = nn.Parameter(torch.empty(channels, channels)) if right else None
        self.left_bias = nn.Parameter(torch.empty(stalk_dim)) if left and bias else None
        self.right_bias = nn.Parameter(torch.empty(channels)) if right and bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start from the identity for :math:`W_1` and a random orthogonal :math:`W_2`, and draw biases."""
        if self.left is not None:
            nn.init.eye_(self.left)
        if self.right is not None:
            nn.init.orthogonal_(self.right)
        for bias in (self.left_bias, self.right_bias):
            if bias is not None:  # as torch.nn.Linear does
                nn.init.uniform_(bias, -(bias.numel() ** -0.5), bias.numel() ** -0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Mix stalk coordinates and channels."""
        out = self._product(x)
        if self.left_bias is not None:
            out = out + self.left_bias[:, None] * (1 if self.right is None else self.right.sum(1))
        return out if self.right_bias is None else out + self.right_bias

    def _product(self, x: Tensor) -> Tensor:
        if self.left is not None and self.right is not None:  # one large product is faster than many small ones
            return (x.flatten(1) @ torch.kron(self.left, self.right).t()).view(x.shape)
        if self.left is not None:
            return self.left @ x
        return x if self.right is None else x @ self.right.t()


class SheafConv(SheafLayer):
    r"""One explicit step of sheaf diffusion.

    From `"Neural Sheaf Diffusion" <https://arxiv.org/abs/2202.04579>`_ (Bodnar et al., NeurIPS 2022).

    .. math::
        X' = (1 + \tanh \varepsilon) X - \sigma(\Delta (I \otimes W_1) \hat X W_2^\top)

    with the sheaf Laplacian :math:`\Delta`, :math:`\hat X` the state after dropout and one :math:`\varepsilon` per
    stalk coordinate.

    Args:
        stalk_dim: Coordinates per stalk :math:`D`.
        channels: Channels :math:`f`.
        left: Whether there is :math:`W_1` (default: ``True``).
        right: Whether there is :math:`W_2` (default: ``True``).
        act: :math:`\sigma` by PyG's names, or ``None`` (default: ``"elu"``).

    Shapes:
        - **input, output:** ``[num_nodes, stalk_dim, channels]``

    Example:
        >>> from graphkit.nn.sheaf import sheaf_laplacian
        >>> laplacian = sheaf_laplacian(torch.tensor([[0, 1], [1, 0]]), torch.ones(2, 4), "diag")
        >>> x = torch.ones(2, 4, 3)
        >>> SheafConv(4, 3)(x, x, laplacian).shape
        torch.Size([2, 4, 3])
    """

    checks = Checks(skip="it works on stalks; checked with SheafDiffusion")

    def __init__(
        self, stalk_dim: Count, channels: Count, left: bool = True, right: bool = True, act: Activation | None = "elu"
    ) -> None:
        super().__init__()
        self.activation = nn.Identity() if act is None else activation_resolver(act)
        self.mix = SheafMix(stalk_dim, channels, left, right)
        self.epsilon = nn.Parameter(torch.empty(stalk_dim, 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start from the ungated step."""
        super().reset_parameters()
        nn.init.zeros_(self.epsilon)

    def forward(self, x: Tensor, dropped: Tensor, laplacian: SheafLaplacian) -> Tensor:
        """One step; ``dropped`` is the state that is diffused, ``x`` the one that stays."""
        return (1 + self.epsilon.tanh()) * x - self.activation(self.diffused(laplacian, self.mix(dropped)))
