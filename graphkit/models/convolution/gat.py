"""GAT: a stack of layers that attend to neighbours."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Count
from graphkit.core.reads import Reads
from graphkit.core.signatures import takes_arguments_of
from graphkit.models.base import State, edge_attr_of
from graphkit.models.stack import GNN_PLUS, LayerStack
from graphkit.nn import GATConv, GATv2Conv, TransformerConv

CONVS = {"gat": GATConv, "gatv2": GATv2Conv, "transformer": TransformerConv}


class GAT(LayerStack):
    r"""Graph attention network: a stack of layers whose heads weigh neighbours.

    From `"Graph Attention Networks" <https://arxiv.org/abs/1710.10903>`_ (Velickovic et al., ICLR 2018), `"How
    Attentive are Graph Attention Networks?" <https://arxiv.org/abs/2105.14491>`_ (Brody, Alon, Yahav, ICLR 2022) for
    ``"gatv2"``, and `"Masked Label Prediction: Unified Message Passing Model for Semi-Supervised Classification"
    <https://arxiv.org/abs/2009.03509>`_ (Shi et al., IJCAI 2021) for ``"transformer"``.

    A layer of ``hidden_channels`` concatenates its heads, each of ``hidden_channels / heads``; the one that maps to
    ``out_channels`` averages them, as in PyG's model, with which weights can be exchanged. ``dropout`` is also the
    probability of dropping a weight of attention.

    The original has 8 heads of 8 channels, ELU and dropout 0.6: the recipe ``gat/cora`` says so explicitly.

    Args:
        conv: ``"gat"`` for :class:`~graphkit.nn.GATConv`, ``"gatv2"`` for :class:`~graphkit.nn.GATv2Conv`, or
            ``"transformer"`` for :class:`~graphkit.nn.TransformerConv` (default: ``"gat"``).
        heads: The number of heads of every layer (default: 1).
        edge_dim: The number of edge features to read from ``edge_attr`` (default: none).

    Raises:
        ValueError: If ``hidden_channels`` cannot be divided by ``heads``, or a batch lacks the edge features.

    Example:
        >>> import torch
        >>> data = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]]))
        >>> GAT(4, 8, num_layers=2, out_channels=2, heads=4)(data).shape
        torch.Size([3, 2])
    """

    checks = Checks(
        [
            {"heads": 2, "dropout": 0.5},
            {"conv": "gatv2", "edge_dim": None, "norm": "layer_norm", "readout": "mean"},
            {"conv": "transformer", "edge_dim": None, "heads": 2, "num_layers": 3, "residual": True},
            {"num_layers": 1, "heads": 3, "bias": False, "edge_dim": None},
        ]
    )

    reads = Reads(edge_attr=True)
    num_hops = 1

    @takes_arguments_of(LayerStack, without=GNN_PLUS)
    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 64,
        num_layers: Count = 2,
        out_channels: Count | None = None,
        conv: Literal["gat", "gatv2", "transformer"] = "gat",
        heads: Count = 1,
        edge_dim: Count | None = None,
        **of_stack: Any,
    ) -> None:
        self.conv, self.heads, self.edge_dim = conv, heads, edge_dim  # for make_layer
        super().__init__(in_channels, hidden_channels, num_layers, out_channels, **of_stack)
        self.reads = Reads(edge_attr=edge_dim is not None)

    def make_layer(self, in_channels: int, out_channels: int) -> nn.Module:
        if out_channels % self.heads:
            raise ValueError(f"GAT: hidden_channels={out_channels}, must be a multiple of heads={self.heads}")
        return self._conv(in_channels, out_channels // self.heads, concat=True)

    def make_last_layer(self, in_channels: int, out_channels: int) -> nn.Module:
        return self._conv(in_channels, out_channels, concat=False)

    def _conv(self, in_channels: int, out_channels: int, concat: bool) -> nn.Module:
        return CONVS[self.conv](
            in_channels,
            out_channels,
            heads=self.heads,
            concat=concat,
            dropout=self.dropout,
            edge_dim=self.edge_dim,
            bias=self.bias,
        )

    def propagate(self, layer: nn.Module, h: State, batch: Data) -> Tensor:
        if self.edge_dim is None:
            return layer(h, batch.edge_index)
        return layer(h, batch.edge_index, edge_attr_of(self, batch))
