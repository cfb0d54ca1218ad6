"""GCN: a stack of graph convolutions."""

from __future__ import annotations

from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.checks import Checks
from graphkit.core.reads import Reads
from graphkit.models.base import State
from graphkit.models.stack import EdgeStack
from graphkit.nn import GCNConv, GCNEConv


class GCN(EdgeStack):
    r"""Graph convolutional network: a stack of graph convolutions.

    From `"Semi-Supervised Classification with Graph Convolutional Networks" <https://arxiv.org/abs/1609.02907>`_ (Kipf
    and Welling, ICLR 2017).

    Two layers are :math:`P \,\sigma(P X W_0^\top) W_1^\top` with :math:`P` as in :class:`~graphkit.nn.GCNConv`. The
    batch's ``edge_weight`` is used when there is one. With ``edge_dim`` or ``edge_types`` layers are
    :class:`~graphkit.nn.GCNEConv`, as in GCN+, which reads features of edges and no weights.

    The original has 16 hidden channels, dropout 0.5, no biases, weight decay on the first layer only and row-normalised
    features: the recipes ``gcn/cora``, ``gcn/citeseer`` and ``gcn/pubmed`` say so explicitly.

    Args:
        num_layers: The number of convolutions (default: 2).

    Example:
        >>> import torch
        >>> data = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]]))
        >>> GCN(4, 8, num_layers=2, out_channels=2)(data).shape
        torch.Size([3, 2])
    """

    checks = Checks(
        [
            {"dropout": 0.5},
            {"edge_dim": 3, "num_layers": 3, "norm": "batch_norm", "residual": True, "act": "gelu"},
            {"num_layers": 3, "norm": "batch_norm", "residual": True},
            {"norm": "layer_norm", "readout": "mean", "act": "elu"},
            {"num_layers": 1, "bias": False},
            {"num_layers": 3, "norm": "batch_norm", "readout": "mean", "pool_outputs": True},
            {"readout": "gnp", "readout_kwargs": {"act": "softplus"}},
            {"residual": True, "norm": "batch_norm", "readout": "mean", "feed_forward": True, "head_layers": 3},
            {"encoder": True, "drop_outputs": True, "dropout": 0.5, "pe": 2, "pe_channels": 2},
        ],
        {"edge_dim": None},
    )

    reads = Reads(edge_weight=True, edge_attr=True)
    num_hops = 2  # the degrees of a node's neighbours count

    def make_layer(self, in_channels: int, out_channels: int) -> nn.Module:
        if not self.has_edges:
            return GCNConv(in_channels, out_channels, bias=self.bias)
        edge_dim = None if out_channels == self.hidden_channels else self.hidden_channels
        return GCNEConv(in_channels, out_channels, edge_dim, bias=self.bias)

    def propagate(self, layer: nn.Module, h: State, batch: Data) -> Tensor:
        return layer(h, batch.edge_index, self.edge_states(batch) if self.has_edges else batch.get("edge_weight"))
