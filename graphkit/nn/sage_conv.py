"""GraphSAGE's layer."""

from __future__ import annotations

from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor
from torch_geometric import nn as pyg
from torch_geometric.nn.aggr import Aggregation, MultiAggregation

from graphkit.core.checks import Checks
from graphkit.core.constraints import Count
from graphkit.nn.layer import Layer
from graphkit.nn.linear import torch_linear
from graphkit.nn.mpnn_conv import ONLY_THE_LARGEST
from graphkit.nn.node_axis import Widths, pair_of, static_graphs, widths_of
from graphkit.ops import gcn_norm


class SAGEConv(Layer):
    r"""GraphSAGE's layer: one linear map of the mean over neighbours, another of the node itself.

    From `"Inductive Representation Learning on Large Graphs" <https://arxiv.org/abs/1706.02216>`_ (Hamilton, Ying,
    Leskovec, NeurIPS 2017).

    .. math::
        x'_t = W_1 \operatorname{mean}_{s \to t} x_s + W_2 x_t + b

    With ``project``, neighbours send :math:`\mathrm{ReLU}(W_0 x_s + b_0)`; with ``normalize``, rows are of length 1 in
    the end. As PyG's layer, with which state dicts can be exchanged; weights of edges, which PyG's does not read, weigh
    the mean, and are factors of what is sent for other aggregations. A map to fewer channels comes before the mean or
    the sum, which is the same and narrower.

    Args:
        in_channels: Size of each input row, or a pair for sources and targets; -1 takes it from the first input.
        aggr: ``"mean"``, ``"sum"``, or another aggregation of PyG or of :mod:`graphkit.nn.aggr`, also several side by
            side in a list; other ones than these two are computed from messages (default: ``"mean"``).
        normalize: Whether rows are scaled to length 1 (default: ``False``).
        root_weight: Whether there is :math:`W_2` (default: ``True``).
        project: Whether neighbours are mapped first (default: ``False``).
        bias: Whether there is :math:`b` (default: ``True``).

    Shapes:
        - **input:** ``x`` ``[*, num_nodes, in_channels]``, dense, or a pair of the features of sources and of targets,
          the latter perhaps ``None``; ``edge_index`` ``[2, num_edges]``; ``edge_weight`` ``[num_edges]`` (optional,
          differentiable); ``size``, the numbers of sources and targets (optional)

    Raises:
        ValueError: If ``project`` is to take the width of the first input.

    Example:
        >>> import torch
        >>> SAGEConv(3, 2)(torch.ones(4, 3), torch.tensor([[0, 1, 2], [1, 2, 3]])).shape
        torch.Size([4, 2])
    """

    checks = Checks(
        [
            {},
            {"aggr": "sum", "project": True, "out_channels": 7},
            {"root_weight": False, "bias": False, "normalize": True},
            {"aggr": ["mean", "std"]},
            ONLY_THE_LARGEST,
        ],
        same_as=pyg.SAGEConv,
    )
    takes_sparse = False
    bipartite = True
    takes_joined = True
    fast_aggr = ("mean", *Layer.fast_aggr)

    def __init__(
        self,
        in_channels: Widths,
        out_channels: Count,
        aggr: str | list[str] | Aggregation | None = "mean",
        normalize: bool = False,
        root_weight: bool = True,
        project: bool = False,
        bias: bool = True,
        **kwargs: Any,
    ) -> None:
        source, target = widths_of(in_channels)
        if aggr == "lstm":
            widths = {"in_channels": source, "out_channels": source}
            kwargs["aggr_kwargs"] = widths | kwargs.get("aggr_kwargs", {})
        super().__init__(aggr, **kwargs)
        if project and source < 0:
            raise ValueError(
                "SAGEConv: project=True does not support lazy initialization; pass the width as in_channels"
            )
        self.in_channels, self.out_channels, self.normalize = in_channels, out_channels, normalize
        self.lin = torch_linear(source, source) if project else None
        several = isinstance(self.aggr_module, MultiAggregation)
        self.lin_l = torch_linear(self.aggr_module.get_out_channels(source) if several else source, out_channels, bias)
        self.lin_r = torch_linear(target, out_channels, bias=False) if root_weight else None

    @static_graphs
    def forward(
        self,
        x: Any,
        edge_index: Tensor,
        edge_weight: Tensor | tuple[int, int] | None = None,
        size: tuple[int, int] | None = None,
    ) -> Tensor:
        """One convolution; see the class for shapes. ``size`` may stand in third place, where PyG's layer has it."""
        if isinstance(edge_weight, tuple):
            edge_weight, size = None, edge_weight
        source, target = pair_of(x)
        sizes = self.sizes(source, target, size)
        edges = self.edges(edge_index, sizes)
        norm = "row" if self.aggr == "mean" else None
        matrix = gcn_norm(edges, edge_weight, add_self_loops=False, norm=norm, size=sizes, dtype=source.dtype)
        if norm and self.sends_messages:  # whose mean is taken
            count = matrix.pattern.in_degree[matrix.pattern.row]
            matrix = matrix.with_values(cast(Tensor, matrix.values) * count)
        out = self._mapped(self.along(matrix), source if self.lin is None else self.lin(source).relu())
        if self.lin_r is not None and target is not None:
            out = out + self.lin_r(target)
        return F.normalize(out, dim=-1) if self.normalize else out

    def _mapped(self, matrix: Any, sent: Tensor) -> Tensor:
        """The linear map of what is aggregated."""
        if self.sends_messages or self.out_channels >= sent.size(-1):  # messages are as PyG's
            return self.lin_l(matrix.matmul(sent))
        out = matrix.matmul(self.lin_l.without_bias(sent))
        return out if self.lin_l.bias is None else out + self.lin_l.bias

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.in_channels}, {self.out_channels}, aggr={self.aggr})"
