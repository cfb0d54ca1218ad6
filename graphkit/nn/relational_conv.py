"""One convolution per relation."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Count
from graphkit.nn.gcn_conv import GCNConv
from graphkit.nn.gin_conv import GINConv, GINPerceptron
from graphkit.nn.layer import Layer
from graphkit.nn.linear import Linear
from graphkit.nn.node_axis import of_layout, refuse_pair
from graphkit.ops import SparseMatrix, SparsityPattern, split_pattern, weighted_pattern
from graphkit.ops.adjacency import part_of_weights


class RelationalConv(Layer):
    r"""A convolution with its own weights for every relation, and a linear map of the node itself.

    From `"Modeling Relational Data with Graph Convolutional Networks" <https://arxiv.org/abs/1703.06103>`_
    (Schlichtkrull et al., ESWC 2018); in rewired graphs, added edges are a relation (Karhadkar et al.: `"FoSR"
    <https://arxiv.org/abs/2210.11790>`_, ICLR 2023).

    .. math::
        x'_t = W_0 x_t + b + \sum_r \mathrm{conv}_r(x, E_r)_t

    over the relations :math:`r` with edges :math:`E_r`. With ``"gcn"`` (R-GCN) :math:`\mathrm{conv}_r` is the weighted
    mean :math:`\frac{1}{d_{r,t}} \sum_{u \to t} w_{ut} W_r x_u` over the edges of the relation that enter :math:`t`;
    with ``"gin"`` (R-GIN) it is :class:`GINConv`. The edges are divided once per graph.

    Args:
        num_relations: The number of relations (default: 2).
        conv: ``"gcn"`` or ``"gin"`` (default: ``"gcn"``).

    Shapes:
        - **input:** ``x`` ``[*, num_nodes, in_channels]`` (dense, or a :class:`~graphkit.ops.SparseMatrix`);
          ``edge_index`` ``[2, num_edges]``; ``edge_type`` ``[num_edges]`` in ``0..num_relations-1`` (default: all 0);
          ``edge_weight`` ``[num_edges]`` (optional, differentiable)

    Raises:
        ValueError: If there is no such ``conv``, no relation, or an edge of a relation that does not exist.

    Example:
        >>> conv = RelationalConv(3, 2)
        >>> edge_index, edge_type = torch.tensor([[0, 1, 2], [1, 2, 3]]), torch.tensor([0, 0, 1])
        >>> conv(torch.ones(4, 3), edge_index, edge_type).shape
        torch.Size([4, 2])
    """

    checks = Checks([{"num_relations": 1}, {"num_relations": 1, "conv": "gin"}])

    def __init__(
        self,
        in_channels: Channels,
        out_channels: Count,
        num_relations: Count = 2,
        conv: Literal["gcn", "gin"] = "gcn",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.num_relations, self.conv = num_relations, conv
        self.root = Linear(in_channels, out_channels)
        self.convs = nn.ModuleList(self._one_conv() for _ in range(num_relations))

    def _one_conv(self) -> nn.Module:
        if self.conv == "gin":
            return GINConv(GINPerceptron(self.in_channels, self.out_channels))
        return GCNConv(self.in_channels, self.out_channels, add_self_loops=False, normalize="row", bias=False)

    def forward(
        self,
        x: Tensor | SparseMatrix,
        edge_index: Tensor,
        edge_type: Tensor | None = None,
        edge_weight: Tensor | None = None,
    ) -> Tensor:
        """One convolution; see the class for shapes."""
        if isinstance(x, tuple | list):
            refuse_pair(self)
        x = of_layout(self, x)
        self.refuse_messages("sends them by its convs")
        out = self.root(x)
        edges, size = self.edges(edge_index, x.shape[-2]), x.shape[-2]
        pattern, edge_weight = weighted_pattern(edges, edge_weight, size)
        if edge_type is None:
            edge_type = pattern.cached("one relation", lambda: torch.zeros_like(pattern.col))
        parts = pattern.cached(("relations", self.num_relations), lambda copy: self._divide(pattern, copy), edge_type)
        for conv, (edges, ids) in zip(self.convs, parts):
            weight = edge_weight
            if weight is not None and weight.requires_grad:
                weight = weight[ids]
            elif weight is not None:  # the same tensor in each step, by which what follows from it is found again
                part = edges.cached("weights of a relation", lambda copy, ids=ids: copy[ids], weight)
                weight = part_of_weights(part, weight)
            out = out + conv(x, edges, weight)
        return out

    def _divide(self, pattern: SparsityPattern, edge_type: Tensor) -> list[tuple[SparsityPattern, Any]]:
        """The edges of each relation and their positions."""
        if edge_type.numel() != pattern.num_edges:
            raise ValueError(f"RelationalConv: {edge_type.numel()} edge types for {pattern.num_edges} edges")
        parts = split_pattern(pattern, edge_type, range(self.num_relations))
        if not pattern.traced and sum(part.num_edges for part, _ in parts) < pattern.num_edges:
            wrong = (edge_type < 0) | (edge_type >= self.num_relations)
            raise ValueError(
                f"RelationalConv: an edge has the relation {int(edge_type[wrong][0])}, but there are "
                f"{self.num_relations} relations; set num_relations"
            )
        return parts

    def __repr__(self) -> str:
        sizes = f"{self.in_channels}, {self.out_channels}, num_relations={self.num_relations}"
        return f"{type(self).__name__}({sizes}, conv={self.conv!r})"
