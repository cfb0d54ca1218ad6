"""DeeperGCN: learnt aggregation between mean and maximum, and blocks that train when there are many of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import DeepGCNLayer, GENConv
from torch_geometric.nn.aggr import Aggregation, PowerMeanAggregation, SoftmaxAggregation

from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Count, Finite, Positive, Probability, not_empty
from graphkit.core.reads import Reads
from graphkit.core.validate import check_edge_index
from graphkit.models.base import LayeredModel, State, edge_attr_of
from graphkit.models.readout import make_pool, read_out
from graphkit.models.stack import NORMS, Norm
from graphkit.nn import dropout
from graphkit.nn.encoders import CodeEncoder
from graphkit.nn.linear import torch_linear
from graphkit.ops import scatter

Aggr = Literal["softmax", "softmax_sg", "softmax_sum", "power", "power_sum", "add", "mean", "max"]
Codes = Annotated[Sequence[Count], not_empty]


class DeeperGCN(LayeredModel):
    r"""Deep generalised convolutions: PyG's GENConv in its DeepGCNLayer, with what the official code adds.

    From `"DeeperGCN: All You Need to Train Deeper GCNs" <https://arxiv.org/abs/2006.07739>`_ (Li et al., 2020).

    .. math::
        \mathrm{conv}(h)_t = \mathrm{MLP}\big(h_t + \mathrm{aggr}_{s \to t}
        (\mathrm{ReLU}(h_s + e_{st}) + \epsilon)\big), \qquad
        h_1 = \mathrm{conv}_0(h_0), \qquad
        h_{i + 1} = h_i + \mathrm{conv}_i(\mathrm{dropout}(\mathrm{ReLU}(\mathrm{norm}(h_i))))

    and a linear map of :math:`\mathrm{dropout}(\mathrm{ReLU}(\mathrm{norm}(h_L)))`, for ``block="res+"``. ``"res"`` and
    ``"plain"`` have norm and ReLU after each convolution, with and without a skip, and the linear map reads
    :math:`h_L`. Outputs are logits; the official code ends in their log-softmax.

    ==================  ===============================================================================================
    aggr                per channel
    ==================  ===============================================================================================
    ``"softmax"``       :math:`\sum_s m_s \, \mathrm{softmax}_s(t \, m_s)`
    ``"softmax_sg"``    the same, without a gradient through the weights: so is the official ``softmax`` that learns no
                        :math:`t`
    ``"power"``         :math:`(\mathrm{mean}_s \, m_s^p)^{1/p}`, where messages and their mean are held in
                        :math:`[10^{-7}, 10]`, as by the official code
    ``..._sum``         the first or the third, times the in-degree to the power of the sigmoid of :math:`y`
    ``"add"``, ...      ``"add"``, ``"mean"`` and ``"max"``
    ==================  ===============================================================================================

    Args:
        num_layers: The number of convolutions (default: 7).
        dropout: The probability of dropping an entry in each block and before the linear map (default: 0).
        block: ``"res+"``, ``"res"`` or ``"plain"`` (default: ``"res+"``).
        aggr: How messages are aggregated (default: ``"softmax"``).
        t: The first inverse temperature (default: 1.0).
        learn_t: Whether it is learnt (default: ``False``).
        p: The first power (default: 1.0).
        learn_p: Whether it is learnt (default: ``False``).
        y: The first :math:`y` of sums (default: 0).
        learn_y: Whether it is learnt (default: ``False``).
        msg_norm: Whether the aggregate gets the length of the target's state, times a scale (default: ``False``).
        learn_msg_scale: Whether this scale is learnt, else 1 (default: ``False``).
        norm: The norms of blocks and perceptrons, ``"batch_norm"`` or ``"layer_norm"`` (default: ``"batch_norm"``).
        mlp_layers: The number of linear maps of each perceptron (default: 1).
        edge_dim: The number of edge features, mapped by each convolution; ``None`` for none (default: ``None``).
        node_types: The number of values of each column of ``x``, where these are codes of atoms (default: numbers).
        edge_types: The same of ``edge_attr``, with embeddings for each convolution (default: none).

    Raises:
        ValueError: If ``edge_dim`` and ``edge_types`` are given, edge features are missing, or a code has no embedding.

    Example:
        >>> data = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]]))
        >>> DeeperGCN(4, 8, out_channels=2)(data).shape
        torch.Size([3, 2])
    """

    checks = Checks(
        [
            {"edge_dim": None, "dropout": 0.5, "learn_t": True},
            {"aggr": "power_sum", "p": 1.5, "learn_p": True, "learn_y": True, "block": "res", "norm": "layer_norm"},
            {"aggr": "softmax_sum", "block": "plain", "mlp_layers": 2, "readout": "mean"},
            {"aggr": "max", "msg_norm": True, "learn_msg_scale": True},
        ],
    )
    reads = Reads(edge_attr=True)
    uses_history = False
    num_hops = 1

    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 128,
        num_layers: Count = 7,
        out_channels: Count | None = None,
        dropout: Probability = 0.0,
        block: Literal["res+", "res", "plain"] = "res+",
        aggr: Aggr = "softmax",
        t: Positive = 1.0,
        learn_t: bool = False,
        p: Positive = 1.0,
        learn_p: bool = False,
        y: Finite = 0.0,
        learn_y: bool = False,
        msg_norm: bool = False,
        learn_msg_scale: bool = False,
        norm: Norm = "batch_norm",
        mlp_layers: Literal[1, 2] = 1,
        edge_dim: Count | None = None,
        node_types: Codes | None = None,
        edge_types: Codes | None = None,
        readout: str | None = None,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals())
        h = hidden_channels
        if edge_types is not None and edge_dim is not None:
            raise ValueError("DeeperGCN: give edge_types for codes or edge_dim for numbers, not both")
        self.encoder = torch_linear(in_channels, h) if node_types is None else CodeEncoder(h, node_types)
        self.edge_encoders = nn.ModuleList(CodeEncoder(h, edge_types) for _ in range(num_layers) if edge_types)
        self.layers = nn.ModuleList()
        for i in range(num_layers):
            if block == "res+" and i == 0:
                self.layers.append(self._conv())
            else:
                kind = "plain" if i == 0 else block
                self.layers.append(DeepGCNLayer(self._conv(), NORMS[norm](h), nn.ReLU(), kind, dropout))
        self.last_norm = NORMS[norm](h) if block == "res+" else None
        self.reads = Reads(edge_attr=edge_dim is not None or edge_types is not None)
        self.pool = make_pool(readout, h)
        self.lin_out = torch_linear(h, self.out_channels)
        self.reset_parameters()

    def _conv(self) -> GENConv:
        h = self.hidden_channels
        conv = GENConv(
            h,
            h,
            aggr=_GENAggregation(self.aggr, self.t, self.learn_t, self.p, self.learn_p, self.y, self.learn_y),
            msg_norm=self.msg_norm,
            learn_msg_scale=self.learn_msg_scale,
            norm=self.norm.removesuffix("_norm"),
            num_layers=self.mlp_layers,
            bias=True,
            edge_dim=self.edge_dim,
        )
        if self.edge_dim == h:  # which PyG would take as it is
            conv.lin_edge = torch_linear(h, h)
        return conv

    def encode(self, batch: Data) -> State:
        return self.encoder(self.features(batch, dense=True))

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        if i == 0:
            check_edge_index(batch.edge_index, history[-1].size(0), "DeeperGCN")
        return self.layers[i](history[-1], batch.edge_index, self._edges(i, batch))

    def _edges(self, i: int, batch: Data) -> Tensor | None:
        """What a convolution adds to the states of sources."""
        if not self.reads.edge_attr:
            return None
        edge_attr = edge_attr_of(self, batch)
        return self.edge_encoders[i](edge_attr) if self.edge_types else edge_attr

    def decode(self, h: Tensor, batch: Data) -> Tensor:
        if self.last_norm is not None:
            h = dropout(self.last_norm(h).relu(), self.dropout, self.training)
        return self.lin_out(read_out(self.readout, self.pool, h, batch))


class _GENAggregation(Aggregation):
    """The official aggregations, of PyG's."""

    def __init__(self, kind: Aggr, t: float, learn_t: bool, p: float, learn_p: bool, y: float, learn_y: bool) -> None:
        super().__init__()
        self.kind, self.first_y = kind, y
        if kind.startswith("softmax"):
            self.inner: Any = SoftmaxAggregation(t, learn_t, semi_grad=kind == "softmax_sg")
        elif kind.startswith("power"):
            self.inner = PowerMeanAggregation(p, learn_p, clamp_min=1e-7, clamp_max=10.0)
            if not learn_p:  # of the number 1 PyG clamps nothing
                del self.inner.p
                self.inner.register_buffer("p", torch.tensor(p, dtype=torch.double), persistent=False)
        else:
            self.inner = None
        self.y = nn.Parameter(torch.tensor([y]), requires_grad=learn_y) if kind.endswith("_sum") else None

    def reset_parameters(self) -> None:
        if self.inner is not None:
            self.inner.reset_parameters()
        if self.y is not None:
            nn.init.constant_(self.y, self.first_y)

    def forward(
        self,
        x: Tensor,
        index: Tensor | None = None,
        ptr: Tensor | None = None,
        dim_size: int | None = None,
        dim: int = -2,
    ) -> Tensor:
        if self.inner is None:
            return self.reduce(x, index, ptr, dim_size, dim, reduce={"add": "sum"}.get(self.kind, self.kind))
        out = self.inner(x, index, ptr, dim_size, dim)
        if self.y is None or index is None:
            return out
        degree = scatter(x.new_ones(x.size(dim)), index, dim_size)
        return out * degree.pow(self.y.sigmoid())[:, None]
