"""Message passing with any aggregation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Count
from graphkit.core.validate import check_edge_index
from graphkit.nn import aggr as aggregations
from graphkit.nn.layer import Layer
from graphkit.nn.linear import Linear
from graphkit.nn.node_axis import static_graphs
from graphkit.ops import SparseMatrix, unweighted_pattern


class MPNNConv(Layer):
    r"""Message passing whose aggregation is an argument.

    From `"Neural Message Passing for Quantum Chemistry" <https://arxiv.org/abs/1704.01212>`_ (Gilmer et al., ICML
    2017), with one linear map each for messages and updates:

    .. math::
        x'_v = U_1 x_v + U_2 \bigoplus_{u \in N(v)} \mathrm{ReLU}(M_1 x_v + M_2 x_u)

    Args:
        hidden_channels: Size of messages.
        aggr: How messages are aggregated, by the name of an aggregation, graphkit's or PyG's (default: ``"mean"``).
        aggr_kwargs: Further arguments of the aggregation (default: none).

    Shapes:
        - **input:** ``x`` ``[*, num_nodes, in_channels]`` (dense, or a :class:`~graphkit.ops.SparseMatrix`);
          ``edge_index`` ``[2, num_edges]``

    Example:
        >>> MPNNConv(3, 8, 2, aggr="max")(torch.ones(4, 3), torch.tensor([[0, 1, 2], [1, 2, 3]])).shape
        torch.Size([4, 2])
    """

    checks = Checks([{}, {"aggr": "recurrent"}, {"aggr": "lcm"}, {"aggr": "max"}])

    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count,
        out_channels: Count,
        aggr: str = "mean",
        aggr_kwargs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.from_target = Linear(in_channels, hidden_channels)
        self.from_source = Linear(in_channels, hidden_channels, bias=False)
        self.aggregation = aggregations.resolve(aggr, hidden_channels, **(aggr_kwargs or {}))
        self.update_self = Linear(in_channels, out_channels)
        self.update_messages = Linear(hidden_channels, out_channels, bias=False)

    def reset_parameters(self) -> None:
        """Draw new weights: Glorot uniform, zeros for biases, and those of the aggregation."""
        for module in self.children():
            module.reset_parameters()  # type: ignore[operator]

    @static_graphs
    def forward(self, x: Tensor | SparseMatrix, edge_index: Tensor) -> Tensor:
        """The updated states; see the class for shapes."""
        if not isinstance(edge_index, Tensor) or edge_index.layout != torch.strided:
            edge_index = unweighted_pattern(edge_index, x.shape[0], "MPNNConv").edge_index()
        check_edge_index(edge_index, x.shape[0], "MPNNConv")
        source, target = edge_index[0], edge_index[1]
        own = self.from_target(x)
        messages = torch.relu(own[target] + self.from_source(x)[source])
        received = self.aggregation(messages, target, dim_size=own.size(0), dim=0)
        return self.update_self(x) + self.update_messages(received)
