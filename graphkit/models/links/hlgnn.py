"""HL-GNN: a linear map and a trained heuristic of the graph, for links above all."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Count, NonNegative, Probability
from graphkit.core.reads import Reads
from graphkit.models.base import LayeredModel, State
from graphkit.models.readout import make_pool
from graphkit.nn import GPRConv, dropout
from graphkit.nn.linear import torch_linear


class HLGNN(LayeredModel):
    r"""Heuristic learning: one linear map, then a sum over many hops whose weights start as a heuristic's.

    From `"Heuristic Learning with Graph Neural Networks: A Unified Framework for Link Prediction"
    <https://arxiv.org/abs/2406.07979>`_ (Zhang et al., KDD 2024).

    .. math::
        Z = \mathrm{dropout}(X) W^\top + b, \qquad H = \sum_{k = 0}^K \gamma_k P^k Z

    with :math:`P` and :math:`\gamma` as in :class:`~graphkit.nn.GPRConv`. The paper's link predictor is
    ``LinkPredictor(HLGNN(...))`` with the decoder ``"mlp"``; for a dot product, give a :class:`~graphkit.LinkTask` the
    model alone. It predicts labels of nodes and graphs as other models do. The official code keeps links of a training
    batch among the edges, as ``LinkTask`` does.

    Args:
        hidden_channels: The width of embeddings, where there is no ``out_channels`` (default: 64).
        K: The number of hops (default: 20).
        alpha: The number :math:`\alpha` of the first weights (default: 0.2).
        init: The first weights: ``"RWR"``, ``"KI"``, ``"SGC"`` or ``"random"`` (default: ``"RWR"``).

    Example:
        >>> import torch
        >>> HLGNN(4, 8)(Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]]))).shape
        torch.Size([3, 8])
    """

    checks = Checks([{"K": 2, "input_dropout": 0.5}, {"K": 4, "init": "KI", "readout": "mean"}])
    reads = Reads(edge_weight=True)
    uses_history = False
    sparse_features = True

    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 64,
        out_channels: Count | None = None,
        K: Count = 20,
        alpha: NonNegative = 0.2,
        init: Literal["RWR", "KI", "SGC", "random"] = "RWR",
        input_dropout: Probability = 0.0,
        readout: str | None = None,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals())
        self.num_hops = K + 1  # the degrees of the last neighbours count
        self.lin = torch_linear(in_channels, self.out_channels)
        self.layers = nn.ModuleList([GPRConv(K, alpha, init)])
        self.pool = make_pool(readout, self.out_channels)
        self.reset_parameters()

    def encode(self, batch: Data) -> State:
        return self.lin(dropout(self.features(batch), self.input_dropout, self.training))

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        return self.layers[i](history[-1], batch.edge_index, batch.get("edge_weight"))
