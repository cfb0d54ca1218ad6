"""MPNN: message passing with any aggregation."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.checks import Checks
from graphkit.core.config import shared_arguments
from graphkit.core.constraints import Activation, Channels, Count, Probability
from graphkit.models.base import State
from graphkit.models.stack import LayerStack, Norm
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

    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 64,
        num_layers: Count = 2,
        out_channels: Count | None = None,
        aggr: str = "mean",
        aggr_kwargs: dict[str, Any] | None = None,
        dropout: Probability = 0.0,
        act: Activation = "relu",
        norm: Norm | None = None,
        residual: bool | Literal["linear"] = False,
        readout: str | None = None,
        readout_kwargs: dict[str, Any] | None = None,
        input_dropout: Probability | None = None,
        head_dropout: Probability = 0.0,
    ) -> None:
        self.aggr, self.aggr_kwargs = aggr, aggr_kwargs  # for make_layer
        super().__init__(**shared_arguments(LayerStack, locals()))

    def make_layer(self, in_channels: int, out_channels: int) -> nn.Module:
        return MPNNConv(in_channels, self.hidden_channels, out_channels, self.aggr, self.aggr_kwargs)

    def propagate(self, layer: nn.Module, h: State, batch: Data) -> Tensor:
        return layer(h, batch.edge_index)
