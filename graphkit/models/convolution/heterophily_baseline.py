"""The strong baselines for heterophilous graphs: plain modules in residual blocks with norms before them."""

from __future__ import annotations

from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Count, Probability
from graphkit.core.reads import Reads
from graphkit.models.base import LayeredModel, State
from graphkit.models.readout import make_pool, read_out
from graphkit.nn import FeedForwardModule, GATModule, GCNModule, SAGEModule, SGConv, TransformerAttentionModule, dropout
from graphkit.nn.linear import torch_linear
from graphkit.ops import SparseMatrix

Module = Literal["ResNet", "SGC", "adj", "GCN", "SAGE", "GAT", "GAT-sep", "GT", "GT-sep"]
_WEIGHED = ("SGC", "adj", "GCN", "SAGE")  # what reads weights of edges
_ATTENTION = ("GAT", "GAT-sep", "GT", "GT-sep")
_SGC_HOPS = 5


class HeterophilyBaseline(LayeredModel):
    r"""A plain network in modern dress: any of nine modules in pre-norm residual blocks.

    From `"A Critical Look at the Evaluation of GNNs under Heterophily" <https://arxiv.org/abs/2302.11640>`_ (Platonov
    et al., ICLR 2023), where most of these beat what was made for heterophilous graphs.

    .. math::
        h_0 = \mathrm{GELU}(W_\mathrm{in} x + b), \qquad
        h_{i + 1} = h_i + \mathrm{module}_i(\mathrm{LayerNorm}(h_i)), \qquad
        y = W_\mathrm{out} \,\mathrm{LayerNorm}(h_L)

    ============  ====================================================================================================
    module        what it is
    ============  ====================================================================================================
    ``ResNet``    a perceptron of each node, :class:`~graphkit.nn.FeedForwardModule`
    ``SGC``       the same, of features beside their average over five steps, :math:`[x, P^5 x]`
    ``adj``       the same, of features beside the node's row of the adjacency matrix; for one graph only
    ``GCN``       :class:`~graphkit.nn.GCNModule`
    ``SAGE``      :class:`~graphkit.nn.SAGEModule`
    ``GAT``       :class:`~graphkit.nn.GATModule`
    ``GAT-sep``   the same, with a node's own features beside what it is sent, and no self-loops
    ``GT``        :class:`~graphkit.nn.TransformerAttentionModule`, then as a block of its own a perceptron
    ``GT-sep``    the same, likewise
    ============  ====================================================================================================

    Args:
        module: One of the nine, as the paper names them (default: ``"GCN"``).
        heads: The number of heads of attention, for modules that have it (default: ``None``, 8).
        hidden_dim_multiplier: The width of perceptrons in between, in multiples of ``hidden_channels`` (default: 1).
        dropout: The probability of dropping an entry, wherever the official code does (default: 0).

    Example:
        >>> import torch
        >>> data = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]]))
        >>> HeterophilyBaseline(4, 8, out_channels=2, module="SAGE")(data).shape
        torch.Size([3, 2])
    """

    checks = Checks(
        [
            {"module": "GCN", "dropout": 0.5},
            {"module": "ResNet", "hidden_dim_multiplier": 2},
            {"module": "SGC"},
            {"module": "SAGE", "readout": "mean"},
            {"module": "GAT", "heads": 2},
            {"module": "GAT-sep", "heads": 2},
            {"module": "GT", "heads": 2},
            {"module": "GT-sep", "heads": 2},
        ]
    )
    reads = Reads(edge_weight=True)
    uses_history = False

    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 512,
        num_layers: Count = 2,
        out_channels: Count | None = None,
        module: Module = "GCN",
        heads: Count | None = None,
        hidden_dim_multiplier: Count = 1,
        dropout: Probability = 0.0,
        readout: str | None = None,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals())
        if heads is not None and module not in _ATTENTION:
            raise ValueError(
                f"HeterophilyBaseline: heads={heads}, but module={module!r} has none; use {', '.join(_ATTENTION)}"
            )
        self.lin_in = torch_linear(in_channels, hidden_channels)
        if module == "SGC":
            self.averages = SGConv(in_channels, hidden_channels, _SGC_HOPS, bias=False)
            self.averages.lin = torch_linear(in_channels, hidden_channels, bias=False)
        elif module == "adj":
            self.lin_added = torch_linear(-1, hidden_channels, bias=False)
        self.layers = nn.ModuleList(part for _ in range(num_layers) for part in self._modules_of_layer())
        self.norms = nn.ModuleList(nn.LayerNorm(hidden_channels) for _ in range(len(self.layers) + 1))
        self.lin_out = torch_linear(hidden_channels, self.out_channels)
        self.pool = make_pool(readout, self.out_channels)
        if module in ("SGC", "adj"):
            self.num_hops = None  # the first state reads edges, too
        else:
            self.num_hops = 0 if module == "ResNet" else 2  # the degrees of a node's neighbours count
        self.reads = Reads(edge_index=module != "ResNet", direction=module != "ResNet", edge_weight=module in _WEIGHED)
        self.reset_parameters()

    def _modules_of_layer(self) -> list[nn.Module]:
        width, multiplier, rate = self.hidden_channels, self.hidden_dim_multiplier, self.dropout
        heads = self.heads or 8
        kind, sep = self.module.removesuffix("-sep"), self.module.endswith("-sep")
        perceptron = FeedForwardModule(width, width, multiplier, rate)
        if kind == "GCN":
            return [GCNModule(width, multiplier, rate)]
        if kind == "SAGE":
            return [SAGEModule(width, multiplier, rate)]
        if kind == "GAT":
            return [GATModule(width, heads, sep, multiplier, rate)]
        if kind == "GT":
            return [TransformerAttentionModule(width, heads, sep, rate), perceptron]
        return [perceptron]

    def encode(self, batch: Data) -> State:
        x = self.features(batch)
        h = self.lin_in(x)
        if self.module == "SGC":
            h = h + self.averages(x, batch.edge_index, batch.get("edge_weight"))
        elif self.module == "adj":
            size, known = batch.num_nodes, self.lin_added.in_channels
            if size != known > 0:
                raise ValueError(
                    f"HeterophilyBaseline: module='adj' has weights for {known} nodes of one graph, but this one has "
                    f"{size}; use another module for several graphs, and for subgraphs"
                )
            h = h + self.lin_added(SparseMatrix.from_edges(batch.edge_index, batch.get("edge_weight"), size=size))
        return F.gelu(dropout(h, self.dropout, self.training))

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        h: Any = history[-1]
        layer, normed = self.layers[i], self.norms[i](h)
        if isinstance(layer, FeedForwardModule):
            return h + layer(normed)
        if isinstance(layer, GCNModule | SAGEModule):
            return h + layer(normed, batch.edge_index, batch.get("edge_weight"))
        return h + layer(normed, batch.edge_index)

    def decode(self, h: Tensor, batch: Data) -> Tensor:
        return read_out(self.readout, self.pool, self.lin_out(self.norms[-1](h)), batch)
