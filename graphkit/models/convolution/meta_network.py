"""A graph network whose edges have states: it reads neural networks as graphs."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.checks import Checks
from graphkit.core.constraints import Activation, Count
from graphkit.core.reads import Reads
from graphkit.core.validate import check_codes, check_edge_index
from graphkit.metanetworks import EDGE_TYPES, NODE_TYPES
from graphkit.models.base import LayeredModel, State, edge_attr_of
from graphkit.models.readout import make_pool, read_out
from graphkit.models.stack import NORMS, Norm
from graphkit.nn import Linear
from graphkit.nn.meta_block import MetaBlock
from graphkit.nn.node_axis import check_width

M = TypeVar("M", bound="MetaNetwork")


class MetaNetwork(LayeredModel):
    r"""Graph metanetwork: message passing with states of edges, on neural networks whose parameters are edges.

    From `"Graph Metanetworks for Processing Diverse Neural Architectures" <https://github.com/cptq/graph_metanetworks>`_
    (Lim, Maron, Law, Lorraine, Lucas; ICLR 2024).

    .. math::
        e'_{uv} = m_1([x_u, x_v, e_{uv}]), \qquad
        x'_v = m_3\big(\big[x_v, \tfrac{1}{d_v} \sum_{u \to v} m_2([x_u, e'_{uv}])\big]\big)

    in each layer, with perceptrons :math:`m_i` and an activation after each of them, then a norm and the state before,
    as ``norm`` and ``residual`` say. Without a readout the last layer maps to ``out_channels`` and has none of these.
    With one, states of nodes and of edges are pooled, each on its own, and a linear map reads both. Permuting hidden
    neurons of a network permutes what is returned for edges in the same way, and leaves what is pooled as it is.

    The authors' networks of more layers put several linear maps and norms in other places; theirs of two layers is this
    one. :func:`~graphkit.metanetworks.module_to_graph` makes the graphs; any others with ``edge_attr`` will do.

    Args:
        edge_dim: The number of edge features; a parameter graph has 6, and without any, edges begin as 1; built from a
            task, as many as it has (default: none).
        codes: Whether the third columns of node and edge features are types of a parameter graph, to be read as one-hot
            codes (default: ``False``).
        mlp_layers: The number of linear maps of each perceptron (default: 1).
        norm: ``"batch_norm"``, ``"layer_norm"`` or ``None``, of nodes and edges (default: ``None``).
        residual: Whether the state before is added where widths agree (default: ``False``).
        readout: ``None`` for one output per node, ``"edges"`` for one per edge, ``"mask"`` to read the node that
            ``readout_mask`` marks; for one per graph the name of an aggregation, graphkit's or PyG's
            (default: ``None``).

    Shapes:
        - **input:** a PyG ``Data`` or ``Batch`` with ``x`` ``[num_nodes, in_channels]``, ``edge_index`` and
          ``edge_attr`` ``[num_edges, edge_dim]``
        - **output:** ``[num_nodes, out_channels]``, ``[num_edges, out_channels]`` with ``readout="edges"``, or
          ``[num_graphs, out_channels]`` with another

    Raises:
        ValueError: If an argument is out of range, or a batch has no such edge features or unknown codes.

    Example:
        >>> from graphkit.metanetworks import module_to_graph
        >>> graph = module_to_graph(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)))
        >>> MetaNetwork(3, 8, out_channels=1, edge_dim=6, codes=True, readout="mean")(graph).shape
        torch.Size([1, 1])
    """

    checks = Checks(
        [
            {},
            {"edge_dim": None},
            {
                "norm": "layer_norm",
                "residual": True,
                "mlp_layers": 2,
                "act": "silu",
                "readout": "mean",
                "num_layers": 3,
            },
        ]
    )

    reads = Reads(edge_attr=True)
    uses_history = False
    num_hops = None
    no_edge_masks = "its edges have states, not weights"

    def __init__(
        self,
        in_channels: Count,
        hidden_channels: Count = 64,
        num_layers: Count = 3,
        out_channels: Count | None = None,
        edge_dim: Count | None = None,
        codes: bool = False,
        mlp_layers: Count = 1,
        act: Activation = "relu",
        norm: Norm | None = None,
        residual: bool = False,
        readout: str | None = None,
        readout_kwargs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals())
        self.reads = Reads(edge_attr=edge_dim is not None)
        if codes and min(in_channels, edge_dim or 0) < 3:
            raise ValueError(
                f"MetaNetwork: in_channels={in_channels} and edge_dim={edge_dim}, must be at least 3 with codes=True, "
                "which reads the third columns"
            )
        h = hidden_channels
        self._pooled = readout not in (None, "mask", "nodes", "edges")
        self._hidden = num_layers - (not self._pooled)
        more = (len(NODE_TYPES) - 1, len(EDGE_TYPES) - 1) if codes else (0, 0)
        self._widths = in_channels + more[0], (edge_dim or 1) + more[1]
        self.layers = nn.ModuleList()
        for i in range(num_layers):
            widths, last = (h, h) if i else self._widths, i == self._hidden
            self.layers.append(MetaBlock(*widths, self.out_channels if last else h, mlp_layers, act, last))
        self.norms = nn.ModuleList(NORMS[norm](h) for _ in range(2 * self._hidden) if norm is not None)
        self.pool = make_pool(readout, h, **(readout_kwargs or {})) if self._pooled else None
        self.head = Linear(2 * h, self.out_channels) if self._pooled else None
        self.reset_parameters()

    @classmethod
    def from_task(cls: type[M], task: Any, **arguments: Any) -> M:
        return super().from_task(task, **{"edge_dim": task.num_edge_features or None} | arguments)

    def encode(self, batch: Data) -> State:
        """The features of nodes, then of edges, with zeros up to the same width."""
        x = self.features(batch, dense=True)
        check_width(self, x)
        check_edge_index(batch.edge_index, x.size(0), "MetaNetwork")
        parts = [x, self._edge_features(batch, x)]
        if self.codes:
            parts = [_one_hot(*both) for both in zip(parts, (NODE_TYPES, EDGE_TYPES), ("x", "edge_attr"))]
        width = max(self._widths)
        return torch.cat([F.pad(part, (0, width - part.size(1))) for part in parts])

    def _edge_features(self, batch: Data, x: Tensor) -> Tensor:
        if self.edge_dim is None:
            return x.new_ones(batch.edge_index.size(1), 1)
        return edge_attr_of(self, batch).to(x.dtype)

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        layer: Any = self.layers[i]
        before = history[-1]
        x, e = before.split([batch.x.size(0), batch.edge_index.size(1)])  # type: ignore[union-attr]
        h = torch.cat(layer(x[:, : layer.node_channels], e[:, : layer.edge_channels], batch.edge_index))
        if i < self._hidden and self.norm is not None:
            parts = h.split([x.size(0), e.size(0)])
            h = torch.cat([norm(part) for norm, part in zip(self.norms[2 * i : 2 * i + 2], parts)])
        return h + before if self.residual and h.shape == before.shape and i else h  # type: ignore[operator]

    def node_states(self, h: Tensor, batch: Data) -> Tensor:
        return h[: batch.x.size(0)]

    def decode(self, h: Tensor, batch: Data) -> Tensor:
        nodes, edges = h[: batch.x.size(0)], h[batch.x.size(0) :]
        if self.readout == "edges":
            return edges
        out = read_out(self.readout, self.pool, nodes, batch)
        if self.head is None or self.pool is None:
            return out
        source, index = batch.edge_index[0], batch.get("batch")
        of_graph = torch.zeros_like(source) if index is None else index[source]
        return self.head(torch.cat([out, self.pool(edges, of_graph, dim_size=out.size(0))], dim=1))


def _one_hot(part: Tensor, types: tuple[str, ...], name: str) -> Tensor:
    codes = part[:, 2].long()
    check_codes(codes.view(-1, 1), [len(types)], f"types in {name} of MetaNetwork")
    return torch.cat([part[:, :2], part[:, 3:], F.one_hot(codes, len(types)).to(part.dtype)], dim=1)
