"""DirGNN: a stack of convolutions along edges and against them."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import DirGNNConv

from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Count, UnitInterval
from graphkit.core.signatures import takes_arguments_of
from graphkit.models.base import State
from graphkit.models.stack import GNN_PLUS, LayerStack
from graphkit.nn import GCNConv, SAGEConv
from graphkit.nn.linear import torch_linear
from graphkit.ops import sparsity_pattern

CONVS: dict[str, Any] = {"gcn": GCNConv, "sage": SAGEConv}


class DirGNN(LayerStack):
    r"""Directed graph network: PyG's ``DirGNNConv``, which convolves along edges and against them.

    From `"Edge Directionality Improves Learning on Heterophilic Graphs" <https://arxiv.org/abs/2305.10498>`_ (Rossi et
    al., LoG 2023).

    .. math::
        h'_t = \alpha \,\mathrm{conv}_{\leftarrow}(h)_t + (1 - \alpha) \,\mathrm{conv}_{\rightarrow}(h)_t + W h_t + b

    The two convolutions have weights of their own and no self-loops. As in PyG, ``"gcn"`` divides by the roots of the
    degrees of edges that enter, at both ends.

    Args:
        num_layers: The number of convolutions (default: 2).
        conv: ``"gcn"`` for :class:`~graphkit.nn.GCNConv` or ``"sage"`` for :class:`~graphkit.nn.SAGEConv` (default:
            ``"gcn"``).
        alpha: The share :math:`\alpha` of what comes against the direction of edges (default: 0.5).
        root_weight: Whether there is :math:`W h_t + b` (default: ``True``).

    Example:
        >>> import torch
        >>> data = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]]))
        >>> DirGNN(4, 8, num_layers=2, out_channels=2)(data).shape
        torch.Size([3, 2])
    """

    checks = Checks(
        [
            {"dropout": 0.5},
            {"conv": "sage", "alpha": 0.2, "norm": "batch_norm", "residual": True},
            {"root_weight": False, "readout": "mean"},
        ]
    )
    num_hops = None  # chunks of nodes have the edges that enter them, and it reads those that leave, too

    @takes_arguments_of(LayerStack, without=GNN_PLUS)
    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 64,
        num_layers: Count = 2,
        out_channels: Count | None = None,
        conv: Literal["gcn", "sage"] = "gcn",
        alpha: UnitInterval = 0.5,
        root_weight: bool = True,
        **of_stack: Any,
    ) -> None:
        self.conv, self.alpha, self.root_weight = conv, alpha, root_weight  # for make_layer
        super().__init__(in_channels, hidden_channels, num_layers, out_channels, **of_stack)

    def make_layer(self, in_channels: int, out_channels: int) -> nn.Module:
        conv = CONVS[self.conv](in_channels, out_channels, bias=self.bias)
        layer = _DirectedConv(conv, self.alpha, root_weight=False)
        if self.root_weight:  # PyG's own map takes neither sparse features nor a width that is not known yet
            layer.root_weight, layer.lin = True, torch_linear(in_channels, out_channels, self.bias)
        return layer

    def propagate(self, layer: nn.Module, h: State, batch: Data) -> Tensor:
        return layer(h, batch.edge_index)


class _DirectedConv(DirGNNConv):
    """PyG's, whose reversed edges would be a new graph in each call; here they are the transpose of one pattern."""

    def forward(self, x: Any, edge_index: Any) -> Tensor:
        pattern = sparsity_pattern(edge_index, x.shape[-2])
        out = self.alpha * self.conv_out(x, pattern.T) + (1 - self.alpha) * self.conv_in(x, pattern)
        return out + self.lin(x) if self.root_weight else out
