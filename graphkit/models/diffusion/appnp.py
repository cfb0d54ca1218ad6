"""APPNP: predict then propagate."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Count, Probability, UnitInterval
from graphkit.core.reads import Reads
from graphkit.models.base import LayeredModel, State
from graphkit.models.readout import make_pool, read_out
from graphkit.nn import APPNP as Propagation
from graphkit.nn import Linear, dropout
from graphkit.transforms import SparseFeatures


class APPNP(LayeredModel):
    r"""Predict then propagate: a perceptron of two layers on each node, then steps of personalised PageRank.

    From `"Predict then Propagate: Graph Neural Networks meet Personalized PageRank" <https://arxiv.org/abs/1810.05997>`_
    (Gasteiger et al., ICLR 2019).

    .. math::
        h_0 = W_2 \,\mathrm{ReLU}(W_1 x + b_1) + b_2, \qquad h_{i + 1} = (1 - \alpha) P h_i + \alpha h_0

    Each step is a layer without weights, :class:`~graphkit.nn.APPNP`.

    Args:
        num_layers: The number of steps (default: 10).
        alpha: The probability :math:`\alpha` of returning (default: 0.1).
        dropout: The probability of dropping an entry before each linear map (default: 0).
        edge_dropout: The probability of dropping an entry of :math:`P` in each step (default: 0).

    Example:
        >>> import torch
        >>> APPNP(4, 8, out_channels=2)(Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]]))).shape
        torch.Size([3, 2])
    """

    checks = Checks([{"dropout": 0.5}, {"num_layers": 3, "edge_dropout": 0.5, "readout": "mean"}])
    reads = Reads(edge_weight=True)
    num_hops = 2  # the degrees of a node's neighbours count

    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 64,
        num_layers: Count = 10,
        out_channels: Count | None = None,
        alpha: UnitInterval = 0.1,
        dropout: Probability = 0.0,
        edge_dropout: Probability = 0.0,
        readout: str | None = None,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals())
        self.lin_in = Linear(in_channels, hidden_channels)
        self.lin_out = Linear(hidden_channels, self.out_channels)
        self.layers = nn.ModuleList(Propagation(1, alpha, edge_dropout) for _ in range(num_layers))
        self.pool = make_pool(readout, self.out_channels)
        self.reset_parameters()

    def encode(self, batch: Data) -> State:
        h: Any = self.lin_in(dropout(self.features(batch), self.dropout, self.training)).relu()
        return self.lin_out(dropout(h, self.dropout, self.training))

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        return self.layers[i](history[-1], batch.edge_index, batch.get("edge_weight"), history[0])

    def decode(self, h: Tensor, batch: Data) -> Tensor:
        return read_out(self.readout, self.pool, h, batch)

    def required_transform(self) -> BaseTransform | None:
        return SparseFeatures()
