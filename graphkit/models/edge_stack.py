"""What stacks have in common whose layers may read features of edges, behind encoders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.constraints import Activation, Channels, Count, NonNegativeInt, Probability, not_empty
from graphkit.core.reads import Reads
from graphkit.models.base import State, edge_attr_of
from graphkit.models.stack import LayerStack, Norm
from graphkit.nn import Linear
from graphkit.nn.encoders import CodeEncoder, NodeEncoder

Codes = Annotated[Sequence[Count], not_empty]


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
        encoder: bool = False,
        node_types: Codes | None = None,
        pe: NonNegativeInt = 0,
        pe_channels: Count = 28,
        edge_dim: Count | None = None,
        edge_types: Codes | None = None,
    ) -> None:
        name = type(self).__name__
        if edge_types is not None and edge_dim is not None:
            raise ValueError(f"{name}: give edge_types for codes or edge_dim for numbers, not both")
        self.encoder, self.node_types, self.pe, self.pe_channels = encoder, node_types, pe, pe_channels
        self.edge_dim, self.edge_types = edge_dim, edge_types
        self.has_edges = edge_dim is not None or edge_types is not None
        encodes = encoder or node_types is not None or pe > 0 or self.has_edges or self.always_encodes
        super().__init__(
            hidden_channels if encodes else in_channels,
            hidden_channels,
            num_layers,
            out_channels,
            dropout=dropout,
            act=act,
            norm=norm,
            residual=residual,
            readout=readout,
            bias=bias,
            readout_kwargs=readout_kwargs,
            input_dropout=input_dropout,
            head_dropout=head_dropout,
            pool_outputs=pool_outputs,
            feed_forward=feed_forward,
            head_layers=head_layers,
            head_act=head_act,
            drop_outputs=drop_outputs,
        )
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
