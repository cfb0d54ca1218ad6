"""Polynormer's layers: attention to neighbours, and to all nodes, each multiplied with a map of the node itself."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn import inits

from graphkit.core.checks import Checks
from graphkit.core.constraints import Checked, Count, Finite, Probability
from graphkit.core.signatures import takes_arguments_of
from graphkit.nn.gat_conv import GATConv
from graphkit.nn.graph_blocks import by_graph
from graphkit.nn.linear import torch_linear
from graphkit.nn.node_axis import one_graph
from graphkit.ops.dropout import dropout as drop


class _PolynomialLayer(Checked, nn.Module):
    r"""A layer whose output is a product of two of its input's maps.

    Usual arguments:
        channels: Size of each input and output row, all heads together.
        heads: The number of heads, which must divide ``channels``.
        beta: What the learned vector :math:`b` starts from, used as it is; ``None`` for :math:`\beta = \sigma(b)` of a
            random one (default: ``None``).
        relu: The ReLUs, without which an output is a polynomial of the input (default: ``True``).
        dropout: The probability of dropping an entry (default: 0).

    Shapes:
        - **input:** ``x`` ``[num_nodes, channels]``
        - **output:** ``[num_nodes, channels]``

    Raises:
        ValueError: If the heads do not divide the channels.
    """

    takes_sparse = False

    def __init__(
        self,
        channels: Count,
        heads: Count = 1,
        beta: Finite | None = None,
        relu: bool = True,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"{type(self).__name__}: channels={channels}, must be a multiple of heads={heads}")
        self.channels, self.in_channels, self.heads, self.dropout = channels, channels, heads, dropout
        self.initial_beta, self.act = beta, nn.ReLU() if relu else nn.Identity()
        self.beta = nn.Parameter(torch.empty(channels))
        self.lin_own = torch_linear(channels, channels)
        self.norm = nn.LayerNorm(channels)

    def reset_parameters(self) -> None:
        """Draw new weights, as torch's linear maps are drawn, and :math:`b` by Xavier's rule or as told."""
        for part in self.children():
            inits.reset(part)
        if self.initial_beta is None:
            nn.init.xavier_normal_(self.beta.view(1, -1))
        else:
            nn.init.constant_(self.beta, self.initial_beta)

    def weight(self) -> Tensor:
        r"""The vector :math:`\beta`."""
        return self.beta if self.initial_beta is not None else self.beta.sigmoid()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.channels}, heads={self.heads})"


class PolynormerConv(_PolynomialLayer):
    r"""Polynormer's local layer: graph attention times a map of the node's own features.

    From `"Polynormer: Polynomial-Expressive Graph Transformer in Linear Time" <https://arxiv.org/abs/2403.01232>`_
    (Deng, Yue, Zhang, ICLR 2024), where it is called local equivariant attention.

    .. math::
        y = \mathrm{ReLU}(\mathrm{GAT}(x) + G x), \qquad
        x' = (1 - \beta) \odot \mathrm{LN} \big( \mathrm{ReLU}(H x) \odot y \big) + \beta \odot y

    with a :class:`GATConv` without bias, whose nodes have one self-loop each, and linear maps :math:`G` and :math:`H`.

    Args:
        pre_norm: Whether :math:`x` is normalised first (default: ``False``).
        dropout: The probability of dropping an entry of :math:`y` (default: 0).

    Shapes:
        - **input:** ``x`` ``[num_nodes, channels]``; ``edge_index`` ``[2, num_edges]``

    Example:
        >>> PolynormerConv(6, heads=2)(torch.ones(4, 6), torch.tensor([[0, 1, 2], [1, 2, 3]])).shape
        torch.Size([4, 6])
    """

    checks = Checks([{}, {"beta": 0.4, "pre_norm": True}, {"relu": False, "dropout": 0.5}], {"channels": 5})

    @takes_arguments_of(_PolynomialLayer)
    def __init__(
        self,
        channels: Count,
        heads: Count = 1,
        *,
        pre_norm: bool = False,
        dropout: Probability = 0.0,
        **of_layer: Any,
    ) -> None:
        super().__init__(channels, heads, dropout=dropout, **of_layer)
        self.pre_norm = nn.LayerNorm(channels) if pre_norm else None
        self.conv = GATConv(channels, channels // heads, heads, bias=False)
        self.lin_skip = torch_linear(channels, channels)
        self.reset_parameters()

    @one_graph
    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """One layer; see the class for shapes."""
        x = x if self.pre_norm is None else self.pre_norm(x)
        y = drop(self.act(self.conv(x, edge_index) + self.lin_skip(x)), self.dropout, self.training)
        product = self.norm(self.act(self.lin_own(x)) * y)
        return torch.lerp(product.to(y.dtype), y, self.weight().to(y.dtype).expand_as(y))


class PolynormerAttention(_PolynomialLayer):
    r"""Polynormer's global layer: attention to all nodes of the graph, in linear time, times a map of the node itself.

    From `"Polynormer: Polynomial-Expressive Graph Transformer in Linear Time" <https://arxiv.org/abs/2403.01232>`_
    (Deng, Yue, Zhang, ICLR 2024). Per head,

    .. math::
        k = \sigma(K x), \qquad
        y_i = \frac{k_i \sum_j k_j v_j^\top}{\langle k_i, \sum_j k_j \rangle}, \qquad v = V x, \qquad
        x' = \mathrm{ReLU} \big( O ( \mathrm{LN}(y) \odot (H x + \beta) ) \big)

    where :math:`j` runs over the nodes of the same graph. Heads are interleaved: channel :math:`m H + a` is the
    :math:`m`-th of head :math:`a`, as in the official code. It is the layer of the official full-batch model; PyG's
    class of this name is that for large graphs, whose sums run over all graphs of a batch.

    Shapes:
        - **input:** ``x`` ``[num_nodes, channels]``; ``batch`` ``[num_nodes]``, the graph of each node (default: one)

    Cost: :math:`O(N F^2 / H)` with :math:`F` channels and :math:`H` heads.

    Example:
        >>> PolynormerAttention(6, heads=2)(torch.ones(4, 6)).shape
        torch.Size([4, 6])
    """

    checks = Checks(
        [{}, {"beta": 0.4}, {"relu": False, "dropout": 0.5}],
        {"channels": 5},
        expected_failures={"isolated_nodes": "every node attends to all others"},
    )

    @takes_arguments_of(_PolynomialLayer)
    def __init__(self, channels: Count, **of_layer: Any) -> None:
        super().__init__(channels, **of_layer)
        self.lin_key, self.lin_value = torch_linear(channels, channels), torch_linear(channels, channels)
        self.lin_out = torch_linear(channels, channels)
        self.reset_parameters()

    @one_graph
    def forward(self, x: Tensor, batch: Tensor | None = None) -> Tensor:
        """One layer; see the class for shapes."""
        y = global_attention(self.lin_key(x).sigmoid(), self.lin_value(x), self.heads, batch)
        out = self.lin_out(self.norm(y) * (self.lin_own(x) + self.weight()))
        return drop(self.act(out), self.dropout, self.training)


def global_attention(key: Tensor, value: Tensor, heads: int, batch: Tensor | None = None) -> Tensor:
    r"""Averages of ``value`` over all nodes of a graph with weights :math:`\langle k_i, k_j \rangle`, per head.

    Args:
        key: Positive keys :math:`k`, which are the queries, too.
        value: The values.
        heads: The number of heads, which are interleaved.
        batch: The graph of each node (default: one graph).

    Shapes:
        - **key, value, output:** ``[num_nodes, channels]``
    """

    def blocks(keys: Tensor, values: Tensor) -> Tensor:
        k, v = (x.unflatten(2, (-1, heads)).permute(0, 3, 1, 2) for x in (keys, values))
        # One more column of values makes the denominators; rows that no node stands for have keys of 0.
        sums = k.transpose(2, 3) @ torch.cat([v, torch.ones_like(v[..., :1])], dim=3)
        return (k @ sums).transpose(1, 2)

    out = by_graph(blocks, (key, value), batch)
    return (out[..., :-1] / out[..., -1:]).transpose(1, 2).flatten(1)
