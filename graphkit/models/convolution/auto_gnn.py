"""AutoGNN's search space as one model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import MessagePassing, inits
from torch_geometric.nn.resolver import activation_resolver
from torch_geometric.utils import add_remaining_self_loops, degree, softmax

from graphkit.core.checks import Checks
from graphkit.core.constraints import Activation, Channels, Count, Probability
from graphkit.core.devices import read
from graphkit.models.base import LayeredModel, State
from graphkit.models.readout import make_pool
from graphkit.nn import Linear, Perceptron, dropout
from graphkit.ops import sparsity_pattern
from graphkit.ops.facts import positions
from graphkit.ops.traced import is_traced

Attention = Literal["const", "gcn", "gat", "sym-gat", "cos", "linear", "gene-linear"]
Aggregation = Literal["sum", "mean", "max"]
Combination = Literal["identity", "mlp"]
_NUM_VECTORS = {"gat": 2, "sym-gat": 2, "gene-linear": 3}


class AutoGNN(LayeredModel):
    r"""A stack of attention layers whose parts can be chosen layer by layer: the architectures of AutoGNN's search.

    From `"Auto-GNN: Neural Architecture Search of Graph Neural Networks" <https://arxiv.org/abs/1909.03184>`_ (Zhou,
    Huang, Song, Chen, Hu; Frontiers in Big Data 5, 2022). With :math:`z = W h` for each head, and self-loops added,

    .. math::
        h'_i = \sigma\Big(\mathrm{combine}\Big(b + \bigoplus_{j \to i} a_{ij} z_j\Big)\Big)

    where :math:`a_{ij}` is 1 (``const``), :math:`1 / \sqrt{d_i d_j}` (``gcn``), or the softmax over :math:`j` of

    ===============  ==================================================================================
    ``gat``          :math:`e_{ij} = \mathrm{LeakyReLU}(a_l \cdot z_i + a_r \cdot z_j)`, slope 0.2
    ``sym-gat``      :math:`e_{ij} + e_{ji}`
    ``cos``          :math:`\langle z_i, z_j \rangle`
    ``linear``       :math:`\tanh(\sum_c (z_i + z_j)_c)`
    ``gene-linear``  :math:`w \cdot \tanh(a_l \odot z_i + a_r \odot z_j)`, with products entry by entry
    ===============  ==================================================================================

    Heads lie side by side; in the last layer they are averaged, and there is no activation. ``mlp`` is a perceptron of
    two maps. There is no official code, and what the paper leaves open is as in GATs: the softmax, and what becomes of
    heads. A readout pools outputs.

    One value holds for all layers, a list has one for each; :func:`graphkit.tuning.search` searches over its parts.

    Args:
        hidden_channels: The width of each head; a list has one for each layer but the last (default: 16).
        out_channels: The number of outputs (default: the last hidden width).
        attention: The kind of :math:`a_{ij}` (default: ``"gat"``).
        heads: The number of heads (default: 4).
        aggr: The aggregation: ``"sum"``, ``"mean"`` or ``"max"`` (default: ``"sum"``).
        combine: ``"identity"`` or ``"mlp"`` (default: ``"identity"``).
        act: The activation, by PyG's names, or ``None`` for none (default: ``"elu"``).

    Raises:
        ValueError: If a list has not one value per layer.

    Example:
        >>> data = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]]))
        >>> AutoGNN(4, 8, out_channels=2, attention=["gat", "cos"], heads=[4, 1])(data).shape
        torch.Size([3, 2])
    """

    checks = Checks(
        [
            {"attention": ["gat", "gcn"], "combine": ["mlp", "identity"], "heads": [2, 1]},
            {"attention": ["sym-gat", "linear"], "aggr": ["mean", "sum"], "act": "tanh", "dropout": 0.5},
            {"attention": ["gene-linear", "cos"], "heads": 2, "readout": "mean"},
            {"attention": "const", "aggr": ["max", "mean"], "act": None},
        ]
    )

    uses_history = False
    num_hops = 2  # the degrees of a node's neighbours count, for some layers
    sparse_features = True

    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count | Sequence[Count] = 16,
        num_layers: Count = 2,
        out_channels: Count | None = None,
        attention: Attention | Sequence[Attention] = "gat",
        heads: Count | Sequence[Count] = 4,
        aggr: Aggregation | Sequence[Aggregation] = "sum",
        combine: Combination | Sequence[Combination] = "identity",
        act: Activation | Sequence[Activation | None] | None = "elu",
        dropout: Probability = 0.0,
        readout: str | None = None,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals())
        widths = self._by_layer("hidden_channels", max(num_layers - 1, 1))
        self.out_channels = widths[-1] if out_channels is None else out_channels
        widths = [*widths[: num_layers - 1], self.out_channels]
        parts = [self._by_layer(name, num_layers) for name in ("attention", "heads", "aggr", "combine")]
        self.layers = nn.ModuleList()
        width: int = in_channels
        for i, (out, *chosen) in enumerate(zip(widths, *parts)):
            layer = _AttentionConv(i < num_layers - 1, width, out, *chosen)
            self.layers.append(layer)
            width = layer.width
        names = self._by_layer("act", num_layers)[:-1]
        self.activations = [nn.Identity() if name is None else activation_resolver(name) for name in names]
        self.pool = make_pool(readout, self.out_channels)
        self.reset_parameters()

    def _by_layer(self, name: str, count: int) -> list[Any]:
        """The argument of each layer."""
        value = getattr(self, name)
        if isinstance(value, str) or not isinstance(value, Sequence):
            return [value] * count
        if len(value) != count:
            raise ValueError(f"AutoGNN: {name}={value!r}, must have {count} values, or be one for all layers")
        return list(value)

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        out = self.layers[i](dropout(history[-1], self.dropout, self.training), batch.edge_index)
        return self.activations[i](out) if i < self.num_layers - 1 else out


class _AttentionConv(MessagePassing):
    """One layer of :class:`AutoGNN`, without its activation."""

    def __init__(
        self, concat: bool, in_channels: int, out_channels: int, attention: str, heads: int, aggr: str, combine: str
    ) -> None:
        super().__init__(aggr=aggr, node_dim=0)
        self.attention, self.concat, self.shape = attention, concat, (heads, out_channels)
        self.width = heads * out_channels if concat else out_channels
        self.lin = Linear(in_channels, heads * out_channels, bias=False)
        self.bias = nn.Parameter(torch.empty(self.width))
        vectors = _NUM_VECTORS.get(attention)
        self.vectors = nn.Parameter(torch.empty(vectors, *self.shape)) if vectors else None
        self.mlp = Perceptron(self.width, self.width, self.width) if combine == "mlp" else None

    def reset_parameters(self) -> None:
        self.lin.reset_parameters()
        inits.glorot(self.vectors)
        inits.zeros(self.bias)
        if self.mlp is not None:
            self.mlp.reset_parameters()

    def forward(self, x: Any, edge_index: Tensor) -> Tensor:
        z = self.lin(x).view(-1, *self.shape)
        edge_index = _with_self_loops(edge_index, z.size(0))
        out = self.propagate(edge_index, z=z, weight=self.weights(z, *edge_index))
        out = (out.flatten(1) if self.concat else out.mean(1)) + self.bias
        return out if self.mlp is None else self.mlp(out)

    def message(self, z_j: Tensor, weight: Tensor) -> Tensor:
        return weight.unsqueeze(-1) * z_j

    def weights(self, z: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """The weight of each edge in each head ``[num_edges, heads]``, or in all heads ``[num_edges, 1]``."""
        if self.attention == "const":
            return z.new_ones(source.numel(), 1)
        if self.attention == "gcn":
            scale = degree(target, z.size(0), z.dtype).rsqrt()
            return (scale[source] * scale[target]).unsqueeze(-1)
        return softmax(self.scores(z, source, target), target, num_nodes=z.size(0))

    def scores(self, z: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """What the softmax is taken of ``[num_edges, heads]``."""
        if self.attention == "cos":
            return (z[target] * z[source]).sum(-1)
        if self.attention == "linear":
            total = z.sum(-1)
            return torch.tanh(total[target] + total[source])
        vectors = cast(Tensor, self.vectors)
        left, right = vectors[0] * z, vectors[1] * z
        if self.attention == "gene-linear":
            return (vectors[2] * torch.tanh(left[target] + right[source])).sum(-1)
        left, right = left.sum(-1), right.sum(-1)
        score = F.leaky_relu(left[target] + right[source], 0.2)
        if self.attention == "sym-gat":
            score = score + F.leaky_relu(left[source] + right[target], 0.2)
        return score


def _with_self_loops(edge_index: Tensor, num_nodes: int) -> Tensor:
    """The edges that PyG's ``add_remaining_self_loops`` makes, in its order, once per graph."""
    if is_traced(edge_index):
        return add_remaining_self_loops(edge_index, num_nodes=num_nodes)[0]
    pattern = sparsity_pattern(edge_index, num_nodes)

    def looped() -> Tensor:
        edges, nodes = pattern.edge_index(), torch.arange(num_nodes, device=pattern.device)
        others = edges[0] != edges[1]
        return torch.cat([edges[:, positions(others, *read(others.sum()))], nodes.expand(2, -1)], dim=1)

    return pattern.cached("self-loops last", looped)
