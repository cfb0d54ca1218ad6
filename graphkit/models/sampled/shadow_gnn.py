"""shaDow-GNN's own networks."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.checks import Checks
from graphkit.core.constraints import Activation, Channels, Count, OneOf, Probability
from graphkit.core.reads import Reads
from graphkit.models.base import LayeredModel, State
from graphkit.models.readout import make_pool, read_out
from graphkit.nn import Linear, ShaDowGATConv, ShaDowGCNConv, ShaDowLinear, ShaDowSAGEConv, aggr, dropout
from graphkit.ops import l2_normalize

CONVS: dict[str, Any] = {"sage": ShaDowSAGEConv, "gcn": ShaDowGCNConv, "gat": ShaDowGATConv}
HOP_COLUMNS = 7  # unreachable, then 0 to 5 hops; farther nodes have zeros


class ShaDowGNN(LayeredModel):
    r"""The networks of the shaDow paper: a deep GNN inside a small graph around each root, which is read in the end.

    From `"Decoupling the Depth and Scope of Graph Neural Networks" <https://arxiv.org/abs/2201.07858>`_ (Zeng et al.,
    NeurIPS 2021).

    Layers are :class:`~graphkit.nn.ShaDowSAGEConv`, :class:`~graphkit.nn.ShaDowGCNConv` or
    :class:`~graphkit.nn.ShaDowGATConv`, with dropout before each; all of them standardise rows.

    ``residue`` joins the states of all layers. A root's state is put beside the ``pooling`` of its subgraph, which goes
    through one more such layer; its row is divided by its length, and a linear map and a normalisation give the
    outputs. Roots are the nodes that ``readout_mask`` marks, as in the batches of :class:`~graphkit.samplers.ShaDowPPR`
    and :class:`~graphkit.samplers.ShaDowKHop`; without it, all nodes.

    Layers ``gcn`` and ``gat`` add the self-loops that are missing, as the official configurations do.

    Args:
        conv: ``"sage"``, ``"gcn"`` or ``"gat"`` (default: ``"gat"``).
        heads: The number of heads of ``"gat"`` (default: 1).
        dropout: The probability of dropping an entry of each layer's input (default: 0.25).
        act: The activation, by PyG's names, or ``None`` for none (default: ``"elu"``).
        residue: ``"none"``, ``"concat"``, ``"sum"`` or ``"max"`` over layers (default: ``"none"``).
        pooling: ``"center"`` for the root alone, or ``"mean"``, ``"max"``, ``"sum"`` (default: ``"center"``).
        hops: Add a linear map of the one-hot distance to the root (``hop`` of the batch) to the features (default:
            ``False``; the official configurations do).
        readout: For graph tasks, how node states become a graph state, by the name of an aggregation, or ``"mask"``
            (default: ``None``).
        norm_outputs: Whether outputs are standardised, too. The official code always does, which leaves the sign of two
            outputs and nothing of one (default: from three outputs on).

    Shapes:
        - **input:** a PyG ``Data`` or ``Batch`` with ``x`` ``[num_nodes, in_channels]`` and ``edge_index``; optionally
          ``readout_mask`` ``[num_nodes]``, ``batch`` ``[num_nodes]`` and ``hop`` ``[num_nodes]``
        - **output:** ``[num_roots, out_channels]``, or ``[num_graphs, out_channels]`` with a readout

    Raises:
        ValueError: If a name is unknown, ``heads`` does not divide ``hidden_channels``, a number is out of range, or
            ``hops`` are wanted of a batch that has none.

    Example:
        >>> data = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]]))
        >>> ShaDowGNN(4, 8, num_layers=2, out_channels=2, conv="sage", pooling="max")(data).shape
        torch.Size([3, 2])
    """

    checks = Checks(
        [
            {"heads": 2, "residue": "concat"},
            {"conv": "gcn", "residue": "max", "readout": "mean"},
            {"conv": "sage", "residue": "sum", "norm_outputs": True},  # pooling: no node of a whole graph is alone
        ]
    )

    reads = Reads(edge_weight=True)

    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 256,
        num_layers: Count = 5,
        out_channels: Count | None = None,
        conv: Annotated[str, OneOf(CONVS)] = "gat",
        heads: Count = 1,
        dropout: Probability = 0.25,
        act: Activation | None = "elu",
        residue: Literal["none", "concat", "sum", "max"] = "none",
        pooling: Literal["center", "mean", "max", "sum"] = "center",
        hops: bool = False,
        readout: str | None = None,
        norm_outputs: bool | None = None,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals())
        if hidden_channels % heads:
            raise ValueError(f"ShaDowGNN: heads={heads} must divide hidden_channels={hidden_channels}")
        self.reads = Reads(edge_weight=conv != "gat")
        widths = [in_channels] + [hidden_channels] * (num_layers - 1)
        self.hop_encoder = Linear(HOP_COLUMNS, in_channels) if hops else None
        more = {"heads": heads} if conv == "gat" else {}
        self.layers = nn.ModuleList(CONVS[conv](width, hidden_channels, act=act, **more) for width in widths)
        width = hidden_channels * (num_layers if residue == "concat" else 1)
        self.pool = make_pool(readout, width)
        joins = readout is None and pooling != "center"
        self.join = ShaDowLinear(2 * width, hidden_channels, act) if joins else None
        self.pool_subgraph = aggr.resolve(pooling, width) if joins else None
        width = hidden_channels if joins else width
        normed = self.out_channels > 2 if norm_outputs is None else norm_outputs
        self.head = ShaDowLinear(width, self.out_channels, None) if normed else Linear(width, self.out_channels)
        self.reset_parameters()

    @property
    def uses_history(self) -> bool:  # type: ignore[override]
        """Whether the last step reads all states."""
        return self.residue != "none"

    def encode(self, batch: Data) -> State:
        if self.hop_encoder is None:
            return self.features(batch)
        if batch.get("hop") is None:
            raise ValueError("ShaDowGNN: hops=True needs batches with hop; use task.sampled(gk.samplers.ShaDowPPR())")
        x, column = self.features(batch), (batch.hop + 1).clamp(max=HOP_COLUMNS)
        return x + self.hop_encoder(F.one_hot(column, HOP_COLUMNS + 1)[:, :HOP_COLUMNS].to(x.dtype))

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        weight = {"edge_weight": batch.get("edge_weight")} if self.reads.edge_weight else {}
        out = self.layers[i](dropout(history[-1], self.dropout, self.training), batch.edge_index, **weight)
        if i < self.num_layers - 1 or self.residue == "none":
            return out
        states: list[Any] = [*history[1:], out]
        if self.residue == "concat":
            return torch.cat(states, dim=1)
        return torch.stack(states).sum(0) if self.residue == "sum" else torch.stack(states).amax(0)

    def decode(self, h: Tensor, batch: Data) -> Tensor:
        if self.readout is not None:
            return self.head(l2_normalize(read_out(self.readout, self.pool, h, batch)))
        mask = batch.get("readout_mask")
        roots = h if mask is None else h[mask]
        if self.join is not None:
            index = batch.batch if batch.get("batch") is not None else h.new_zeros(h.size(0), dtype=torch.long)
            pooled = read_out(self.pooling, self.pool_subgraph, h, batch)
            roots = self.join(torch.cat([roots, pooled[index if mask is None else index[mask]]], dim=1))
        return self.head(l2_normalize(roots))
