"""GCN: a stack of graph convolutions."""

from __future__ import annotations

from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.checks import Checks
from graphkit.models.base import State
from graphkit.models.stack import LayerStack
from graphkit.nn import GCNConv


class GCN(LayerStack):
    r"""Graph convolutional network: a stack of graph convolutions.

    From `"Semi-Supervised Classification with Graph Convolutional Networks" <https://arxiv.org/abs/1609.02907>`_ (Kipf
    and Welling, ICLR 2017).

    Two layers are :math:`P \,\sigma(P X W_0^\top) W_1^\top` with :math:`P` as in :class:`~graphkit.nn.GCNConv`. The
    batch's ``edge_weight`` is used when there is one.

    The original has 16 hidden channels, dropout 0.5, no biases, weight decay on the first layer only and row-normalised
    features: the recipes ``gcn/cora``, ``gcn/citeseer`` and ``gcn/pubmed`` say so explicitly.

    Args:
        in_channels: The number of node features; -1 takes it from the first batch.
        hidden_channels: The width of hidden states (default: 64).
        num_layers: The number of convolutions (default: 2).
        out_channels: The number of outputs (default: ``hidden_channels``).
        dropout: The probability of dropping an entry before each layer (default: 0).
        act: The activation, by PyG's names (default: ``"relu"``).
        norm: ``"batch_norm"``, ``"layer_norm"`` or ``None`` (default: ``None``).
        residual: ``True`` adds a layer's input where widths agree, ``"linear"`` adds a linear map of it before norm and
            activation (default: ``False``).
        readout: ``None`` for one output per node, ``"nodes"`` for one by a linear head on hidden states; for one per
            graph the name of an aggregation, graphkit's or PyG's, or ``"mask"`` to read the node that
            ``readout_mask`` marks (default: ``None``).
        bias: Whether layers have a bias (default: ``True``).
        readout_kwargs: Further arguments of the readout (default: none).
        input_dropout: The probability of dropping a feature before the first layer (default: ``dropout``).

    Shapes:
        - **input:** a PyG ``Data`` or ``Batch`` with ``x`` ``[num_nodes, in_channels]`` and ``edge_index``
        - **output:** ``[num_nodes, out_channels]``, or ``[num_graphs, out_channels]`` with a readout

    Example:
        >>> import torch
        >>> data = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]]))
        >>> GCN(4, 8, num_layers=2, out_channels=2)(data).shape
        torch.Size([3, 2])
    """

    checks = Checks(
        [
            {"dropout": 0.5},
            {"num_layers": 3, "norm": "batch_norm", "residual": True},
            {"norm": "layer_norm", "readout": "mean", "act": "elu"},
            {"num_layers": 1, "bias": False},
            {"readout": "gnp", "readout_kwargs": {"act": "softplus"}},
        ]
    )

    num_hops = 2  # the degrees of a node's neighbours count

    def make_layer(self, in_channels: int, out_channels: int) -> nn.Module:
        return GCNConv(in_channels, out_channels, bias=self.bias)

    def propagate(self, layer: nn.Module, h: State, batch: Data) -> Tensor:
        return layer(h, batch.edge_index, batch.get("edge_weight"))
