"""GraphSAGE's layer."""

from __future__ import annotations

from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor

from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Count
from graphkit.nn.layer import Layer
from graphkit.nn.linear import torch_linear
from graphkit.nn.node_axis import pair_of, static_graphs
from graphkit.ops import gcn_norm


class SAGEConv(Layer):
    r"""GraphSAGE's layer: one linear map of the mean over neighbours, another of the node itself.

    From `"Inductive Representation Learning on Large Graphs" <https://arxiv.org/abs/1706.02216>`_ (Hamilton, Ying,
    Leskovec, NeurIPS 2017).

    .. math::
        x'_t = W_1 \operatorname{mean}_{s \to t} x_s + W_2 x_t + b

    With ``project``, neighbours send :math:`\mathrm{ReLU}(W_0 x_s + b_0)`. As PyG's layer, with which state dicts can
    be exchanged, but for other aggregations and ``normalize``; weights of edges, which PyG's does not read, weigh the
    mean. A map to fewer channels comes before the mean, which is the same and narrower.

    Args:
        aggr: ``"mean"``, or ``"sum"`` as in PyG's ``GraphConv`` (default: ``"mean"``).
        root_weight: Whether there is :math:`W_2` (default: ``True``).
        project: Whether neighbours are mapped first (default: ``False``).
        bias: Whether there is :math:`b` (default: ``True``).

    Shapes:
        - **input:** ``x`` ``[*, num_nodes, in_channels]``, dense, or a pair of the features of sources and of targets;
          ``edge_index`` ``[2, num_edges]``; ``edge_weight`` ``[num_edges]`` (optional, differentiable)

    Example:
        >>> import torch
        >>> SAGEConv(3, 2)(torch.ones(4, 3), torch.tensor([[0, 1, 2], [1, 2, 3]])).shape
        torch.Size([4, 2])
    """

    checks = Checks([{}, {"aggr": "sum", "project": True, "out_channels": 7}, {"root_weight": False, "bias": False}])
    takes_sparse = False
    bipartite = True

    def __init__(
        self,
        in_channels: Channels,
        out_channels: Count,
        aggr: Literal["mean", "sum"] = "mean",
        root_weight: bool = True,
        project: bool = False,
        bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.norm = "row" if aggr == "mean" else None
        self.lin = torch_linear(in_channels, in_channels) if project else None
        self.lin_l = torch_linear(in_channels, out_channels, bias)
        self.lin_r = torch_linear(in_channels, out_channels, bias=False) if root_weight else None

    @static_graphs
    def forward(self, x: Any, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """One convolution; see the class for shapes."""
        source, target = pair_of(x)
        size = self.sizes(source, target)
        edges = self.edges(edge_index, size)
        matrix = gcn_norm(edges, edge_weight, add_self_loops=False, norm=self.norm, size=size, dtype=source.dtype)
        sent = source if self.lin is None else self.lin(source).relu()
        out = self._mapped(self.along(matrix), sent)
        return out if self.lin_r is None or target is None else out + self.lin_r(target)

    def _mapped(self, matrix: Any, sent: Tensor) -> Tensor:
        """The linear map of the mean."""
        if self.out_channels >= sent.size(-1):
            return self.lin_l(matrix.matmul(sent))
        out = matrix.matmul(F.linear(sent, self.lin_l.weight))
        return out if self.lin_l.bias is None else out + self.lin_l.bias

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.in_channels}, {self.out_channels})"
