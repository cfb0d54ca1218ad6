"""GIN: a stack of graph isomorphism layers."""

from __future__ import annotations

from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.checks import Checks
from graphkit.core.reads import Reads
from graphkit.models.base import State
from graphkit.models.stack import EdgeStack
from graphkit.nn import GINConv, GINEConv, GINPerceptron


class GIN(EdgeStack):
    r"""Graph isomorphism network: a stack of :class:`~graphkit.nn.GINConv`.

    From `"How Powerful are Graph Neural Networks?" <https://arxiv.org/abs/1810.00826>`_ (Xu, Hu, Leskovec, Jegelka,
    ICLR 2019). The batch's ``edge_weight`` is used when there is one. The paper concatenates readouts of all layers;
    here the last one is read. With ``edge_dim`` or ``edge_types`` layers are :class:`~graphkit.nn.GINEConv`, which
    reads features of edges and no weights.

    Args:
        bias: Whether layers have biases (default: ``True``).

    Example:
        >>> import torch
        >>> data = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]]))
        >>> GIN(4, 8, num_layers=2, out_channels=2)(data).shape
        torch.Size([3, 2])
    """

    checks = Checks(
        [
            {"edge_dim": None},
            {"dropout": 0.5, "residual": True},
            {"readout": "sum", "feed_forward": True, "head_layers": 2, "head_act": "gelu"},
        ]
    )

    reads = Reads(edge_weight=True, edge_attr=True)
    num_hops = 1

    def make_layer(self, in_channels: int, out_channels: int) -> nn.Module:
        perceptron = GINPerceptron(in_channels, out_channels, self.bias)
        return GINEConv(perceptron) if self.has_edges else GINConv(perceptron)

    def propagate(self, layer: nn.Module, h: State, batch: Data) -> Tensor:
        return layer(h, batch.edge_index, self.edge_states(batch) if self.has_edges else batch.get("edge_weight"))
