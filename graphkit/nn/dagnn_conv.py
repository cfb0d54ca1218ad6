"""Propagation to many hops, of which each node takes what it needs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Count
from graphkit.nn.layer import Layer
from graphkit.nn.linear import torch_linear
from graphkit.nn.node_axis import static_graphs


class DAGNNConv(Layer):
    r"""Deep adaptive propagation: normalised averages of several hops, each weighed by a gate of node and hop.

    From `"Towards Deeper Graph Neural Networks" <https://arxiv.org/abs/2007.09296>`_ (Liu, Gao, Ji, KDD 2020).

    .. math::
        H_k = P^k X, \qquad x'_i = \sum_{k = 0}^K \sigma(w^\top h_{k, i} + c) \, h_{k, i}

    with :math:`P` as in :class:`GCNConv`, the logistic function :math:`\sigma`, and a vector :math:`w` and number
    :math:`c` that all hops share. Gates need not sum to 1. The sum is taken as hops are made: no
    :math:`K + 1` copies of the features are kept for it.

    Args:
        in_channels: Size of each input and output row; -1 takes it from the first input.
        K: The number of hops :math:`K`.

    Shapes:
        - **output:** ``[*, num_nodes, in_channels]``

    Cost: :math:`O(K |E| F)` with :math:`F` channels.

    Example:
        >>> DAGNNConv(3, K=2)(torch.ones(4, 3), torch.tensor([[0, 1, 2], [1, 2, 3]])).shape
        torch.Size([4, 3])
    """

    checks = Checks([{"K": 1}, {"K": 4}, {"K": 2, "add_self_loops": False}])
    takes_sparse = False

    def __init__(self, in_channels: Channels, K: Count, add_self_loops: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.in_channels, self.K = in_channels, K
        self.add_self_loops = add_self_loops
        self.proj = torch_linear(in_channels, 1)
        self.reset_parameters()

    @static_graphs
    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """All hops and their gated sum; see the class for shapes."""
        matrix = self.normalized(x, edge_index, edge_weight, add_self_loops=self.add_self_loops)
        h, out = x, self._gate(x) * x
        for _ in range(self.K):
            h = matrix.matmul(h)
            out = out + self._gate(h) * h
        return out

    def _gate(self, h: Tensor) -> Tensor:
        return torch.sigmoid(self.proj(h))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.in_channels}, K={self.K})"
