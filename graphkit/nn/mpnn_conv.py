"""Message passing with any aggregation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphkit.core.checks import Checks, untraced
from graphkit.core.constraints import Channels, Count
from graphkit.core.devices import ask_ahead
from graphkit.core.validate import check_edge_index
from graphkit.nn import aggr as aggregations
from graphkit.nn.layer import Layer
from graphkit.nn.linear import Linear
from graphkit.nn.node_axis import pair_of, static_graphs
from graphkit.ops import unweighted_pattern
from graphkit.ops.groups import ask_index

ONLY_THE_LARGEST = Checks(
    [{"aggr": "max"}], expected_failures={"edge_masks": "an edge whose message is not the largest changes nothing"}
)


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
        - **input:** ``x`` ``[*, num_nodes, in_channels]`` (dense, or a :class:`~graphkit.ops.SparseMatrix`), or a pair
          of the features of sources and of targets; ``edge_index`` ``[2, num_edges]``

    Example:
        >>> MPNNConv(3, 8, 2, aggr="max")(torch.ones(4, 3), torch.tensor([[0, 1, 2], [1, 2, 3]])).shape
        torch.Size([4, 2])
    """

    bipartite = True
    checks = Checks(
        [
            {},
            Checks(
                [{"aggr": "recurrent"}, {"aggr": "lcm"}],
                expected_failures=untraced("the aggregation sorts the elements of sets of any size"),
            ),
            ONLY_THE_LARGEST,
        ]
    )

    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count,
        out_channels: Count,
        aggr: str = "mean",
        aggr_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(None, **kwargs)
        self.from_target = Linear(in_channels, hidden_channels)
        self.from_source = Linear(in_channels, hidden_channels, bias=False)
        self.aggregation = aggregations.resolve(aggr, hidden_channels, **(aggr_kwargs or {}))
        self.update_self = Linear(in_channels, out_channels)
        self.update_messages = Linear(hidden_channels, out_channels, bias=False)

    @static_graphs
    def forward(self, x: Any, edge_index: Tensor) -> Tensor:
        """The updated states; see the class for shapes."""
        source, target = pair_of(x)
        size = self.sizes(source, target)
        edges, edge_id = self._ends(edge_index, size)
        own, other = self.from_target(target), self.from_source(source)
        if self.sends_messages:
            received = self.send(edges, size, own=own, other=other, edge_id=edge_id)
        else:
            try:
                messages = torch.relu(own.index_select(0, edges[1]) + other.index_select(0, edges[0]))
            except (RuntimeError, IndexError):
                check_edge_index(edges, size, "MPNNConv")
                raise
            received = self.aggregation(messages, edges[1], dim_size=size[1], dim=0)
        return self.update_self(target) + self.update_messages(received)

    def _ends(self, edge_index: Any, size: tuple[int, int]) -> tuple[Tensor, Tensor | None]:
        """Sources and targets of messages, and which edges they belong to."""
        graph = self.edges(edge_index, size)
        if isinstance(graph, Tensor) and graph.layout == torch.strided:
            if graph.is_cuda or graph.dim() != 2 or graph.size(0) != 2:  # what a processor refuses is told of then
                if graph.dim() == 2 and graph.dtype == torch.int64 and graph.numel() > 0:
                    ask_ahead(ask_index, graph[-1])  # for the aggregation
                check_edge_index(graph, size, "MPNNConv")
            return graph, None
        pattern = unweighted_pattern(graph, size, "MPNNConv")
        return pattern.edge_index(), pattern.edge_id

    def message(self, own_i: Tensor, other_j: Tensor) -> Tensor:  # type: ignore[override]
        """What a source tells a target."""
        return torch.relu(own_i + other_j)

    def aggregate(
        self, inputs: Tensor, index: Tensor, ptr: Tensor | None = None, dim_size: int | None = None
    ) -> Tensor:
        """The aggregation of messages."""
        return self.aggregation(inputs, index, ptr=ptr, dim_size=dim_size, dim=self.node_dim)
