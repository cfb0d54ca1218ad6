"""Personalised propagation, a layer without weights."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor
from torch_geometric import nn as pyg

from graphkit.core.checks import Checks
from graphkit.core.constraints import Count, Probability, UnitInterval
from graphkit.nn.layer import Layer
from graphkit.nn.node_axis import nodes_first, static_graphs
from graphkit.ops import gcn_norm


class APPNP(Layer):
    r"""Approximate personalised propagation of predictions: averages of neighbours that return to the first state.

    From `"Predict then Propagate: Graph Neural Networks meet Personalized PageRank" <https://arxiv.org/abs/1810.05997>`_
    (Gasteiger et al., ICLR 2019). There are no weights.

    .. math::
        X_k = (1 - \alpha) P X_{k - 1} + \alpha X_{(0)}, \qquad k = 1, \dots, K

    with :math:`P` as in :class:`GCNConv`, and the teleport state :math:`X_{(0)}`, by default the input.

    Args:
        K: The number of steps :math:`K`.
        alpha: The probability :math:`\alpha` of returning.
        dropout: The probability of dropping an entry of :math:`P` in each step (default: 0).
        normalize: Whether :math:`P` is normalised; else it is :math:`A` itself, without self-loops (default: ``True``).

    Shapes:
        - **input:** ``x`` ``[*, num_nodes, channels]``; ``edge_index`` ``[2, num_edges]``; ``edge_weight``
          ``[num_edges]`` (optional, differentiable); ``x_0`` like ``x`` (optional)
        - **output:** ``[*, num_nodes, channels]``

    Example:
        >>> import torch
        >>> APPNP(K=1, alpha=0.5)(torch.tensor([[1.0], [3.0]]), torch.tensor([[0, 1], [1, 0]])).tolist()
        [[1.5], [2.5]]
    """

    checks = Checks(
        [
            {"K": 1, "alpha": 0.1},
            {"K": 3, "alpha": 0.2, "dropout": 0.5},
            {"K": 2, "alpha": 0.1, "add_self_loops": False},
            {"K": 2, "alpha": 0.1, "normalize": False},
        ],
        inputs=lambda data: {"x_0": data.x.flip(1)},
        same_as=pyg.APPNP,
    )

    def __init__(
        self,
        K: Count,
        alpha: UnitInterval,
        dropout: Probability = 0.0,
        cached: bool = False,
        add_self_loops: bool = True,
        normalize: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.K, self.alpha, self.dropout = K, alpha, dropout
        self.cached, self.add_self_loops, self.normalize = cached, add_self_loops, normalize

    @static_graphs
    def forward(
        self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None, x_0: Tensor | None = None
    ) -> Tensor:
        """All steps; see the class for shapes."""
        size, dtype = x.size(0), x.dtype
        edges, loops = self.edges(edge_index, size), self.normalize and self.add_self_loops
        norm = "sym" if self.normalize else None
        matrix = gcn_norm(edges, edge_weight, add_self_loops=loops, norm=norm, size=size, dtype=dtype)
        start, h = x if x_0 is None else nodes_first(x_0), x
        step = self.along(matrix)
        for _ in range(self.K):
            if self.training and self.dropout > 0 and matrix.values is not None:
                step = self.along(matrix.with_values(F.dropout(matrix.values, self.dropout)))
            h = (1 - self.alpha) * step.matmul(h) + self.alpha * start
        return h

    def __repr__(self) -> str:
        return f"{type(self).__name__}(K={self.K}, alpha={self.alpha})"
