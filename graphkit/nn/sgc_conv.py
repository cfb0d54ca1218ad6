"""The simple graph convolution."""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor
from torch_geometric import nn as pyg

from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Count
from graphkit.nn.layer import Layer
from graphkit.nn.linear import Linear
from graphkit.nn.node_axis import static_graphs
from graphkit.ops import SparseMatrix


class SGConv(Layer):
    r"""Simple graph convolution: several normalised averages of the closed neighbourhood and a single linear map.

    From `"Simplifying Graph Convolutional Networks" <https://arxiv.org/abs/1902.07153>`_ (Wu et al., ICML 2019).

    .. math::
        X' = P^K X W^\top + b

    with :math:`P` as in :class:`GCNConv`. The weights come first where that makes the propagated matrix narrower; else
    averages of features that are constant are cached with the graph, and checked by content. State dicts can be
    exchanged with PyG's layer, and those of graphkit 0.2.0 can be loaded.

    Args:
        K: The number of averages :math:`K` (default: 1).

    Example:
        >>> import torch
        >>> SGConv(3, 2, K=2)(torch.ones(4, 3), torch.tensor([[0, 1, 2], [1, 2, 3]])).shape
        torch.Size([4, 2])
    """

    checks = Checks([{}, {"K": 3, "out_channels": 7}, {"add_self_loops": False, "bias": False}], same_as=pyg.SGConv)

    def __init__(
        self,
        in_channels: Channels,
        out_channels: Count,
        K: Count = 1,
        cached: bool = False,
        add_self_loops: bool = True,
        bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.K, self.cached, self.add_self_loops = K, cached, add_self_loops
        self.lin = Linear(in_channels, out_channels, bias)

    @static_graphs
    def forward(self, x: Tensor | SparseMatrix, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """All averages; see the class for shapes."""
        matrix = self.normalized(x, edge_index, edge_weight, add_self_loops=self.add_self_loops)
        weights_first = isinstance(x, SparseMatrix) or (x.size(-1) >= self.out_channels and not self.sends_messages)

        def averages(h: Any) -> Any:
            for _ in range(self.K):
                h = matrix.matmul(h)
            return h

        if weights_first:
            h = averages(self.lin.without_bias(x))
            return h if self.lin.bias is None else h + self.lin.bias
        if x.requires_grad or matrix.requires_grad:
            return self.lin(averages(x))
        return self.lin(matrix.cached(("averages", self.K), averages, cast(Tensor, x)))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        if f"{prefix}bias" in state_dict:  # of graphkit 0.2.0
            state_dict[f"{prefix}lin.bias"] = state_dict.pop(f"{prefix}bias")
        super()._load_from_state_dict(state_dict, prefix, *args)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.in_channels}, {self.out_channels}, K={self.K})"
