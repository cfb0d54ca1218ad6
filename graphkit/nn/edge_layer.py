"""Layers whose messages read features of edges as wide as what is sent."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from graphkit import ops
from graphkit.core.validate import checked_edge_attr
from graphkit.nn.layer import Layer
from graphkit.ops import SparsityPattern


class EdgeLayer(Layer):
    """A layer that adds the features of an edge to what its source sends.

    Features of edges are needed. Those of a width ``edge_dim`` are mapped to the width of what is sent; without
    ``edge_dim`` they have this width and are added as they are.

    Usual arguments:
        edge_dim: The number of features of an edge, to be mapped; ``None`` for as many as are added to (default:
            ``None``).

    Shapes:
        - **input:** ``x`` ``[num_nodes, in_channels]``, or a pair of the features of sources and of targets;
          ``edge_index`` ``[2, num_edges]``; ``edge_attr`` ``[num_edges, edge_dim]``
        - **output:** ``[num_nodes, out_channels]``

    Raises:
        ValueError: If features of edges are missing, or have other sizes.
    """

    bipartite = True
    takes_static = False  # their edges would need features of several kinds
    lin_edge: Any  # the map of features of edges, or none

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def with_edges(
        self, edge_index: Any, edge_attr: Tensor | None, size: tuple[int, int], width: int
    ) -> tuple[SparsityPattern, Tensor]:
        """The pattern of the edges, and their features, mapped where they are to be."""
        name = type(self).__name__
        if edge_attr is None:
            raise ValueError(f"{name}: no edge_attr is given, but messages are made of it; pass one row per edge")
        pattern = ops.unweighted_pattern(self.edges(edge_index, size), size, name)
        wanted = width if self.lin_edge is None else self.lin_edge.in_channels
        edge_attr = checked_edge_attr(edge_attr, pattern.num_edges, wanted, name)
        return pattern, edge_attr if self.lin_edge is None else self.lin_edge(edge_attr)

    def rectified_sum(self, z: Tensor, edge_index: Any, edge_attr: Tensor | None, size: tuple[int, int]) -> Tensor:
        r"""For each target :math:`\sum_{u \to t} \mathrm{ReLU}(z_u + e_{ut})`."""
        pattern, edge_attr = self.with_edges(edge_index, edge_attr, size, z.size(-1))
        if not self.sends_messages:
            return ops.relu_sum(pattern, z, edge=edge_attr)
        return self.send(pattern.edge_index(), size, edge_id=pattern.edge_id, x=z, edge_attr=edge_attr)

    def message(self, x_j: Tensor, edge_attr: Tensor) -> Tensor:  # type: ignore[override]
        """What a source tells a target."""
        return (x_j + edge_attr).relu()
