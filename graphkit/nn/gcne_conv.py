"""The graph convolution of GCN+, which reads features of edges."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Count
from graphkit.nn.edge_layer import EdgeLayer
from graphkit.nn.linear import Linear
from graphkit.nn.node_axis import pair_of, static_graphs
from graphkit.ops import SparseMatrix


class GCNEConv(EdgeLayer):
    r"""Sums what neighbours have, mapped and rectified together with the features of edges.

    From `"Can Classic GNNs Be Strong Baselines for Graph-level Tasks?" <https://arxiv.org/abs/2502.09263>`_ (Luo, Shi,
    Wu, ICML 2025), "gcne" in the official code.

    .. math::
        x'_t = b + \sum_{u \to t} \mathrm{ReLU}(W x_u + e_{ut})

    As in that code there are neither degrees nor self-loops, so that it has little of :class:`GCNConv` but the names of
    its weights. A node without edges gets :math:`b`.

    Example:
        >>> conv = GCNEConv(3, 2, edge_dim=1)
        >>> conv(torch.ones(4, 3), torch.tensor([[0, 1, 2], [1, 2, 3]]), torch.ones(3, 1)).shape
        torch.Size([4, 2])
    """

    checks = Checks([{}, {"bias": False}, lambda: GCNEConv(5, 3)])

    def __init__(
        self,
        in_channels: Channels,
        out_channels: Count,
        edge_dim: Count | None = None,
        bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.lin = Linear(in_channels, out_channels, bias=False)
        self.lin_edge = None if edge_dim is None else Linear(edge_dim, out_channels)
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.reset_parameters()

    @static_graphs
    def forward(
        self,
        x: Tensor | SparseMatrix | tuple[Tensor, Tensor],
        edge_index: Tensor,
        edge_attr: Tensor | None = None,
    ) -> Tensor:
        """One convolution; see the class for shapes."""
        source, target = pair_of(x)
        out = self.rectified_sum(self.lin(source), edge_index, edge_attr, self.sizes(source, target))
        return out if self.bias is None else out + self.bias
