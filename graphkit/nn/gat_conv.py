"""Graph attention."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric import nn as pyg
from torch_geometric.nn.inits import glorot

from graphkit.core.checks import Checks
from graphkit.core.constraints import Count, Finite, Probability
from graphkit.core.overriding import as_written
from graphkit.nn.attention_conv import AttentionConv, Fill, bipartite_linears
from graphkit.nn.linear import Linear
from graphkit.nn.node_axis import Widths
from graphkit.ops import Scores


class GATConv(AttentionConv):
    r"""Graph attention: neighbours are averaged with weights that a sum of two numbers gives, the target's and theirs.

    From `"Graph Attention Networks" <https://arxiv.org/abs/1710.10903>`_ (Velickovic et al., ICLR 2018). Per head,

    .. math::
        x'_t = \sum_{s \to t} \alpha_{st} W x_s, \qquad
        \alpha_{st} = \mathrm{softmax}_s \, \mathrm{LeakyReLU}(a_{src}^\top W x_s + a_{dst}^\top W x_t
        + a_{edge}^\top W_e e_{st})

    The edges' term is computed from :math:`W_e^\top a_{edge}`, so that nothing of size edges times channels exists.

    Args:
        concat: Whether the outputs of heads are concatenated (default: ``True``).
        negative_slope: The slope of the leaky ReLU (default: 0.2).
        dropout: The probability of dropping a weight (default: 0).
        add_self_loops: Whether every node has one self-loop (default: ``True``).
        edge_dim: The number of edge features (default: none).
        fill_value: Edge features of self-loops (default: ``"mean"``).
        bias: Whether there is a bias (default: ``True``).

    Example:
        >>> GATConv(3, 2, heads=4)(torch.ones(4, 3), torch.tensor([[0, 1, 2], [1, 2, 3]])).shape
        torch.Size([4, 8])
    """

    checks = Checks(
        [
            {},
            {"heads": 2, "concat": False, "dropout": 0.3, "edge_dim": None, "residual": True},
            {"heads": 2, "add_self_loops": False, "bias": False, "negative_slope": 0.5},
        ],
        same_as=pyg.GATConv,
    )

    def __init__(
        self,
        in_channels: Widths,
        out_channels: Count,
        heads: Count = 1,
        concat: bool = True,
        negative_slope: Finite = 0.2,
        dropout: Probability = 0.0,
        add_self_loops: bool = True,
        edge_dim: Count | None = None,
        fill_value: Fill = "mean",
        bias: bool = True,
        residual: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            in_channels, out_channels, heads, concat, dropout, edge_dim, add_self_loops, fill_value, **kwargs
        )
        self.negative_slope, self.residual = negative_slope, residual
        width = heads * out_channels
        self.lin = self.lin_src = self.lin_dst = None
        if isinstance(in_channels, int):
            self.lin = Linear(in_channels, width, bias=False)
        else:
            self.lin_src, self.lin_dst = bipartite_linears(in_channels, width, bias=False)
        self.att_src = nn.Parameter(torch.empty(1, heads, out_channels))
        self.att_dst = nn.Parameter(torch.empty(1, heads, out_channels))
        self.lin_edge: Any = None if edge_dim is None else Linear(edge_dim, width, bias=False)
        self.att_edge = None if edge_dim is None else nn.Parameter(torch.empty(1, heads, out_channels))
        self.res = bipartite_linears(in_channels, self.total_channels, bias=False)[1] if residual else None
        self.bias = nn.Parameter(torch.empty(self.total_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights: Glorot uniform, zeros for the bias."""
        super().reset_parameters()
        for vector in (self.att_src, self.att_dst, self.att_edge):
            glorot(vector)

    def forward(
        self,
        x: Any,
        edge_index: Tensor,
        edge_attr: Tensor | None = None,
        size: tuple[int, int] | None = None,
        return_attention_weights: bool | None = None,
    ) -> Any:
        """One layer; see the class for shapes. ``size`` counts nodes where targets have no features."""
        source, target = self.pair(x)
        z = self.mapped(self.lin or self.lin_src, source)
        edges = self.prepared(edge_index, edge_attr, self.sizes(source, target, size))
        if target is source and self.lin is not None:
            of_source, of_target = self._products(z, self.att_src, self.att_dst)
        else:
            (of_source,) = self._products(z, self.att_src)
            if target is None:
                of_target = z.new_zeros(edges.size[1], self.heads)
            else:
                (of_target,) = self._products(self.mapped(self.lin or self.lin_dst, target), self.att_dst)
        scores = Scores.additive(of_target, of_source, self._of_edges(edges.attr), self.negative_slope)
        out, _, weights = self.attend(edges, scores, z, weights=bool(return_attention_weights))
        return self.finished(out, target, edges, weights)

    def _products(self, z: Tensor, *vectors: Tensor) -> tuple[Tensor, ...]:
        """Per node and head the inner product with each vector, by one product: passes over channels cost more."""
        maps = torch.cat([torch.block_diag(*vector.transpose(0, 1)) for vector in vectors])
        return F.linear(z.flatten(1), maps).split(self.heads, dim=1)

    def _of_edges(self, edge_attr: Tensor | None) -> Tensor | None:
        if edge_attr is None or self.att_edge is None:
            return None
        if not as_written(self.lin_edge):
            return (self.by_head(self.lin_edge(edge_attr)) * self.att_edge).sum(-1)
        per_head = self.lin_edge.weight.view(self.heads, self.out_channels, -1)
        return edge_attr @ (per_head * self.att_edge.transpose(0, 1).view(self.heads, -1, 1)).sum(1).t()
