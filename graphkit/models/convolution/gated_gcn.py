"""GatedGCN: a stack of gated graph convolutions, in which edges have states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.checks import Checks
from graphkit.core.reads import Reads
from graphkit.models.base import LayeredModel, State
from graphkit.models.stack import NORMS, EdgeStack
from graphkit.nn import GatedGCNConv, Linear, dropout


class GatedGCN(EdgeStack):
    r"""Gated graph convolutional network: a stack of :class:`~graphkit.nn.GatedGCNConv`, in which edges have states.

    From `"Residual Gated Graph ConvNets" <https://arxiv.org/abs/1711.07553>`_ (Bresson and Laurent, 2017).

    Edges start with their encoded features, or all with one learned state where none are read. Their states go from
    layer to layer, each with norm, activation, dropout and residual as those of nodes have. They are rows of a state
    behind those of nodes, but for the last layer, whose edges nobody reads.

    Args:
        residual: Whether layers add their input where widths agree (default: ``False``).
        edge_dim: The number of edge features that are read, by a linear map (default: none, one state for all).

    Raises:
        ValueError: If ``residual="linear"``, which edges do not have, or as other stacks.

    Example:
        >>> import torch
        >>> data = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]]))
        >>> GatedGCN(4, 8, num_layers=2, out_channels=2)(data).shape
        torch.Size([3, 2])
    """

    checks = Checks(
        [
            {"dropout": 0.5, "norm": "batch_norm", "residual": True},
            {"edge_dim": None, "readout": "mean", "feed_forward": True, "head_layers": 2, "drop_outputs": True},
            {"num_layers": 1, "pe": 2, "pe_channels": 2, "norm": "layer_norm"},
        ]
    )

    reads = Reads(edge_attr=True)
    always_encodes = True

    def _make_layer(self, i: int, in_channels: int, out_channels: int) -> nn.Module:
        if self.residual == "linear":
            raise ValueError("GatedGCN: residual='linear', must be True or False")
        normed = self.norm is not None and i < self.num_layers - 1
        return _GatedLayer(
            self.make_layer(in_channels, out_channels), NORMS[self.norm](out_channels) if normed else None
        )

    def make_layer(self, in_channels: int, out_channels: int) -> nn.Module:
        return GatedGCNConv(in_channels, out_channels)

    def _make_edge_encoder(self) -> nn.Module:
        return super()._make_edge_encoder() or Linear(1, self.hidden_channels)

    def edge_states(self, batch: Data) -> Tensor:
        if self.has_edges:
            return super().edge_states(batch)
        ones = self.edge_encoder.weight.new_ones(batch.edge_index.size(1), 1)
        return self.edge_encoder(ones)

    def encode(self, batch: Data) -> Tensor:
        return torch.cat([cast(Tensor, super().encode(batch)), self.edge_states(batch)])

    def node_states(self, h: Tensor, batch: Data) -> Tensor:
        return h[: batch.x.size(0)]

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        h, n = cast(Tensor, history[-1]), batch.x.size(0)
        dropped = self._dropped(i, h)
        out, edges = self.layers[i](dropped[:n], batch.edge_index, dropped[n:])
        out = self._join(i, out, h[:n], dropped[:n])
        if i == self.num_layers - 1:
            return out
        edges = self.activation(edges)
        edges = dropout(edges, self.dropout, self.training) if self.drop_outputs else edges
        return torch.cat([out, h[n:] + edges if self.residual else edges])

    def propagate(self, layer: nn.Module, h: State, batch: Data) -> Tensor:
        """Apply one layer to the states of all nodes and edges, and return those of nodes."""
        nodes, n = cast(Tensor, h), batch.x.size(0)
        return layer(nodes[:n], batch.edge_index, nodes[n:])[0]

    def add_inputs(self, counts: Sequence[int]) -> None:
        LayeredModel.add_inputs(self, counts)  # edges would have none


class _GatedLayer(nn.Module):
    """A convolution, and the norm of the states that it gives to edges."""

    def __init__(self, conv: nn.Module, norm: nn.Module | None) -> None:
        super().__init__()
        self.conv, self.norm = conv, norm

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> tuple[Tensor, Tensor]:
        out, edges = self.conv(x, edge_index, edge_attr, return_edges=True)
        return out, edges if self.norm is None else self.norm(edges)
