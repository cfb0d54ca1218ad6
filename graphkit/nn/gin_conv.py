"""The graph isomorphism layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Count, Finite
from graphkit.nn.layer import Layer
from graphkit.nn.linear import Linear
from graphkit.nn.node_axis import pair_of, static_graphs
from graphkit.ops import SparseMatrix, SparsityPattern, gcn_norm


class GINConv(Layer):
    r"""Graph isomorphism layer: the sum over the neighbourhood, then a small perceptron.

    From `"How Powerful are Graph Neural Networks?" <https://arxiv.org/abs/1810.00826>`_ (Xu, Hu, Leskovec, Jegelka,
    ICLR 2019).

    .. math::
        x'_t = W_2 \,\mathrm{ReLU}\Big(W_1 \Big((1 + \varepsilon) x_t + \sum_{u \to t} w_{ut} x_u\Big) + b_1\Big) + b_2

    with edge weights :math:`w_{ut}`, 1 by default. The first map is applied before the sum, which is the same and
    narrower. PyG's layer takes the perceptron as an argument and no edge weights, and propagates :math:`x`.

    Args:
        out_channels: Size of each output row, and of the perceptron's hidden layer.
        eps: The number :math:`\varepsilon` (default: 0).
        train_eps: Whether :math:`\varepsilon` is learned (default: ``False``).
        bias: Whether there are :math:`b_1` and :math:`b_2` (default: ``True``).

    Shapes:
        - **input:** ``x`` ``[*, num_nodes, in_channels]`` (dense, or a :class:`~graphkit.ops.SparseMatrix`), or a pair
          of the features of sources and of targets, the latter perhaps ``None``; ``edge_index`` ``[2, num_edges]``;
          ``edge_weight`` ``[num_edges]`` (optional, differentiable); ``size``, the numbers of sources and targets
          (optional)

    Example:
        >>> conv = GINConv(3, 2)
        >>> conv(torch.ones(4, 3), torch.tensor([[0, 1, 2], [1, 2, 3]])).shape
        torch.Size([4, 2])
    """

    checks = Checks([{"train_eps": True}, {"out_channels": 7, "eps": 0.5, "bias": False}])

    bipartite = True
    combines_own = True  # besides the sum over neighbours

    def __init__(
        self,
        in_channels: Channels,
        out_channels: Count,
        eps: Finite = 0.0,
        train_eps: bool = False,
        bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.initial_eps = eps
        self.lin_in = Linear(in_channels, out_channels, bias=False)
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.lin_out = Linear(out_channels, out_channels, bias=bias)
        self.eps = nn.Parameter(torch.empty(()), requires_grad=train_eps)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights; biases become 0 and epsilon its initial value."""
        self.lin_in.reset_parameters()
        self.lin_out.reset_parameters()
        if self.bias is not None:
            nn.init.zeros_(self.bias)
        nn.init.constant_(self.eps, self.initial_eps)

    @static_graphs
    def forward(
        self,
        x: Tensor | SparseMatrix | tuple[Tensor, Tensor | None],
        edge_index: Tensor | SparsityPattern,
        edge_weight: Tensor | None = None,
        size: tuple[int, int] | None = None,
    ) -> Tensor:
        """One layer; see the class for shapes."""
        source, target = pair_of(x)
        sizes = self.sizes(source, target, size)
        z = self.lin_in(source)
        total = self.along(self.propagation(edge_index, edge_weight, sizes, z.dtype)).matmul(z)
        if target is not None:
            total = (1 + self.eps) * (z if target is source else self.lin_in(target)) + total
        return self._perceptron(total)

    def propagation(
        self,
        edge_index: Tensor | SparsityPattern,
        edge_weight: Tensor | None,
        size: int | tuple[int, int],
        dtype: torch.dtype | None = None,
    ) -> SparseMatrix:
        """The matrix of sums over neighbours, of a graph with ``size`` nodes, or sources and targets."""
        return gcn_norm(
            self.edges(edge_index, size), edge_weight, add_self_loops=False, norm=None, size=size, dtype=dtype
        )

    def combine(self, propagated: Tensor, own: Tensor) -> Tensor:
        """The layer's output, from (rows of) the sums over neighbours and the nodes' own input."""
        return self._perceptron(self.lin_in((1 + self.eps) * own + propagated))

    def _perceptron(self, total: Tensor) -> Tensor:
        return self.lin_out(torch.relu(total if self.bias is None else total + self.bias))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.in_channels}, {self.out_channels})"
