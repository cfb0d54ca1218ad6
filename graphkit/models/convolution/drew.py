"""DRew: dynamically rewired message passing with delay."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import SAGEConv
from torch_geometric.nn.resolver import activation_resolver
from torch_geometric.transforms import BaseTransform, Compose

from graphkit.core.checks import Checks
from graphkit.core.constraints import Activation, Channels, Count, NonNegativeInt, Probability
from graphkit.core.reads import Reads
from graphkit.models.base import LayeredModel, State
from graphkit.models.readout import make_pool
from graphkit.nn import DRewConv, DRewGatedGCNConv, DRewGCNConv, DRewGINConv, DRewRGINConv, Linear, dropout
from graphkit.nn.drew.base import Delay
from graphkit.nn.drew.gin import SHIFTED_AWAY
from graphkit.nn.encoders import CodeEncoder, LaplacianEncoder
from graphkit.ops import l2_normalize
from graphkit.transforms import Hops, LaplacianEigenvectors, SparseFeatures

LAP_PE_CHANNELS = 16


class DRew(LayeredModel):
    r"""Dynamically rewired message passing with delay: layer :math:`t` reads nodes up to distance :math:`t + 1`.

    From `"DRew: Dynamically Rewired Message Passing with Delay" <https://arxiv.org/abs/2305.08018>`_ (Gutteridge et
    al., ICML 2023).

    .. math::
        z = \sum_{k=1}^{\min(t + 1,\, k_{\max})} \alpha_k \, \mathrm{conv}_{k,t} \big( x^{(t - \max(0, k - \nu))}, E_k
        \big), \qquad t = 0, \dots, L - 1

    where :math:`E_k` holds the pairs of nodes at distance exactly :math:`k`. With :math:`\nu = 1` a message takes as
    many layers as there are edges on its way, and :math:`\nu = \infty` has no delay. The next state is

    ==================  ======================================================  ===========================
    ``conv``            :math:`x^{(t+1)}`                                       layer
    ==================  ======================================================  ===========================
    ``"gcn"``           :math:`\ell_2(x^{(t)} + \sigma(z))`                     :class:`~graphkit.nn.DRewGCNConv`
    ``"gin"``           :math:`\sigma(z) \; [+ x^{(t)}]`                        :class:`~graphkit.nn.DRewGINConv`
    ``"gatedgcn"``      :math:`x^{(t)} + \sigma(\mathrm{BN}(z))`                :class:`~graphkit.nn.DRewGatedGCNConv`
    ``"rgin"``          :math:`z`                                               :class:`~graphkit.nn.DRewRGINConv`
    any other           :math:`x^{(t)} + \sigma(\mathrm{BN}(z))`                :class:`~graphkit.nn.DRewConv`
    ==================  ======================================================  ===========================

    Any convolution of PyG or your own becomes a DRew network by being named: ``conv`` is then called as
    ``conv(hidden_channels, hidden_channels)`` once per layer and hop, and its result as ``(x, edge_index)`` with the
    pairs of that hop.

    Where sources differ, see the layers. Laplacian eigenvectors are those of the graph itself; the official code
    computes them after it has replaced the edges by all pairs of nodes, which ``official_lap_pe`` repeats. It also
    loses bond features on the way; here only ``"rgin"`` reads them.

    Args:
        num_layers: The number of layers :math:`L` (default: 2).
        conv: ``"gcn"``, ``"gin"``, ``"gatedgcn"``, ``"rgin"``, or a class or function that builds one convolution
            (default: ``"gcn"``).
        nu: Up to which distance :math:`\nu` nodes are read without delay, a whole number or infinity (default: 1).
        k_max: The largest distance (default: no limit but the depth).
        dropout: The probability of dropping an entry after the activation; within the hops for ``"gcn"`` (default: 0).
        batch_norm: Whether there is batch normalisation (default: ``True``; ``"rgin"`` always has it).
        l2_norm: Whether ``"gcn"`` divides rows by their length (default: ``True``).
        residual: Whether layers add their input (default: as in the table, without the bracket).
        shared_weights: Whether the hops of a layer share weights (default: for ``"gatedgcn"`` only).
        convex_combination: :math:`\alpha_k` sums to 1, see :class:`~graphkit.nn.DRewConv` (default: ``False``;
            ``"rgin"`` always does).
        learned_hop_weights: Learnt :math:`\alpha` (default: ``False``; ``"rgin"`` always learns them).
        num_edge_types: The number of edge types that ``"rgin"`` reads from ``edge_attr`` (default: 1: none).
        encoder: ``"linear"`` for a linear map, or ``"atom"`` for OGB's nine integer codes of atoms (default:
            ``"linear"``).
        pre_layers: How many linear maps with batch normalisation and activation there are before the first layer; the
            first one takes the place of ``"linear"`` (default: 0).
        lap_pe: The number of Laplacian eigenvectors that are encoded in the last 16 channels (default: 0: none).
        jumping: Decode the states of all layers, as in the official QM9 model, instead of the last (default:
            ``False``).
        official_lap_pe: Eigenvectors of the graph of all pairs up to distance :math:`L` (default: ``False``).
        official_skip_empty_hops: See :class:`~graphkit.nn.DRewGCNConv` (default: ``False``).

    Shapes:
        - **input:** a PyG ``Data`` or ``Batch`` with ``x`` ``[num_nodes, in_channels]`` and what
          :class:`~graphkit.transforms.Hops` adds (the trainer applies it)

    Raises:
        ValueError: If an argument is out of range, a name is unknown, or an option does not fit ``conv``.
        AttributeError: If a batch has no ``hop_index``.

    Example:
        >>> from torch_geometric.nn import SAGEConv
        >>> data = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> model = DRew(4, 8, num_layers=3, out_channels=2, nu=float("inf"))
        >>> data = model.required_transform()(data)
        >>> model(data).shape
        torch.Size([3, 2])
        >>> DRew(4, 8, num_layers=3, out_channels=2, conv=SAGEConv)(data).shape
        torch.Size([3, 2])
    """

    checks = Checks(
        [
            {"dropout": 0.5},
            Checks(
                [{"conv": "gin", "num_layers": 3, "nu": 2, "readout": "mean", "residual": True}],
                expected_failures=SHIFTED_AWAY,
            ),
            {"conv": "gatedgcn", "nu": math.inf, "convex_combination": True, "act": "elu"},
            {"conv": "rgin", "jumping": True, "readout": "sum"},
            {"conv": SAGEConv, "shared_weights": True, "pre_layers": 1},
            {"batch_norm": False, "l2_norm": False, "num_layers": 3, "k_max": 2},
        ]
    )

    reads = Reads(edge_attr=True)

    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 64,
        num_layers: Count = 2,
        out_channels: Count | None = None,
        conv: Literal["gcn", "gin", "gatedgcn", "rgin"] | Callable[[int, int], nn.Module] = "gcn",
        nu: Delay = 1,
        k_max: Count | None = None,
        dropout: Probability = 0.0,
        act: Activation = "relu",
        batch_norm: bool = True,
        l2_norm: bool = True,
        residual: bool | None = None,
        shared_weights: bool | None = None,
        convex_combination: bool = False,
        learned_hop_weights: bool = False,
        num_edge_types: Count = 1,
        encoder: Literal["linear", "atom"] = "linear",
        pre_layers: NonNegativeInt = 0,
        lap_pe: NonNegativeInt = 0,
        jumping: bool = False,
        readout: str | None = None,
        official_lap_pe: bool = False,
        official_skip_empty_hops: bool = False,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals())
        self._check()

        self.reads = Reads(edge_attr=num_edge_types > 1)
        width = hidden_channels - (LAP_PE_CHANNELS if lap_pe else 0)
        self.embedding, self.pre = self._make_encoder(width)
        self.pe = LaplacianEncoder(LAP_PE_CHANNELS) if lap_pe else None
        self.layers = nn.ModuleList(self._make_layer(t) for t in range(num_layers))
        self.activation = nn.Identity() if conv == "rgin" else activation_resolver(act)
        self.pool = make_pool(readout, self._state_width)
        self.head = Linear(self._state_width, self.out_channels)
        self.reset_parameters()

    def _check(self) -> None:
        if self.num_edge_types > 1 and self.conv != "rgin":
            raise ValueError(f"DRew: num_edge_types={self.num_edge_types}, but conv={self.conv!r} reads no edge types")
        if self.conv == "rgin" and self.shared_weights:
            raise ValueError("DRew: conv='rgin' has no shared_weights")
        if self.lap_pe and self.hidden_channels <= LAP_PE_CHANNELS:
            raise ValueError(
                f"DRew: hidden_channels={self.hidden_channels} leaves no room beside the {LAP_PE_CHANNELS} channels of "
                "lap_pe; take more"
            )

    @property
    def _state_width(self) -> int:
        return self.hidden_channels * (self.num_layers + 1 if self.jumping else 1)

    def _make_encoder(self, width: int) -> tuple[nn.Module | None, nn.Sequential]:
        embedding = CodeEncoder(width) if self.encoder == "atom" else None
        if embedding is None and self.pre_layers == 0:
            embedding = Linear(self.in_channels, width)
        parts: list[nn.Module] = []
        for i in range(self.pre_layers):
            size = self.in_channels if i == 0 and embedding is None else width
            parts += [Linear(size, width), nn.BatchNorm1d(width), activation_resolver(self.act)]
        return embedding, nn.Sequential(*parts)

    def _make_layer(self, t: int) -> nn.ModuleDict:
        """The convolution of layer ``t``, and the batch normalisation after it where it has none within."""
        layer = nn.ModuleDict({"conv": self._make_conv(min(t + 1, self.k_max or t + 1))})
        if self.batch_norm and (self.conv == "gatedgcn" or callable(self.conv)):
            layer["norm"] = nn.BatchNorm1d(self.hidden_channels)
        return layer

    def _make_conv(self, num_hops: int) -> nn.Module:
        width, build = self.hidden_channels, self.conv
        hops: dict[str, Any] = {"num_hops": num_hops, "nu": self.nu}
        if build == "rgin":
            return DRewRGINConv(width, width, act=self.act, num_edge_types=self.num_edge_types, **hops)
        hops["convex_combination"], hops["learned_hop_weights"] = self.convex_combination, self.learned_hop_weights
        hops["shared_weights"] = build == "gatedgcn" if self.shared_weights is None else self.shared_weights
        if build == "gatedgcn":
            return DRewGatedGCNConv(width, width, **hops)
        if callable(build):
            return DRewConv(lambda: build(width, width), **hops)
        hops |= {"act": self.act, "batch_norm": self.batch_norm}
        hops["official_skip_empty_hops"] = self.official_skip_empty_hops
        if build == "gin":
            return DRewGINConv(width, width, **hops)
        return DRewGCNConv(width, width, dropout=self.dropout, l2_norm=self.l2_norm, **hops)

    def encode(self, batch: Data) -> Tensor:
        x = self.features(batch)
        h = self.pre(x if self.embedding is None else self.embedding(x))
        if self.pe is None:
            return h
        return torch.cat([h, self.pe(batch.laplacian_vectors, batch.laplacian_values)], dim=1)

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        if batch.get("hop_index") is None:
            raise AttributeError(
                "DRew needs batch.hop_index and batch.hop_distance; the trainer adds them, by hand "
                "model.required_transform()(data) does"
            )
        further, layer = {}, cast(nn.ModuleDict, self.layers[i])
        if getattr(layer["conv"], "explain", False) and not torch.equal(batch.edge_index, batch.hop_index):
            raise ValueError(
                "DRew reads pairs of nodes, hop_index, and edge masks are for these; explain it with them as edges: "
                "explainer(x, hop_index, hop_index=hop_index, hop_distance=hop_distance)"
            )
        if self.num_edge_types > 1:
            further = {"relation_index": batch.edge_index, "edge_type": batch.edge_attr.view(-1)}
        out = layer["conv"](history, batch.hop_index, batch.hop_distance, **further)
        out = self.activation(layer["norm"](out) if "norm" in layer else out)
        if self.conv != "gcn":  # whose hops drop, each before its own activation
            out = dropout(out, self.dropout, self.training)
        if self.conv not in ("gin", "rgin") if self.residual is None else self.residual:
            out = cast(Tensor, history[-1]) + out
        if self.conv == "gcn" and self.l2_norm:
            out = l2_normalize(out)
        if self.jumping and i == self.num_layers - 1:
            out = torch.cat(cast(list[Tensor], [*history, out]), dim=1)
        return out

    def required_transform(self) -> BaseTransform | None:
        parts: list[BaseTransform] = [Hops(min(self.num_layers, self.k_max or self.num_layers))]
        if self.lap_pe:
            parts.append(LaplacianEigenvectors(self.lap_pe, "hop_index" if self.official_lap_pe else "edge_index"))
        if self.encoder == "linear":
            parts.append(SparseFeatures())
        return Compose(parts)
