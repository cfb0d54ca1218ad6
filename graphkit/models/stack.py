"""The common shape of plain graph networks: encoders, then dropout, layer, norm, activation, again and again."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn.resolver import activation_resolver
from torch_geometric.transforms import BaseTransform

from graphkit.core.checks import derives_from_graphkit
from graphkit.core.constraints import Activation, Channels, Count, NonNegativeInt, OneOf, Probability, not_empty
from graphkit.core.overriding import overridden
from graphkit.core.reads import Reads
from graphkit.core.signatures import takes_arguments_of
from graphkit.models.base import LayeredModel, State, edge_attr_of
from graphkit.models.readout import make_pool, read_out
from graphkit.nn import Linear, Perceptron, dropout
from graphkit.nn.encoders import CodeEncoder, NodeEncoder
from graphkit.nn.layer import propagates_first
from graphkit.ops import SparseMatrix

NORMS = {"batch_norm": nn.BatchNorm1d, "layer_norm": nn.LayerNorm}
Norm = Annotated[str, OneOf(NORMS)]
GNN_PLUS = ("feed_forward", "head_layers", "head_act", "drop_outputs")  # options that not all stacks have
Codes = Annotated[Sequence[Count], not_empty]


class LayerStack(LayeredModel):
    r"""A stack of equal layers; a subclass names the layer.

    .. math::
        h_{i+1} = \sigma(\mathrm{norm}(\mathrm{layer}_i(\mathrm{dropout}(h_i)) \; [+ \, W_i \,\mathrm{dropout}(h_i)]))
        \; [+ \, h_i]

    perhaps followed by a feed-forward block, as in transformers,

    .. math::
        h \leftarrow \mathrm{BN}_2(h' + W_2 \, \sigma(W_1 h')), \qquad h' = \mathrm{BN}_1(h),

    twice as wide in between.

    Without a readout the last layer maps to ``out_channels`` and has neither norm nor activation. With one, all layers
    are ``hidden_channels`` wide, node states are pooled per graph, and a head of one linear map or more leads to
    ``out_channels``; the readout ``"nodes"`` applies the head to each node. With ``pool_outputs`` there is no head: the
    last layer is as without a readout, and its outputs are pooled.

    Bag-of-words features are kept sparse up to the first layer (see :class:`~graphkit.transforms.SparseFeatures`).

    Args:
        norm: ``"batch_norm"``, ``"layer_norm"`` or ``None`` (default: ``None``).
        residual: ``True`` adds a layer's input where widths agree, ``"linear"`` adds a linear map of it before norm and
            activation (default: ``False``).
        readout: How node states become a graph state, by the name of an aggregation: graphkit's (``"lcm"``, ``"gnp"``,
            ``"recurrent"``) or PyG's (``"mean"``, ``"sum"``, ``"max"``, ...), or ``"mask"`` for the node that
            ``readout_mask`` marks; ``None`` or ``"nodes"`` for one output per node (default: ``None``).
        bias: Whether layers have a bias (default: ``True``).
        readout_kwargs: Further arguments of the readout, e.g. ``{"project": False}`` (default: none).
        input_dropout: The probability of dropping a feature before the first layer (default: ``dropout``).
        head_dropout: The probability of dropping an entry before the readout's head, which must be there
            (default: 0).
        pool_outputs: Whether the readout pools outputs of nodes instead of their states (default: ``False``).
        feed_forward: Whether a feed-forward block with its two batch normalisations follows each layer that has norm
            and activation (default: ``False``).
        head_layers: The number of linear maps of the readout's head, with activation and dropout in between
            (default: 1).
        head_act: The activation of head and feed-forward blocks (default: ``act``).
        drop_outputs: Whether layers drop entries of what they give, before a residual is added, instead of entries of
            their input; so does the original of GNN+ (default: ``False``).
    """

    sparse_features = True

    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 64,
        num_layers: Count = 2,
        out_channels: Count | None = None,
        dropout: Probability = 0.0,
        act: Activation = "relu",
        norm: Norm | None = None,
        residual: bool | Literal["linear"] = False,
        readout: str | None = None,
        bias: bool = True,
        readout_kwargs: dict[str, Any] | None = None,
        input_dropout: Probability | None = None,
        head_dropout: Probability = 0.0,
        pool_outputs: bool = False,
        feed_forward: bool = False,
        head_layers: Count = 1,
        head_act: Activation | None = None,
        drop_outputs: bool = False,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals())

        if pool_outputs and readout is None:
            raise ValueError(f"{type(self).__name__}: pool_outputs=True, must come with a readout, such as 'mean'")
        has_head = readout is not None and not pool_outputs
        for name, given in (("head_dropout", head_dropout), ("head_layers", head_layers - 1)):
            if given and not has_head:
                raise ValueError(
                    f"{type(self).__name__}: {name}={getattr(self, name)}, must come with a readout that has a head, "
                    "such as 'nodes'"
                )
        last_width = hidden_channels if has_head else self.out_channels
        widths = [in_channels] + [hidden_channels] * (num_layers - 1) + [last_width]
        self._num_hidden = num_layers if has_head else num_layers - 1
        self.layers = nn.ModuleList(self._make_layer(i, *pair) for i, pair in enumerate(pairwise(widths)))
        self._widths, self.added_inputs = widths, [0] * num_layers
        self.skips = nn.ModuleList(Linear(*pair) for pair in pairwise(widths) if residual == "linear")
        self.norms = nn.ModuleList(NORMS[norm](hidden_channels) for _ in range(self._num_hidden) if norm is not None)
        self.activation = activation_resolver(act)
        self.blocks = nn.ModuleList(
            _FeedForward(hidden_channels, dropout, head_act or act) for _ in range(self._num_hidden) if feed_forward
        )
        self.pool = make_pool(readout, last_width, **(readout_kwargs or {}))
        self.head: nn.Module | None = None
        if has_head and head_layers == 1:
            self.head = Linear(hidden_channels, self.out_channels)
        elif has_head:
            sizes = (hidden_channels, hidden_channels, self.out_channels, head_layers)
            self.head = Perceptron(*sizes, act=head_act or act, dropout=head_dropout)
        self.reset_parameters()

    uses_history = False

    def required_transform(self) -> BaseTransform | None:
        """As of any model, but dense features for a first layer of another library, which takes no sparse ones."""
        return super().required_transform() if derives_from_graphkit(type(self.layers[0])) else None

    @abstractmethod
    def make_layer(self, in_channels: int, out_channels: int) -> nn.Module:
        """One layer of the stack."""

    def make_last_layer(self, in_channels: int, out_channels: int) -> nn.Module:
        """The layer that maps to ``out_channels``, where no head does (default: one like all others)."""
        return self.make_layer(in_channels, out_channels)

    def _make_layer(self, i: int, in_channels: int, out_channels: int) -> nn.Module:
        make = self.make_layer if i < self._num_hidden else self.make_last_layer
        return make(in_channels, out_channels)

    @abstractmethod
    def propagate(self, layer: nn.Module, h: State, batch: Data) -> Tensor:
        """Apply one layer to the states of all nodes."""

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        h = history[-1]
        dropped = self._dropped(i, h)
        return self._join(i, self.propagate(self.layers[i], dropped, batch), h, dropped)

    def _dropped(self, i: int, h: Any) -> Any:
        """What layer ``i`` reads of a state."""
        rate = 0.0 if self.drop_outputs else self.dropout
        if i == 0 and self.input_dropout is not None:
            rate = self.input_dropout
        return dropout(h, rate, self.training)

    def _join(self, i: int, out: Tensor, h: Any, dropped: Any) -> Tensor:
        if self.skips:
            out = self._finish(i, out + self.skips[i](dropped))
        else:
            out = self._finish(i, out)
            if self.residual and not isinstance(h, SparseMatrix) and h.shape == out.shape:
                out = out + h
        return self.blocks[i](out) if self.blocks and i < self._num_hidden else out

    def _finish(self, i: int, out: Tensor) -> Tensor:
        if i == self._num_hidden:
            return out
        out = self.activation(out if self.norm is None else self.norms[i](out))
        return dropout(out, self.dropout, self.training) if self.drop_outputs else out

    def propagation(self, i: int, batch: Data, size: int, dtype: torch.dtype) -> SparseMatrix | None:
        """The matrix of the layer, if it has one, unless dropout or batch normalisation come between."""
        drops = max(self.dropout, self.input_dropout or 0.0) > 0
        between = self.training and (drops or self.norm == "batch_norm" or self.feed_forward)
        layer: Any = self.layers[i]
        if between or overridden(self, "step", "propagate") or not propagates_first(layer):
            return None
        return layer.propagation(batch.edge_index, batch.get("edge_weight"), size, dtype)

    @property
    def combines_own(self) -> bool:  # type: ignore[override]
        """Whether layers, residuals or norms read a node's own state, too."""
        normed = self.norm == "batch_norm" or self.feed_forward
        return normed or bool(self.residual) or getattr(self.layers[0], "combines_own", True)

    def combine(self, i: int, propagated: Any, own: Tensor | None = None) -> Tensor:
        layer: Any = self.layers[i]
        return self._join(i, layer.combine(propagated, own), own, own)

    def add_inputs(self, counts: Sequence[int]) -> None:
        changed = [i for i, pair in enumerate(zip(counts, self.added_inputs, strict=True)) if pair[0] != pair[1]]
        widths = [below if below == -1 else below + more for below, more in zip(self._widths, counts)]
        wider = {i: self._make_layer(i, widths[i], self._widths[i + 1]) for i in changed}
        for i, layer in wider.items():
            self._check_replaceable(i, layer)
        for i, layer in wider.items():
            like = next(self.layers[i].parameters())
            self.layers[i] = layer.to(like)
            if self.skips:
                self.skips[i] = Linear(widths[i], self._widths[i + 1]).to(like)
        self.added_inputs = list(counts)

    def _check_replaceable(self, i: int, layer: nn.Module) -> None:
        """Refuse to replace a layer by a new one that is less than what the old one has become."""
        old = list(self.layers[i].parameters())
        names = Counter(id(parameter) for _, parameter in self.named_parameters(remove_duplicate=False))
        shared = any(names[id(parameter)] > 1 for parameter in old)
        if shared or [p.requires_grad for p in old] != [p.requires_grad for p in layer.parameters()]:
            raise ValueError(
                f"{type(self).__name__}: layer {i + 1} has to be replaced by one that takes more inputs, but its "
                f"weights are {'shared' if shared else 'frozen'}; use a strategy that needs none, e.g. Backprop"
            )

    def decode(self, h: Tensor, batch: Data) -> Tensor:
        out = read_out(self.readout, self.pool, h, batch)
        return out if self.head is None else self.head(dropout(out, self.head_dropout, self.training))


class EdgeStack(LayerStack):
    r"""A stack with what GNN+ has besides: encoders, and layers that read features of edges.

    `"Can Classic GNNs Be Strong Baselines for Graph-level Tasks?" <https://arxiv.org/abs/2502.09263>`_ (Luo, Shi, Wu,
    ICML 2025) calls ``feed_forward``, ``residual``, ``norm``, dropout and these options together "GNN+".

    Features of edges are encoded to ``hidden_channels`` once, and all layers read the result. Then, and for codes,
    positional encodings or ``encoder=True``, features of nodes are encoded, too, before the first layer. Their last
    ``pe`` columns may be positional encodings, as :class:`~graphkit.transforms.RandomWalkPE` appends them.

    Args:
        encoder: Whether features of nodes are encoded even where nothing below asks for that (default: ``False``).
        node_types: The number of values of each column of ``x``, where these are codes of atoms (default: numbers).
        pe: How many of the last columns of ``x`` are positional encodings (default: 0).
        pe_channels: The width of what becomes of these (default: 28).
        edge_dim: The number of edge features that are read, by a linear map (default: none).
        edge_types: The number of values of each column of ``edge_attr``, where these are codes (default: none are
            read).

    Raises:
        ValueError: If ``edge_dim`` and ``edge_types`` are given, a batch lacks the edge features, or sizes do not fit.
    """

    @takes_arguments_of(LayerStack)
    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 64,
        num_layers: Count = 2,
        out_channels: Count | None = None,
        *,
        encoder: bool = False,
        node_types: Codes | None = None,
        pe: NonNegativeInt = 0,
        pe_channels: Count = 28,
        edge_dim: Count | None = None,
        edge_types: Codes | None = None,
        **of_stack: Any,
    ) -> None:
        name = type(self).__name__
        if edge_types is not None and edge_dim is not None:
            raise ValueError(f"{name}: give edge_types for codes or edge_dim for numbers, not both")
        self.encoder, self.node_types, self.pe, self.pe_channels = encoder, node_types, pe, pe_channels
        self.edge_dim, self.edge_types = edge_dim, edge_types
        self.has_edges = edge_dim is not None or edge_types is not None
        encodes = encoder or node_types is not None or pe > 0 or self.has_edges or self.always_encodes
        width = hidden_channels if encodes else in_channels
        super().__init__(width, hidden_channels, num_layers, out_channels, **of_stack)
        self.in_channels = in_channels
        self.node_encoder = NodeEncoder(in_channels, hidden_channels, node_types, pe, pe_channels) if encodes else None
        self.edge_encoder: Any = self._make_edge_encoder()
        self.reads = Reads(edge_weight=type(self).reads.edge_weight and not self.has_edges, edge_attr=self.has_edges)

    always_encodes = False

    def _make_edge_encoder(self) -> nn.Module | None:
        if self.edge_types is not None:
            return CodeEncoder(self.hidden_channels, self.edge_types)
        return None if self.edge_dim is None else Linear(self.edge_dim, self.hidden_channels)

    def encode(self, batch: Data) -> State:
        x = self.features(batch, dense=self.pe > 0 or self.node_types is not None)
        return x if self.node_encoder is None else self.node_encoder(x)

    def edge_states(self, batch: Data) -> Tensor:
        """The encoded features of edges ``[num_edges, hidden_channels]``.

        Raises:
            ValueError: If the batch has none, or of another size.
        """
        return self.edge_encoder(edge_attr_of(self, batch))

    @property
    def combines_own(self) -> bool:  # type: ignore[override]
        """Whether layers, residuals, norms or an encoder read a node's own state, too."""
        return self.node_encoder is not None or super().combines_own


class _FeedForward(nn.Module):
    """The block that may follow a layer."""

    def __init__(self, channels: int, rate: float, act: str) -> None:
        super().__init__()
        self.norm_in, self.norm_out = nn.BatchNorm1d(channels), nn.BatchNorm1d(channels)
        self.rate, self.perceptron = rate, Perceptron(channels, 2 * channels, channels, act=act, dropout=rate)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm_in(x)
        return self.norm_out(x + dropout(self.perceptron(x), self.rate, self.training))
