"""What predicts the numbers of maps that belong to nodes: a perceptron, or a small network on the graph."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch_geometric.nn import inits

from graphkit.core.checks import Checks
from graphkit.core.constraints import Checked, Count, NonNegativeInt
from graphkit.nn.gat_conv import GATConv
from graphkit.nn.gcn_conv import GCNConv
from graphkit.nn.layer import Layer
from graphkit.nn.linear import torch_linear
from graphkit.nn.sage_conv import SAGEConv
from graphkit.nn.sgc_conv import SGConv
from graphkit.ops import scatter
from graphkit.ops.dropout import dropout

Kind = Literal["sage", "projected", "embedded"]
Conv = Literal["sage", "sum", "gcn", "gat", "sgc"]
_PROJECTED_DROPOUT = 0.2  # of the official code, whatever the rate elsewhere


class NodeLearner(Checked, nn.Module):
    r"""A small network from the states of nodes to the numbers of their maps.

    ===============  ==================================================================================================
    kind             what it is
    ===============  ==================================================================================================
    ``"sage"``       :class:`~graphkit.nn.SAGEConv`, layer norm over a whole graph, ReLU; the last without these two
    ``"projected"``  likewise with ``project``, without norm, with GELU and dropout 0.2
    ``"embedded"``   a linear map, GELU, then layers of ``hidden_channels`` with GELU, and a linear map
    ===============  ==================================================================================================

    The norm is the one of PyG's ``mode="graph"``, :math:`(h - \mu) / (\sigma + 10^{-5})` over all nodes and channels of
    a graph; in a batch, each graph has its own.

    Args:
        in_channels: Size of each input row.
        hidden_channels: The width in between.
        out_channels: Size of each output row.
        num_layers: The number of convolutions; 0 for a perceptron, :math:`W_2 \sigma(W_1 x + b_1) + b_2`, with ReLU, or
            GELU where the kind is ``"embedded"`` (default: 1).
        kind: One of the above (default: ``"sage"``).
        conv: The layer of ``"embedded"``: ``"sage"``, ``"sum"`` (the same with sums for means), ``"gcn"``, ``"gat"`` or
            ``"sgc"`` (default: ``"sage"``).
        residual: Whether layers of ``"embedded"`` add their input (default: ``False``).

    Shapes:
        - **input:** ``x`` ``[num_nodes, in_channels]``; ``edge_index`` ``[2, num_edges]``; ``batch`` ``[num_nodes]``
          (optional)
        - **output:** ``[num_nodes, out_channels]``

    Raises:
        ValueError: If ``conv`` or ``residual`` are given where nothing reads them.

    Example:
        >>> NodeLearner(4, 8, 3)(torch.ones(3, 4), torch.tensor([[0, 1], [1, 2]])).shape
        torch.Size([3, 3])
    """

    checks = Checks(skip="it is a part; checked with CSNN and BuNN")

    def __init__(
        self,
        in_channels: Count,
        hidden_channels: Count,
        out_channels: Count,
        num_layers: NonNegativeInt = 1,
        kind: Kind = "sage",
        conv: Conv = "sage",
        residual: bool = False,
    ) -> None:
        super().__init__()
        if (kind != "embedded" or num_layers == 0) and (conv != "sage" or residual):
            raise ValueError(
                f"NodeLearner: conv={conv!r} and residual={residual} are read with kind='embedded' and num_layers of "
                f"at least 1, got kind={kind!r}, num_layers={num_layers}; leave them out"
            )
        self.kind, self.residual = kind, residual
        around = kind == "embedded" or num_layers == 0
        widths = [in_channels] + [hidden_channels] * (num_layers - 1) + [out_channels]
        if around:
            widths = [hidden_channels] * (num_layers + 1)
        self.lin_in = torch_linear(in_channels, hidden_channels) if around else None
        self.convs = nn.ModuleList(_layer(conv, kind, *pair) for pair in pairwise(widths) if num_layers)
        self.norms = nn.ModuleList(_WholeGraphNorm(width) for width in widths[1:-1] if kind == "sage" and not around)
        self.lin_out = torch_linear(hidden_channels, out_channels) if around else None
        self.activation = nn.ReLU() if kind == "sage" or (kind == "projected" and num_layers == 0) else nn.GELU()

    def reset_parameters(self) -> None:
        """Draw new weights, as torch's linear maps are drawn."""
        for part in self.children():
            inits.reset(part)

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor | None = None) -> Tensor:
        """The numbers; see the class for shapes."""
        if self.lin_in is None or self.lin_out is None:
            return self._plain(x, edge_index, batch)
        h = self.activation(self.lin_in(x))
        for conv in self.convs:
            new = self.activation(conv(h, edge_index))
            h = h + new if self.residual else new
        return self.lin_out(h)

    def _plain(self, x: Tensor, edge_index: Tensor, batch: Tensor | None) -> Tensor:
        for i, conv in enumerate(self.convs[:-1]):
            x = conv(x, edge_index)
            if self.kind == "sage":
                x = self.norms[i](x, batch)
            x = self.activation(x)
            if self.kind == "projected":
                x = cast(Tensor, dropout(x, _PROJECTED_DROPOUT, self.training))
        return self.convs[-1](x, edge_index)


class _WholeGraphNorm(nn.Module):
    """Layer norm over all nodes and channels of a graph, each graph of a batch by itself."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def reset_parameters(self) -> None:
        """Go back to ones and zeros."""
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, batch: Tensor | None) -> Tensor:
        """The standardised rows."""
        centred = x - _of_graphs(x, batch)
        variance = _of_graphs(centred * centred, batch)
        root = variance.clamp(min=torch.finfo(x.dtype).tiny).sqrt()  # whose gradient at 0 is infinite
        return centred / (root + 1e-5) * self.weight + self.bias


def _of_graphs(x: Tensor, batch: Tensor | None) -> Tensor:
    """The mean over all entries of each node's graph."""
    if batch is None:
        return x.mean() if x.numel() else x.sum()
    return scatter(x.mean(1, keepdim=True), batch, reduce="mean")[batch]


def _layer(conv: Conv, kind: Kind, in_channels: int, out_channels: int) -> Layer:
    if conv == "gcn":
        return GCNConv(in_channels, out_channels)
    if conv == "gat":
        return GATConv(in_channels, out_channels)
    if conv == "sgc":
        return SGConv(in_channels, out_channels)
    return SAGEConv(in_channels, out_channels, "sum" if conv == "sum" else "mean", project=kind == "projected")
