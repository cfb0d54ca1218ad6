"""Propagation to many hops, averaged by attention of each node to its own hops."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Count, Probability, UnitInterval
from graphkit.nn.layer import Layer
from graphkit.nn.linear import torch_linear
from graphkit.nn.node_axis import static_graphs
from graphkit.ops.dropout import dropout as drop


class AIRConv(Layer):
    r"""Adaptive initial residual: normalised averages of several hops, and each node's attention to them.

    From `"Model Degradation Hinders Deep Graph Neural Networks" <https://arxiv.org/abs/2206.04361>`_ (Zhang et al., KDD
    2022).

    .. math::
        H_0 = X, \qquad H_k = \alpha P H_{k - 1} + (1 - \alpha) X, \qquad
        x'_i = \sum_{k = 0}^K \operatorname{softmax}_k\big(\sigma(u^\top [h_{0, i}, h_{k, i}] + c)\big) \, h_{k, i}

    with :math:`P` as in :class:`GCNConv`, the logistic function :math:`\sigma`, and a vector :math:`u` and number
    :math:`c` that all hops share.

    Args:
        in_channels: Size of each input and output row; -1 takes it from the first input.
        K: The number of hops :math:`K`.
        alpha: The share :math:`\alpha` of what is propagated (default: 1, no return to the input).
        dropout: The probability of dropping an entry of a hop, before attention and sum; propagation goes on with all
            entries (default: 0).
        official_sum: Leave the last hop out of the sum, but not out of the softmax, as the official code does (default:
            ``False``).

    Shapes:
        - **output:** ``[*, num_nodes, in_channels]``

    Cost: :math:`O(K |E| F)` with :math:`F` channels.

    Example:
        >>> AIRConv(3, K=2)(torch.ones(4, 3), torch.tensor([[0, 1, 2], [1, 2, 3]])).shape
        torch.Size([4, 3])
    """

    checks = Checks([{"K": 1}, {"K": 4, "alpha": 0.9, "dropout": 0.5}, {"K": 2, "official_sum": True}])
    takes_sparse = False

    def __init__(
        self,
        in_channels: Channels,
        K: Count,
        alpha: UnitInterval = 1.0,
        dropout: Probability = 0.0,
        add_self_loops: bool = True,
        official_sum: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.in_channels, self.K, self.alpha, self.dropout = in_channels, K, alpha, dropout
        self.add_self_loops, self.official_sum = add_self_loops, official_sum
        self.lin_first = torch_linear(in_channels, 1, bias=False)
        self.lin_hop = torch_linear(in_channels, 1)
        self.reset_parameters()

    @static_graphs
    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """All hops and their average; see the class for shapes."""
        matrix = self.normalized(x, edge_index, edge_weight, add_self_loops=self.add_self_loops)
        first: Tensor | None = None
        h, out, total = x, torch.zeros_like(x), x.new_zeros(())
        for k in range(self.K + 1):
            if k:
                h = self.alpha * matrix.matmul(h) + (1 - self.alpha) * x
            hop = drop(h, self.dropout, self.training)
            first = self.lin_first(hop) if first is None else first
            weight = torch.sigmoid(first + self.lin_hop(hop)).exp()
            total = total + weight
            if not (self.official_sum and k == self.K):
                out = out + weight * hop
        return out / total

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.in_channels}, K={self.K})"
