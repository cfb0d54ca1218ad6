"""MPNN: message passing with any aggregation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.checks import Checks
from graphkit.models.base import State
from graphkit.models.stack import LayerStack
from graphkit.nn import Linear, aggr


class MPNN(LayerStack):
    r"""Message passing network whose aggregation is an argument.

    From `"Neural Message Passing for Quantum Chemistry" <https://arxiv.org/abs/1704.01212>`_ (Gilmer et al., ICML
    2017), with one linear map each for messages and updates:

    .. math::
        h'_v = U_1 h_v + U_2 \bigoplus_{u \in N(v)} \mathrm{ReLU}(M_1 h_v + M_2 h_u)

    A learned aggregation (``"lcm"``, ``"gnp"``, ``"recurrent"``) can be compared with fixed ones in this model:
    everything else stays the same.

    Args:
        hidden_channels: The width of hidden states and messages (default: 64).
        aggr: How messages are aggregated, by the name of an aggregation, graphkit's or PyG's (default: ``"mean"``).
        aggr_kwargs: Further arguments of the aggregation (default: none).

    Shapes:
        - **input:** a PyG ``Data`` or ``Batch`` with ``x`` ``[num_nodes, in_channels]`` and ``edge_index``
        - **output:** ``[num_nodes, out_channels]``, or ``[num_graphs, out_channels]`` with a readout

    Example:
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
        in_channels: int,
        hidden_channels: int = 64,
        num_layers: int = 2,
        out_channels: int | None = None,
        aggr: str = "mean",
        aggr_kwargs: dict[str, Any] | None = None,
        dropout: float = 0.0,
        act: str = "relu",
        norm: str | None = None,
        residual: bool | str = False,
        readout: str | None = None,
        readout_kwargs: dict[str, Any] | None = None,
        input_dropout: float | None = None,
    ) -> None:
        self._aggregation = (aggr, hidden_channels, aggr_kwargs or {})  # for make_layer
        super().__init__(
            in_channels,
            hidden_channels,
            num_layers,
            out_channels,
            dropout=dropout,
            act=act,
            norm=norm,
            residual=residual,
            readout=readout,
            readout_kwargs=readout_kwargs,
            input_dropout=input_dropout,
        )
        self.aggr = aggr
        self.aggr_kwargs = aggr_kwargs

    def make_layer(self, in_channels: int, out_channels: int) -> nn.Module:
        name, channels, kwargs = self._aggregation
        return _MessageLayer(in_channels, channels, out_channels, aggr.resolve(name, channels, **kwargs))

    def propagate(self, layer: nn.Module, h: State, batch: Data) -> Tensor:
        return layer(h, batch.edge_index)


class _MessageLayer(nn.Module):
    def __init__(self, in_channels: int, hidden_channels: int, out_channels: int, aggregation: nn.Module) -> None:
        super().__init__()
        self.from_target = Linear(in_channels, hidden_channels)
        self.from_source = Linear(in_channels, hidden_channels, bias=False)
        self.aggregation = aggregation
        self.update_self = Linear(in_channels, out_channels)
        self.update_messages = Linear(hidden_channels, out_channels, bias=False)

    def forward(self, h: State, edge_index: Tensor) -> Tensor:
        source, target = edge_index[0], edge_index[1]
        own = self.from_target(h)
        messages = torch.relu(own[target] + self.from_source(h)[source])
        return self.update_self(h) + self.update_messages(self.aggregation(messages, target, dim_size=own.size(0)))

    def reset_parameters(self) -> None:
        for module in self.children():
            module.reset_parameters()  # type: ignore[operator]
