"""MPNN: message passing with any aggregation."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Count
from graphkit.core.signatures import takes_arguments_of
from graphkit.models.base import State
from graphkit.models.stack import GNN_PLUS, LayerStack
from graphkit.nn import MPNNConv


class MPNN(LayerStack):
    r"""Message passing network whose aggregation is an argument.

    From `"Neural Message Passing for Quantum Chemistry" <https://arxiv.org/abs/1704.01212>`_ (Gilmer et al., ICML
    2017): a stack of :class:`~graphkit.nn.MPNNConv`.

    A learned aggregation (``"lcm"``, ``"gnp"``, ``"recurrent"``) can be compared with fixed ones in this model:
    everything else stays the same.

    Args:
        hidden_channels: The width of hidden states and messages (default: 64).
        aggr: How messages are aggregated, by the name of an aggregation, graphkit's or PyG's (default: ``"mean"``).
        aggr_kwargs: Further arguments of the aggregation (default: none).

    Example:
        >>> import torch
        >>> data = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]]))
        >>> MPNN(4, 8, num_layers=2, out_channels=2, aggr="lcm")(data).shape
        torch.Size([3, 2])
    """

    checks = Checks(
        [
            {},
            {"aggr": "recurrent", "readout": "gnp", "dropout": 0.5},
            {"aggr": "max", "residual": True, "norm": "layer_norm"},
        ]
    )

    num_hops = 1

    @takes_arguments_of(LayerStack, without=(*GNN_PLUS, "bias", "pool_outputs"))
    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 64,
        num_layers: Count = 2,
        out_channels: Count | None = None,
        aggr: str = "mean",
        aggr_kwargs: dict[str, Any] | None = None,
        **of_stack: Any,
    ) -> None:
        self.aggr, self.aggr_kwargs = aggr, aggr_kwargs  # for make_layer
        super().__init__(in_channels, hidden_channels, num_layers, out_channels, **of_stack)

    def make_layer(self, in_channels: int, out_channels: int) -> nn.Module:
        return MPNNConv(in_channels, self.hidden_channels, out_channels, self.aggr, self.aggr_kwargs)

    def propagate(self, layer: nn.Module, h: State, batch: Data) -> Tensor:
        return layer(h, batch.edge_index)
