"""AIR: deep propagation whose nodes return to their first state by choice."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Count, Probability, UnitInterval
from graphkit.models.base import State
from graphkit.models.diffusion.predict_then_propagate import PredictThenPropagate
from graphkit.models.readout import make_pool
from graphkit.nn import AIRConv, GCNConv, dropout
from graphkit.nn.linear import torch_linear


class AIR(PredictThenPropagate):
    r"""Adaptive initial residual, for three kinds of networks.

    From `"Model Degradation Hinders Deep Graph Neural Networks" <https://arxiv.org/abs/2206.04361>`_ (Zhang et al., KDD
    2022).

    - ``"sgc"``: :class:`~graphkit.nn.AIRConv` of the features, then a linear map to outputs.
    - ``"appnp"``: a perceptron of two layers makes outputs, then :class:`~graphkit.nn.AIRConv` that returns to them.
    - ``"gcn"``: convolutions, before each of which but the first one a gate mixes in the first one's result:

      .. math::
          X_1 = P X W_0, \qquad g = \sigma(u^\top [X_l, X_1] + c), \qquad
          X_{l + 1} = P \,\mathrm{dropout}(\mathrm{PReLU}((1 - g) X_l + g X_1)) W_l

      and a linear map of :math:`\mathrm{PReLU}(\mathrm{dropout}(X_K))` to outputs.

    Outputs are logits; the official code ends in their log-softmax.

    Args:
        kind: ``"sgc"``, ``"appnp"`` or ``"gcn"`` (default: ``"sgc"``).
        K: The number of hops, for ``"gcn"`` of convolutions (default: 10).
        alpha: The share of what is propagated, for ``"appnp"`` (default: 0.95).
        dropout: The probability of dropping an entry: of each hop, of the perceptron's inputs and of states between
            convolutions (default: 0).
        official_sum: As in :class:`~graphkit.nn.AIRConv`; for ``"gcn"`` nothing (default: ``False``).

    Example:
        >>> AIR(4, 8, out_channels=2)(Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]]))).shape
        torch.Size([3, 2])
    """

    checks = Checks([{"K": 2, "dropout": 0.5}, {"kind": "appnp", "K": 3, "readout": "mean"}, {"kind": "gcn", "K": 3}])
    initializers = (None, None)

    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 64,
        out_channels: Count | None = None,
        kind: Literal["sgc", "appnp", "gcn"] = "sgc",
        K: Count = 10,
        alpha: UnitInterval = 0.95,
        dropout: Probability = 0.0,
        readout: str | None = None,
        official_sum: bool = False,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals())
        out = self.out_channels
        if kind == "sgc":
            self.layers = nn.ModuleList([AIRConv(in_channels, K, 1.0, dropout, official_sum=official_sum)])
            self.lin_out = torch_linear(in_channels, out)
        elif kind == "appnp":
            self.make_perceptron()
            self.layers = nn.ModuleList([AIRConv(out, K, alpha, dropout, official_sum=official_sum)])
        else:
            widths = [in_channels] + [hidden_channels] * K
            self.layers = nn.ModuleList(GCNConv(*pair, bias=False) for pair in pairwise(widths))
            self.gate = torch_linear(2 * hidden_channels, 1)
            self.activation = nn.PReLU()
            self.lin_out = torch_linear(hidden_channels, out)
        self.num_hops = 2 if kind == "gcn" else K + 1  # the degrees of the last neighbours count
        self.uses_history = kind == "gcn"
        self.pool = make_pool(readout, out)
        self.reset_parameters()

    def encode(self, batch: Data) -> State:
        return super().encode(batch) if self.kind == "appnp" else self.features(batch, dense=self.kind == "sgc")

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        h: Any = history[-1]
        if self.kind == "gcn" and i > 0:
            first: Any = history[1]
            gate = torch.sigmoid(self.gate(torch.cat([h, first], dim=-1)))
            h = dropout(self.activation((1 - gate) * h + gate * first), self.dropout, self.training)
        return self.layers[i](h, batch.edge_index, batch.get("edge_weight"))

    def decode(self, h: Tensor, batch: Data) -> Tensor:
        if self.kind == "gcn":
            h = self.activation(dropout(h, self.dropout, self.training))
        return super().decode(h if self.kind == "appnp" else self.lin_out(h), batch)

    def required_transform(self) -> BaseTransform | None:
        return None if self.kind == "sgc" else super().required_transform()  # hops of features are dense
