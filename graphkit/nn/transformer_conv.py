"""The layer of graph transformers that attends to neighbours."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch_geometric import nn as pyg

from graphkit.core.checks import Checks
from graphkit.core.constraints import Count, Probability
from graphkit.nn.attention_conv import AttentionConv, bipartite_linears
from graphkit.nn.linear import Linear
from graphkit.nn.node_axis import Widths
from graphkit.ops import Scores


class TransformerConv(AttentionConv):
    r"""Attention by scaled dot products of queries and keys.

    From `"Masked Label Prediction: Unified Message Passing Model for Semi-Supervised Classification"
    <https://arxiv.org/abs/2009.03509>`_ (Shi et al., IJCAI 2021). Per head, with :math:`d` channels,

    .. math::
        m_t = \sum_{s \to t} \alpha_{st} (W_v x_s + W_e e_{st}), \qquad
        \alpha_{st} = \mathrm{softmax}_s \, \frac{\langle W_q x_t, W_k x_s + W_e e_{st} \rangle}{\sqrt d}

    and :math:`x'_t = m_t + W_{skip} x_t`, or with ``beta`` the mean of both by a gate,
    :math:`\beta = \mathrm{sigmoid}(w^\top [m_t, W_{skip} x_t, m_t - W_{skip} x_t])` for the second one.

    Args:
        concat: Whether the outputs of heads are concatenated (default: ``True``).
        beta: Whether there is the gate; only with ``root_weight`` (default: ``False``).
        dropout: The probability of dropping a weight (default: 0).
        edge_dim: The number of edge features (default: none).
        bias: Whether maps of nodes have a bias (default: ``True``).
        root_weight: Whether there is the target's own term (default: ``True``).

    Example:
        >>> TransformerConv(3, 2, heads=4)(torch.ones(4, 3), torch.tensor([[0, 1, 2], [1, 2, 3]])).shape
        torch.Size([4, 8])
    """

    checks = Checks(
        [
            {},
            {"heads": 2, "concat": False, "dropout": 0.3, "edge_dim": None, "beta": True},
            Checks(
                [{"heads": 2, "root_weight": False, "bias": False}],
                expected_failures={"parameters_get_gradients": "as in PyG, lin_skip stays without a use"},
                same_as=pyg.TransformerConv,
            ),
        ],
        same_as=pyg.TransformerConv,
    )

    def __init__(
        self,
        in_channels: Widths,
        out_channels: Count,
        heads: Count = 1,
        concat: bool = True,
        beta: bool = False,
        dropout: Probability = 0.0,
        edge_dim: Count | None = None,
        bias: bool = True,
        root_weight: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, heads, concat, dropout, edge_dim, **kwargs)
        if beta and not root_weight:
            raise ValueError(
                "TransformerConv: beta=True weighs the target's own term, which root_weight=False leaves out"
            )
        self.beta, self.root_weight = beta, root_weight
        width, as_torch = heads * out_channels, {"weight_initializer": None, "bias_initializer": None}
        self.lin_key, self.lin_query = bipartite_linears(in_channels, width, bias=bias, **as_torch)
        self.lin_value, _ = bipartite_linears(in_channels, width, bias=bias, **as_torch)
        self.lin_edge: Any = None if edge_dim is None else Linear(edge_dim, width, bias=False, weight_initializer=None)
        _, self.lin_skip = bipartite_linears(in_channels, self.total_channels, bias=bias, **as_torch)
        gate = Linear(3 * self.total_channels, 1, bias=False, weight_initializer=None)
        self.lin_beta = gate if self.beta else None

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
            raise ValueError("TransformerConv: features of targets are None, but queries are made of them")
        if edge_attr is None and self.edge_dim is not None:
            raise ValueError(f"TransformerConv: edge_dim={self.edge_dim}, but no edge_attr is given")
        edges = self.prepared(edge_index, edge_attr, self.sizes(source, target))
        query, key, value = (
            self.mapped(lin, part)
            for lin, part in ((self.lin_query, target), (self.lin_key, source), (self.lin_value, source))
        )
        of_edges = None if edges.attr is None else self.by_head(self.lin_edge(edges.attr))
        wanted = isinstance(return_attention_weights, bool)
        out, weights, _ = self.attend(edges, Scores.dot(query, key, of_edges), value, of_edges, wanted)
        own: Any = self.lin_skip(target) if self.root_weight else None
        out = self.merged(out, None if self.beta else own)
        if self.lin_beta is not None:
            share = self.lin_beta(torch.cat([out, own, out - own], dim=-1)).sigmoid()
            out = share * own + (1 - share) * out
        return self.returned(out, edges, weights)
