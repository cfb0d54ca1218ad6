"""Convolution with a sheaf that is given rather than learned."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.nn import inits

from graphkit.core.checks import Checks
from graphkit.core.constraints import Count
from graphkit.nn.sheaf.conv import SheafLayer
from graphkit.nn.sheaf.graph import sheaf_graph
from graphkit.nn.sheaf.laplacian import SheafLaplacian, sheaf_laplacian
from graphkit.ops.pattern import Size


class GivenSheafConv(SheafLayer):
    r"""Graph convolution with a sheaf in place of the graph: :math:`X' = H (I \otimes B) X A`, :math:`H = I - \Delta`.

    From `"Sheaf Neural Networks" <https://arxiv.org/abs/2012.06333>`_ (Hansen and Gebhart, 2020). The constant sheaf
    gives a graph convolution without self-loops.

    Args:
        stalk_dim: The dimension :math:`k` of stalks, on which :math:`B \in \mathbb{R}^{k \times k}` acts.
        in_channels: The number of channels.
        out_channels: The number of new channels, to which :math:`A` maps.

    Shapes:
        - **input:** ``x`` ``[num_nodes, stalk_dim, in_channels]`` and a :class:`~graphkit.nn.sheaf.SheafLaplacian`
        - **output:** ``[num_nodes, stalk_dim, out_channels]``

    Example:
        >>> from graphkit.nn.sheaf import sheaf_laplacian
        >>> laplacian = sheaf_laplacian(torch.tensor([[0, 1], [1, 0]]), torch.ones(2, 4), "diag", augmented=False)
        >>> GivenSheafConv(4, 3, 2)(torch.ones(2, 4, 3), laplacian).shape
        torch.Size([2, 4, 2])
    """

    checks = Checks(skip="it works on stalks; checked with SheafNetwork")

    def __init__(self, stalk_dim: Count, in_channels: Count, out_channels: Count) -> None:
        super().__init__()
        self.left = nn.Parameter(torch.empty(stalk_dim, stalk_dim))
        self.right = nn.Parameter(torch.empty(out_channels, in_channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start from the identity for :math:`B` and Glorot's uniform weights for :math:`A`."""
        nn.init.eye_(self.left)
        inits.glorot(self.right)

    def forward(self, x: Tensor, laplacian: SheafLaplacian) -> Tensor:
        """One convolution; see the class for shapes."""
        mixed = (self.left @ x) @ self.right.t()
        return mixed - self.diffused(laplacian, mixed)


def given_laplacian(
    edge_index: Tensor, maps: Tensor, kind: str = "general", augmented: bool = False, size: Size = None
) -> SheafLaplacian:
    """The normalised Laplacian of maps that are data: cached with the graph until other maps come.

    Args:
        edge_index: Both directions of every edge.
        maps: The maps, as :func:`~graphkit.nn.sheaf.sheaf_laplacian` takes them.
        kind: ``"diag"``, ``"bundle"`` or ``"general"`` (default: ``"general"``).
        augmented: Whether the identity is added to the diagonal blocks before their root (default: ``False``).
        size: The number of nodes (default: the largest id plus one).

    Example:
        >>> edge_index, maps = torch.tensor([[0, 1], [1, 0]]), torch.ones(2, 1, 1)
        >>> given_laplacian(edge_index, maps) is given_laplacian(edge_index, maps.clone())
        True
    """
    if maps.requires_grad:
        return sheaf_laplacian(edge_index, maps, kind, augmented=augmented, size=size)
    return sheaf_graph(edge_index, size).pattern.cached(
        ("given sheaf", kind, augmented),
        lambda copy: sheaf_laplacian(edge_index, copy, kind, augmented=augmented, size=size),
        maps,
    )


def diffuse_polynomial(laplacian: SheafLaplacian, coefficients: Tensor, x: Tensor) -> Tensor:
    r"""The polynomial :math:`\sum_i c_i H^i x` of the diffusion operator :math:`H = I - \Delta`, by Horner's rule.

    Args:
        laplacian: The (normalised) Laplacian :math:`\Delta`.
        coefficients: :math:`c_0, \dots, c_m`.
        x: Stalks ``[num_nodes, stalk_dim, channels]``.

    Example:
        >>> from graphkit.nn.sheaf import sheaf_laplacian
        >>> laplacian = sheaf_laplacian(torch.tensor([[0, 1], [1, 0]]), torch.ones(2, 1), "diag", augmented=False)
        >>> diffuse_polynomial(laplacian, torch.tensor([0.0, 1.0]), torch.tensor([[[3.0]], [[5.0]]])).flatten().tolist()
        [5.0, 3.0]
    """
    out = coefficients[-1] * x
    for c in coefficients[:-1].flip(0):
        out = out - laplacian @ out + c * x
    return out


def signed_maps(weight: Tensor, edge_index: Tensor) -> Tensor:
    r"""Diagonal maps of a signed graph, whose Laplacian is :math:`\operatorname{diag}(\sum_u |w_{vu}|) - W`.

    The smaller node of an edge gets :math:`\sqrt{|w|}`, the larger one :math:`\operatorname{sign}(w) \sqrt{|w|}`.

    Args:
        weight: A weight per edge, the same in both directions ``[E]``.
        edge_index: Both directions of every edge.

    Example:
        >>> signed_maps(torch.tensor([-4.0, -4.0]), torch.tensor([[0, 1], [1, 0]])).tolist()
        [[2.0], [-2.0]]
    """
    root = weight.abs().sqrt()
    return torch.where(edge_index[0] < edge_index[1], root, weight.sign() * root).unsqueeze(1)
