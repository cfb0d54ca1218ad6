"""The convolution of GraphSAINT's own network."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch_geometric.nn.resolver import activation_resolver

from graphkit.core.checks import Checks
from graphkit.core.constraints import Activation, Channels, Count, NonNegativeInt
from graphkit.nn.layer import Layer
from graphkit.nn.linear import Linear
from graphkit.nn.node_axis import pair_of, static_graphs
from graphkit.ops import SparseMatrix, gcn_norm, weighted_pattern
from graphkit.ops.pattern import Size, SparsityPattern

EPS = 1e-9  # of the official normalisation


class GraphSAINTConv(Layer):
    r"""Convolution of several orders: the input and its averages over neighbours, each with weights of its own.

    From `"GraphSAINT: Graph Sampling Based Inductive Learning Method" <https://arxiv.org/abs/1907.04931>`_ (Zeng, Zhou,
    Srivastava, Kannan, Prasanna, ICLR 2020).

    A layer of order :math:`o` joins

    .. math::
        \mathrm{norm}_k(\sigma((D^{-1} A)^k X W_k^\top + b_k)), \qquad k = 0, \dots, o

    side by side (or adds them), where :math:`A` has no self-loops added and :math:`\mathrm{norm}` standardises each
    row, with a learned scale and offset.

    Args:
        out_channels: Size of the rows of each order.
        order: The order :math:`o` (default: 1).
        act: The activation :math:`\sigma`, by PyG's names (default: ``"relu"``).
        join: ``"concat"``, or ``"sum"``, which the official code calls "mean" (default: ``"concat"``).
        norm: Whether rows are standardised (default: ``True``).

    Shapes:
        - **input:** ``x`` ``[*, num_nodes, in_channels]``, dense; or a pair of the features of sources and of targets,
          for an order up to 1; ``edge_index`` ``[2, num_edges]``; ``edge_weight`` ``[num_edges]`` (optional,
          differentiable); ``full_degree`` ``[num_nodes]``, what sums are divided by instead of the row sums of
          :math:`A` (optional)
        - **output:** ``[*, num_nodes, (order + 1) * out_channels]``, or ``[*, num_nodes, out_channels]`` for ``"sum"``

    Example:
        >>> GraphSAINTConv(3, 2)(torch.ones(4, 3), torch.tensor([[0, 1, 2], [1, 2, 3]])).shape
        torch.Size([4, 4])
    """

    checks = Checks([{}, {"order": 2, "join": "sum", "act": "elu"}, {"norm": False}])
    takes_sparse = False  # products of sparse matrices are not made

    def __init__(
        self,
        in_channels: Channels,
        out_channels: Count,
        order: NonNegativeInt = 1,
        act: Activation = "relu",
        join: Literal["concat", "sum"] = "concat",
        norm: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.order, self.join = order, join
        self.lins = nn.ModuleList(Linear(in_channels, out_channels) for _ in range(order + 1))
        self.norms = nn.ModuleList(nn.LayerNorm(out_channels, EPS) for _ in range(order + 1) if norm)
        self.activation = activation_resolver(act)

    @static_graphs
    def forward(
        self, x: Any, edge_index: Tensor, edge_weight: Tensor | None = None, full_degree: Tensor | None = None
    ) -> Tensor:
        """All orders; see the class for shapes."""
        source, target = pair_of(x)
        size = self.sizes(source, target)
        edges = self.edges(edge_index, size)
        average = self.along(mean_over_neighbours(edges, edge_weight, full_degree, size, source.dtype))
        powers = [target]
        for _ in range(self.order):
            powers.append(average.matmul(powers[-1] if powers[1:] else source))
        return self._join(*powers)

    @property
    def bipartite(self) -> bool:  # type: ignore[override]
        """Whether features may be a pair: averages of averages need one set of nodes."""
        return self.order <= 1

    def propagation(
        self,
        edge_index: Tensor,
        edge_weight: Tensor | None,
        full_degree: Tensor | None,
        size: int,
        dtype: torch.dtype | None = None,
    ) -> SparseMatrix | None:
        """The matrix of a layer of order 0 (without entries) or 1, for a graph with ``size`` nodes."""
        if self.order == 0:
            return SparseMatrix.from_edges(torch.empty(2, 0, dtype=torch.long, device=edge_index.device), size=size)
        edges = self.edges(edge_index, size)
        return mean_over_neighbours(edges, edge_weight, full_degree, size, dtype) if self.order == 1 else None

    def combine(self, propagated: Any, own: Any) -> Tensor:
        """The rest of a layer of order 0 or 1, from (rows of) the averages and of the input."""
        return self._join(*[own, propagated][: self.order + 1])

    def _join(self, *powers: Any) -> Tensor:
        parts = [self.activation(lin(h)) for lin, h in zip(self.lins, powers, strict=True)]
        if self.norms:
            parts = [norm(part) for norm, part in zip(self.norms, parts, strict=True)]
        return torch.cat(parts, dim=-1) if self.join == "concat" else torch.stack(parts).sum(0)


def mean_over_neighbours(
    edge_index: Tensor | SparsityPattern,
    edge_weight: Tensor | None,
    full_degree: Tensor | None,
    size: Size,
    dtype: torch.dtype | None = None,
) -> SparseMatrix:
    """The matrix of the mean over neighbours, or of what estimates it on a sample of the graph.

    Args:
        edge_index: The edges.
        edge_weight: Their weights; ``None`` for ones.
        full_degree: The degrees in the graph that was sampled; ``None`` for the row sums.
        size: The number of nodes, or of sources and of targets.
        dtype: The dtype of the values (default: that of the weights, or torch's).
    """
    if full_degree is None:
        return gcn_norm(edge_index, edge_weight, add_self_loops=False, norm="row", size=size, dtype=dtype)
    pattern, edge_weight = weighted_pattern(edge_index, edge_weight, size)
    share = 1.0 if edge_weight is None else pattern.to_csr(edge_weight)
    return SparseMatrix(pattern, share / full_degree[pattern.row])
