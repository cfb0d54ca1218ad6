"""Graph attention whose ranking of neighbours depends on the node."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric import nn as pyg
from torch_geometric.nn.inits import glorot, zeros

from graphkit.core.checks import Checks
from graphkit.core.constraints import Count, Finite, Probability
from graphkit.nn.attention_conv import AttentionConv, Fill, bipartite_linears
from graphkit.nn.linear import Linear
from graphkit.nn.node_axis import Widths
from graphkit.ops import Scores


class GATv2Conv(AttentionConv):
    r"""Graph attention with a perceptron for scores.

    From `"How Attentive are Graph Attention Networks?" <https://arxiv.org/abs/2105.14491>`_ (Brody, Alon, Yahav, ICLR
    2022). Per head,

    .. math::
        x'_t = \sum_{s \to t} \alpha_{st} W_l x_s, \qquad
        \alpha_{st} = \mathrm{softmax}_s \, a^\top \mathrm{LeakyReLU}(W_l x_s + W_r x_t + W_e e_{st})

    Args:
        concat: Whether the outputs of heads are concatenated (default: ``True``).
        negative_slope: The slope of the leaky ReLU (default: 0.2).
        dropout: The probability of dropping a weight (default: 0).
        add_self_loops: Whether every node has one self-loop (default: ``True``).
        edge_dim: The number of edge features (default: none).
        fill_value: Edge features of self-loops (default: ``"mean"``).
        bias: Whether there are biases, of the maps as well (default: ``True``).
        share_weights: Whether :math:`W_r = W_l` (default: ``False``).

    Example:
        >>> GATv2Conv(3, 2, heads=4)(torch.ones(4, 3), torch.tensor([[0, 1, 2], [1, 2, 3]])).shape
        torch.Size([4, 8])
    """

    checks = Checks(
        [
            {},
            {"heads": 2, "concat": False, "dropout": 0.3, "edge_dim": None, "residual": True},
            {"heads": 2, "add_self_loops": False, "bias": False, "share_weights": True},
        ],
        same_as=pyg.GATv2Conv,
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
        share_weights: bool = False,
        residual: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            in_channels, out_channels, heads, concat, dropout, edge_dim, add_self_loops, fill_value, **kwargs
        )
        self.negative_slope, self.residual, self.share_weights = negative_slope, residual, share_weights
        width = heads * out_channels
        self.lin_l, self.lin_r = bipartite_linears(in_channels, width, bias=bias, bias_initializer=None)
        if share_weights:
            self.lin_r = self.lin_l
        self.att = nn.Parameter(torch.empty(1, heads, out_channels))
        self.lin_edge: Any = None if edge_dim is None else Linear(edge_dim, width, bias=False)
        self.res = bipartite_linears(in_channels, self.total_channels, bias=False)[1] if residual else None
        self.bias = nn.Parameter(torch.empty(self.total_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights: Glorot uniform, zeros for ``bias``; biases of maps as torch's linear layers do."""
        for lin in (self.lin_l, self.lin_r, self.lin_edge, self.res):
            if lin is not None:
                lin.reset_parameters()
        glorot(self.att)
        zeros(self.bias)

    def forward(
        self,
        x: Any,
        edge_index: Tensor,
        edge_attr: Tensor | None = None,
        return_attention_weights: bool | None = None,
    ) -> Any:
        """One layer; see the class for shapes."""
        source, target = self.pair(x)
        if target is None:
            raise ValueError("GATv2Conv: features of targets are None, but scores are made of them")
        z = self.mapped(self.lin_l, source)
        z_target = z if self.share_weights and target is source else self.mapped(self.lin_r, target)
        edges = self.prepared(edge_index, edge_attr, self.sizes(source, target))
        of_edges = None if edges.attr is None else self.by_head(self.lin_edge(edges.attr))
        scores = Scores.dynamic(z_target, z, self.att[0], of_edges, self.negative_slope)
        out, _, weights = self.attend(edges, scores, z, weights=bool(return_attention_weights))
        return self.finished(out, target, edges, weights)
