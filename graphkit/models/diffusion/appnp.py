"""APPNP: predict then propagate."""

from __future__ import annotations

from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Count, Probability, UnitInterval
from graphkit.models.base import State
from graphkit.models.diffusion.predict_then_propagate import PredictThenPropagate
from graphkit.models.readout import make_pool
from graphkit.nn import APPNP as Propagation


class APPNP(PredictThenPropagate):
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
        self.make_perceptron()
        self.pool = make_pool(readout, self.out_channels)
        self.layers = nn.ModuleList(Propagation(1, alpha, edge_dropout) for _ in range(num_layers))
        self.reset_parameters()

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        return self.layers[i](history[-1], batch.edge_index, batch.get("edge_weight"), history[0])
