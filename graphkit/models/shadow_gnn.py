"""shaDow-GNN's own networks."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn.resolver import activation_resolver

from graphkit.core.checks import Checks
from graphkit.core.validate import check_choice
from graphkit.models.base import LayeredModel, State
from graphkit.models.readout import make_pool, read_out
from graphkit.nn import Linear, aggr, dropout
from graphkit.ops import SparseMatrix, gcn_norm, l2_normalize, softmax, sparsity_pattern

EPS = 1e-9  # of the official normalisation
POOLINGS = ("center", "mean", "max", "sum")
RESIDUES = ("none", "concat", "sum", "max")
HOP_COLUMNS = 7  # unreachable, then 0 to 5 hops; farther nodes have zeros


class ShaDowGNN(LayeredModel):
    r"""The networks of the shaDow paper: a deep GNN inside a small graph around each root, which is read in the end.

    From `"Decoupling the Depth and Scope of Graph Neural Networks" <https://arxiv.org/abs/2201.07858>`_ (Zeng et al.,
    NeurIPS 2021).

    With dropout before every layer and :math:`\mathrm{norm}` that standardises rows (a learned scale and offset each),

    ==========  =====================================================================================================
    ``sage``    :math:`\mathrm{norm}(\sigma(W_1 x_v + b_1)) + \mathrm{norm}(\sigma(W_2 \bar x_v + b_2))` with the
                mean :math:`\bar x_v` over neighbours
    ``gcn``     :math:`\mathrm{norm}(\sigma(W \hat A x + b))` with the symmetric normalisation
    ``gat``     :math:`\tfrac12 [\mathrm{norm}(\sum_u \alpha_{uv} z_u) + \mathrm{norm}(s_v)]` per head, where
                :math:`z = \sigma(W_1 x + b_1)`, :math:`s = \sigma(W_0 x + b_0)` and :math:`\alpha_{uv}` is the softmax
                over :math:`u` of :math:`\mathrm{lrelu}(a_0^\top s_v) + \mathrm{lrelu}(a_1^\top z_u)`, slope 0.2
    ==========  =====================================================================================================

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

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int = 256,
        num_layers: int = 5,
        out_channels: int | None = None,
        conv: str = "gat",
        heads: int = 1,
        dropout: float = 0.25,
        act: str | None = "elu",
        residue: str = "none",
        pooling: str = "center",
        hops: bool = False,
        readout: str | None = None,
        norm_outputs: bool | None = None,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals())
        if heads < 1 or hidden_channels % heads:
            raise ValueError(f"ShaDowGNN: heads={heads} must divide hidden_channels={hidden_channels}")
        self.conv = check_choice(conv, _CONVS, "conv of ShaDowGNN")
        self.residue = check_choice(residue, RESIDUES, "residue of ShaDowGNN")
        self.pooling = check_choice(pooling, POOLINGS, "pooling of ShaDowGNN")
        widths = [in_channels] + [hidden_channels] * (num_layers - 1)
        self.hop_encoder = Linear(HOP_COLUMNS, in_channels) if hops else None
        self.layers = nn.ModuleList(_CONVS[conv](width, hidden_channels, heads, act) for width in widths)
        width = hidden_channels * (num_layers if residue == "concat" else 1)
        self.pool = make_pool(readout, width)
        joins = readout is None and pooling != "center"
        self.join = _Dense(2 * width, hidden_channels, act) if joins else None
        self.pool_subgraph = aggr.resolve(pooling, width) if joins else None
        width = hidden_channels if joins else width
        normed = self.out_channels > 2 if norm_outputs is None else norm_outputs
        self.head = _Dense(width, self.out_channels, None) if normed else Linear(width, self.out_channels)
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
        out = self.layers[i](dropout(history[-1], self.dropout, self.training), batch)
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


class _Normalised(nn.Module):
    """Linear maps whose results are standardised per row, with a scale and an offset each."""

    def __init__(self, sizes: list[tuple[int, int]], norm_shape: tuple[int, ...], act: str | None) -> None:
        super().__init__()
        self.lins = nn.ModuleList(Linear(*size) for size in sizes)
        self.scale = nn.Parameter(torch.empty(norm_shape))
        self.offset = nn.Parameter(torch.empty(norm_shape))
        self.activation = nn.Identity() if act is None else activation_resolver(act)

    def mapped(self, k: int, x: Any) -> Tensor:
        return self.activation(self.lins[k](x))

    def norm(self, k: int, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], eps=EPS) * self.scale[k] + self.offset[k]

    def reset_parameters(self) -> None:
        for lin in self.lins:
            lin.reset_parameters()  # type: ignore[operator]
        nn.init.ones_(self.scale)
        nn.init.zeros_(self.offset)


class _Dense(_Normalised):
    def __init__(self, in_channels: int, out_channels: int, act: str | None) -> None:
        super().__init__([(in_channels, out_channels)], (1, out_channels), act)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(0, self.mapped(0, x))


class _SAGE(_Normalised):
    def __init__(self, in_channels: int, out_channels: int, heads: int, act: str | None) -> None:
        super().__init__([(in_channels, out_channels)] * 2, (2, out_channels), act)

    def forward(self, x: Tensor, batch: Data) -> Tensor:
        weight = batch.get("edge_weight")
        mean = gcn_norm(batch.edge_index, weight, add_self_loops=False, norm="row", size=x.size(0), dtype=x.dtype)
        return self.norm(0, self.mapped(0, x)) + self.norm(1, self.mapped(1, mean @ x))


class _GCN(_Normalised):
    def __init__(self, in_channels: int, out_channels: int, heads: int, act: str | None) -> None:
        super().__init__([(in_channels, out_channels)], (1, out_channels), act)

    def forward(self, x: Tensor, batch: Data) -> Tensor:
        matrix = gcn_norm(batch.edge_index, batch.get("edge_weight"), size=x.size(0), dtype=x.dtype)
        return self.norm(0, self.mapped(0, matrix @ x))


class _GAT(_Normalised):
    def __init__(self, in_channels: int, out_channels: int, heads: int, act: str | None) -> None:
        shape = (2, heads, out_channels // heads)
        super().__init__([(in_channels, out_channels)] * 2, shape, act)
        self.attention = nn.Parameter(torch.empty(shape))

    def forward(self, x: Tensor, batch: Data) -> Tensor:
        pattern, _ = sparsity_pattern(batch.edge_index, x.size(0)).with_self_loops()
        own, other = (self.mapped(k, x).view(x.size(0), *self.attention.shape[1:]) for k in range(2))
        of_target, of_source = (
            F.leaky_relu((z * a).sum(-1), 0.2) for z, a in zip((own, other), self.attention, strict=True)
        )
        weight = softmax(of_target[pattern.row] + of_source[pattern.col], ptr=pattern.rowptr)
        heads = [SparseMatrix(pattern, weight[:, h]) @ other[:, h] for h in range(other.size(1))]
        return (self.norm(0, torch.stack(heads, dim=1)) + self.norm(1, own)).flatten(1) / 2

    def reset_parameters(self) -> None:
        super().reset_parameters()
        nn.init.xavier_uniform_(self.attention)


_CONVS: dict[str, Any] = {"sage": _SAGE, "gcn": _GCN, "gat": _GAT}
