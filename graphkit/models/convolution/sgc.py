"""SGC: logistic regression on propagated features."""

from __future__ import annotations

from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Count, Probability
from graphkit.core.reads import Reads
from graphkit.models.base import LayeredModel, State
from graphkit.models.readout import make_pool
from graphkit.nn import SGConv, dropout


class SGC(LayeredModel):
    r"""Simple graph convolution: one :class:`~graphkit.nn.SGConv`, :math:`y = P^K X W^\top + b`.

    From `"Simplifying Graph Convolutional Networks" <https://arxiv.org/abs/1902.07153>`_ (Wu et al., ICML 2019).

    Args:
        hidden_channels: The width of embeddings, where there is no ``out_channels`` (default: 64).
        K: The number of averages :math:`K` (default: 2).
        bias: Whether there is :math:`b` (default: ``True``).

    Example:
        >>> import torch
        >>> SGC(4, out_channels=2)(Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]]))).shape
        torch.Size([3, 2])
    """

    checks = Checks([{"input_dropout": 0.5}, {"K": 3, "readout": "mean"}])
    reads = Reads(edge_weight=True)
    uses_history = False
    sparse_features = True

    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 64,
        out_channels: Count | None = None,
        K: Count = 2,
        input_dropout: Probability = 0.0,
        bias: bool = True,
        readout: str | None = None,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals())
        self.num_hops = K + 1  # the degrees of the last neighbours count
        self.layers = nn.ModuleList([SGConv(in_channels, self.out_channels, K, bias=bias)])
        self.pool = make_pool(readout, self.out_channels)
        self.reset_parameters()

    def encode(self, batch: Data) -> State:
        return dropout(self.features(batch), self.input_dropout, self.training)

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        return self.layers[i](history[-1], batch.edge_index, batch.get("edge_weight"))
