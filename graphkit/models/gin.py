"""GIN: a stack of graph isomorphism layers."""

from __future__ import annotations

from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.models.base import State
from graphkit.models.stack import LayerStack
from graphkit.nn import GINConv


class GIN(LayerStack):
    r"""Graph isomorphism network: a stack of :class:`~graphkit.nn.GINConv`.

    From `"How Powerful are Graph Neural Networks?" <https://arxiv.org/abs/1810.00826>`_ (Xu, Hu, Leskovec, Jegelka,
    ICLR 2019). The batch's ``edge_weight`` is used when there is one. The paper concatenates readouts of all layers;
    here the last one is read.

    Args:
        in_channels: The number of node features; -1 takes it from the first batch.
        hidden_channels: The width of hidden states (default: 64).
        num_layers: The number of layers (default: 2).
        out_channels: The number of outputs (default: ``hidden_channels``).
        dropout: The probability of dropping an entry before each layer (default: 0).
        act: The activation, by PyG's names (default: ``"relu"``).
        norm: ``"batch_norm"``, ``"layer_norm"`` or ``None`` (default: ``None``).
        residual: ``True`` adds a layer's input where widths agree, ``"linear"`` adds a linear map of it before norm and
            activation (default: ``False``).
        readout: ``None`` for one output per node; for one per graph the name of an aggregation, graphkit's or PyG's, or
            ``"mask"`` to read the node that ``readout_mask`` marks (default: ``None``).
        bias: Whether layers have biases (default: ``True``).
        readout_kwargs: Further arguments of the readout (default: none).
        input_dropout: The probability of dropping a feature before the first layer (default: ``dropout``).

    Shapes:
        - **input:** a PyG ``Data`` or ``Batch`` with ``x`` ``[num_nodes, in_channels]`` and ``edge_index``
        - **output:** ``[num_nodes, out_channels]``, or ``[num_graphs, out_channels]`` with a readout

    Example:
        >>> import torch
        >>> data = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]]))
        >>> GIN(4, 8, num_layers=2, out_channels=2)(data).shape
        torch.Size([3, 2])
    """

    num_hops = 1

    def make_layer(self, in_channels: int, out_channels: int) -> nn.Module:
        return GINConv(in_channels, out_channels, bias=self.bias)

    def propagate(self, layer: nn.Module, h: State, batch: Data) -> Tensor:
        return layer(h, batch.edge_index, batch.get("edge_weight"))
