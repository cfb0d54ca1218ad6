"""DAGNN: predict, propagate to many hops, and let each node choose among them."""

from __future__ import annotations

from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Count, Probability
from graphkit.models.base import State
from graphkit.models.diffusion.predict_then_propagate import PredictThenPropagate
from graphkit.models.readout import make_pool
from graphkit.nn import DAGNNConv


class DAGNN(PredictThenPropagate):
    r"""Deep adaptive graph neural network: a perceptron on each node, then a gated sum of what many hops average.

    From `"Towards Deeper Graph Neural Networks" <https://arxiv.org/abs/2007.09296>`_ (Liu, Gao, Ji, KDD 2020). Its one
    layer is :class:`~graphkit.nn.DAGNNConv` on the perceptron's results

    .. math::
        h_0 = W_2 \,\mathrm{ReLU}(W_1 x + b_1) + b_2

    Outputs are logits; the official code ends in their log-softmax.

    Args:
        K: The number of hops (default: 10).
        dropout: The probability of dropping an entry before each linear map (default: 0).

    Example:
        >>> import torch
        >>> DAGNN(4, 8, out_channels=2)(Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]]))).shape
        torch.Size([3, 2])
    """

    checks = Checks([{"dropout": 0.5}, {"K": 3, "readout": "mean"}])
    initializers = (None, None)

    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 64,
        out_channels: Count | None = None,
        K: Count = 10,
        dropout: Probability = 0.0,
        readout: str | None = None,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals())
        self.make_perceptron()
        self.pool = make_pool(readout, self.out_channels)
        self.layers = nn.ModuleList([DAGNNConv(self.out_channels, K)])
        self.num_hops = K + 1  # the degrees of the last neighbours count
        self.reset_parameters()

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        return self.layers[i](history[-1], batch.edge_index, batch.get("edge_weight"))
