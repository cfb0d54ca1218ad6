"""MLP: the baseline that ignores the graph."""

from __future__ import annotations

from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.checks import Checks
from graphkit.core.reads import Reads
from graphkit.models.base import State
from graphkit.models.stack import LayerStack
from graphkit.nn import Linear


class MLP(LayerStack):
    r"""Multilayer perceptron on node features; edges are not used. What a graph network must beat.

    Each layer is :math:`h_{i+1} = \sigma(W_i h_i + b_i)`.

    Args:
        num_layers: The number of linear maps (default: 2).

    Shapes:
        - **input:** a PyG ``Data`` or ``Batch`` with ``x`` ``[num_nodes, in_channels]``

    Example:
        >>> import torch
        >>> MLP(4, 8, num_layers=3, out_channels=2)(Data(x=torch.ones(3, 4))).shape
        torch.Size([3, 2])
    """

    checks = Checks([{"dropout": 0.5}, {"norm": "batch_norm", "readout": "sum"}])

    reads = Reads(edge_index=False, direction=False)
    num_hops = 0

    def make_layer(self, in_channels: int, out_channels: int) -> nn.Module:
        return Linear(in_channels, out_channels, bias=self.bias)

    def propagate(self, layer: nn.Module, h: State, batch: Data) -> Tensor:
        return layer(h)
