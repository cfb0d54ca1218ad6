"""The parts of the strong baselines for heterophilous graphs: what messages are, with a perceptron behind them."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Checked, Count, Probability
from graphkit.nn.attention_conv import AttentionConv
from graphkit.nn.layer import Layer
from graphkit.nn.linear import torch_linear
from graphkit.nn.node_axis import one_graph, static_graphs
from graphkit.ops import Scores
from graphkit.ops.dropout import dropout as drop


class FeedForwardModule(Checked, nn.Module):
    r"""Two linear maps, :math:`x' = W_2 \,\mathrm{GELU}(W_1 x + b_1) + b_2`, with dropout behind each.

    From `"A Critical Look at the Evaluation of GNNs under Heterophily" <https://arxiv.org/abs/2302.11640>`_ (Platonov
    et al., ICLR 2023); edges are not used.

    Args:
        in_channels: Size of each input row; -1 takes it from the first input.
        out_channels: Size of each output row.
        hidden_dim_multiplier: The width in between, in multiples of ``out_channels`` (default: 1).
        dropout: The probability of dropping an entry (default: 0).

    Shapes:
        - **input:** ``x`` ``[*, in_channels]``
        - **output:** ``[*, out_channels]``

    Example:
        >>> FeedForwardModule(4, 2)(torch.ones(3, 4)).shape
        torch.Size([3, 2])
    """

    checks = Checks([{}, {"hidden_dim_multiplier": 2, "dropout": 0.5}])

    def __init__(
        self,
        in_channels: Channels,
        out_channels: Count,
        hidden_dim_multiplier: Count = 1,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.linear_1 = torch_linear(in_channels, hidden_dim_multiplier * out_channels)
        self.linear_2 = torch_linear(hidden_dim_multiplier * out_channels, out_channels)

    def reset_parameters(self) -> None:
        """Draw new weights, as torch's linear maps are drawn."""
        self.linear_1.reset_parameters()
        self.linear_2.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """The second map's results; see the class for shapes."""
        hidden = F.gelu(drop(self.linear_1(x), self.dropout, self.training))
        return drop(self.linear_2(hidden), self.dropout, self.training)


class _Averages(Layer):
    """Averages of neighbours, beside the node's own features or not, and a perceptron.

    Usual arguments:
        channels: Size of each input and output row.
        hidden_dim_multiplier: As in :class:`FeedForwardModule`.
        dropout: Likewise.

    Shapes:
        - **input:** ``x`` ``[*, num_nodes, channels]``; ``edge_index`` ``[2, num_edges]``; ``edge_weight``
          ``[num_edges]`` (optional, differentiable)
        - **output:** ``[*, num_nodes, channels]``
    """

    takes_sparse = False
    sep: bool  # whether a node's own features stand beside the average
    norm: str

    def __init__(
        self, channels: Count, hidden_dim_multiplier: Count = 1, dropout: Probability = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.channels, self.hidden_dim_multiplier, self.dropout = channels, hidden_dim_multiplier, dropout
        self.feed_forward_module = FeedForwardModule(
            (1 + self.sep) * channels, channels, hidden_dim_multiplier, dropout
        )

    @static_graphs
    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """The perceptron's results; see the class for shapes."""
        matrix = self.normalized(x, edge_index, edge_weight, add_self_loops=not self.sep, norm=self.norm)
        averages = matrix.matmul(x)
        return self.feed_forward_module(torch.cat([x, averages], dim=-1) if self.sep else averages)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.channels})"


class GCNModule(_Averages):
    r"""A perceptron of the normalised average of the closed neighbourhood, :math:`\mathrm{FFN}(P X)`.

    From `"A Critical Look at the Evaluation of GNNs under Heterophily" <https://arxiv.org/abs/2302.11640>`_ (Platonov
    et al., ICLR 2023), with :math:`P` as in :class:`GCNConv` and :class:`FeedForwardModule`.

    Example:
        >>> GCNModule(3)(torch.ones(4, 3), torch.tensor([[0, 1, 2], [1, 2, 3]])).shape
        torch.Size([4, 3])
    """

    checks = Checks([{"channels": 5}, {"channels": 5, "hidden_dim_multiplier": 2, "dropout": 0.5}])
    sep, norm = False, "sym"


class SAGEModule(_Averages):
    r"""A perceptron of a node's own features beside the mean of its neighbours, :math:`\mathrm{FFN}([X, D^{-1} A X])`.

    From `"A Critical Look at the Evaluation of GNNs under Heterophily" <https://arxiv.org/abs/2302.11640>`_ (Platonov
    et al., ICLR 2023); self-loops are not added, and the mean of no neighbours is 0.

    Example:
        >>> SAGEModule(3)(torch.ones(4, 3), torch.tensor([[0, 1, 2], [1, 2, 3]])).shape
        torch.Size([4, 3])
    """

    checks = Checks([{"channels": 5}, {"channels": 5, "hidden_dim_multiplier": 2, "dropout": 0.5}])
    sep, norm = True, "row"


class _AttentionModule(AttentionConv):
    """Attention of several heads to neighbours, beside the node's own features or not.

    Usual arguments:
        channels: Size of each input and output row.
        sep: Whether a node's own features stand beside what it is sent, without self-loops; else missing ones are
            added.

    Shapes:
        - **input:** ``x`` ``[num_nodes, channels]``; ``edge_index`` ``[2, num_edges]``
        - **output:** ``[num_nodes, channels]``

    Raises:
        ValueError: If ``heads`` does not divide ``channels``.
    """

    takes_sparse = False
    bipartite = False

    def __init__(self, channels: Count, heads: Count, sep: bool, **kwargs: Any) -> None:
        if channels % heads:
            raise ValueError(f"{type(self).__name__}: heads={heads} must divide channels={channels}")
        super().__init__(channels, channels // heads, heads, True, 0.0, None, add_self_loops=not sep, **kwargs)
        self.channels, self.sep = channels, sep

    def sums(self, edge_index: Tensor, scores: Scores, value: Tensor) -> Tensor:
        """The heads' weighted sums of values ``[num_nodes, heads, channels]``, with self-loops unless ``sep``."""
        edges = self.prepared(edge_index, None, (value.size(0), value.size(0)))
        return self.attend(edges, scores, value)[0]

    def beside(self, x: Tensor, message: Tensor) -> Tensor:
        """What the perceptron or linear map behind the attention reads."""
        return torch.cat([x, message], dim=1) if self.sep else message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.channels}, heads={self.heads}, sep={self.sep})"


class GATModule(_AttentionModule):
    r"""Additive attention, with a perceptron behind it.

    From `"A Critical Look at the Evaluation of GNNs under Heterophily" <https://arxiv.org/abs/2302.11640>`_ (Platonov
    et al., ICLR 2023). Per head,

    .. math::
        z = W x + b, \qquad
        m_t = \sum_s \operatorname{softmax}_s\big(\mathrm{LeakyReLU}_{0.2}(a_u^\top z_s + c + a_v^\top z_t)\big) \, z_s,
        \qquad x' = \mathrm{FFN}(m) \;\text{or}\; \mathrm{FFN}([z, m])

    where :math:`a_u` and :math:`a_v` read all of :math:`z`, and heads average interleaved channels: channel :math:`j`
    belongs to head :math:`j \bmod H`. :math:`\mathrm{FFN}` is :class:`FeedForwardModule`.

    Args:
        heads: The number of heads :math:`H` (default: 8).
        hidden_dim_multiplier: As in :class:`FeedForwardModule` (default: 1).
        dropout: Likewise (default: 0).

    Example:
        >>> GATModule(4, heads=2)(torch.ones(4, 4), torch.tensor([[0, 1, 2], [1, 2, 3]])).shape
        torch.Size([4, 4])
    """

    checks = Checks([{"channels": 5, "heads": 1}, {"channels": 5, "heads": 5, "sep": True, "dropout": 0.5}])

    def __init__(
        self,
        channels: Count,
        heads: Count = 8,
        sep: bool = False,
        hidden_dim_multiplier: Count = 1,
        dropout: Probability = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(channels, heads, sep, **kwargs)
        self.input_linear = torch_linear(channels, channels)
        self.attn_linear_u = torch_linear(channels, heads)
        self.attn_linear_v = torch_linear(channels, heads, bias=False)
        self.feed_forward_module = FeedForwardModule((1 + sep) * channels, channels, hidden_dim_multiplier, dropout)

    @one_graph
    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """The perceptron's results; see the class for shapes."""
        z = self.input_linear(x)
        scores = Scores.additive(self.attn_linear_v(z), self.attn_linear_u(z))
        value = z.view(z.size(0), -1, self.heads).transpose(1, 2)
        message = self.sums(edge_index, scores, value).transpose(1, 2).reshape(z.shape)
        return self.feed_forward_module(self.beside(z, message))


class TransformerAttentionModule(_AttentionModule):
    r"""Dot-product attention along the edges of a graph.

    From `"A Critical Look at the Evaluation of GNNs under Heterophily" <https://arxiv.org/abs/2302.11640>`_ (Platonov
    et al., ICLR 2023). Per head of :math:`d` channels,

    .. math::
        m_t = \sum_s \operatorname{softmax}_s\Big(\frac{\langle W_Q x_s, W_K x_t \rangle}{\sqrt d}\Big) \, W_V x_s,
        \qquad x' = W_O m \;\text{or}\; W_O [x, m]

    where all maps have a bias. Queries are the sources', as in the official code.

    Args:
        dropout: The probability of dropping an entry of the output (default: 0).

    Example:
        >>> TransformerAttentionModule(4, heads=2)(torch.ones(4, 4), torch.tensor([[0, 1, 2], [1, 2, 3]])).shape
        torch.Size([4, 4])
    """

    checks = Checks([{"channels": 5, "heads": 1}, {"channels": 5, "heads": 5, "sep": True, "dropout": 0.5}])

    def __init__(
        self, channels: Count, heads: Count = 8, sep: bool = False, dropout: Probability = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(channels, heads, sep, **kwargs)
        self.output_dropout = dropout
        self.attn_query = torch_linear(channels, channels)
        self.attn_key = torch_linear(channels, channels)
        self.attn_value = torch_linear(channels, channels)
        self.output_linear = torch_linear((1 + sep) * channels, channels)

    @one_graph
    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """The last map's results; see the class for shapes."""
        query, key, value = (
            part(x).view(x.size(0), self.heads, -1) for part in (self.attn_query, self.attn_key, self.attn_value)
        )
        message = self.sums(edge_index, Scores.dot(key, query), value).flatten(1)
        return drop(self.output_linear(self.beside(x, message)), self.output_dropout, self.training)
