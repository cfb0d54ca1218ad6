"""DGMLP: a residual perceptron on features that were averaged over hops before."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Count, Positive, Probability
from graphkit.core.reads import Reads
from graphkit.models.graph_free.mlp import MLP
from graphkit.transforms import NodeAdaptiveCombination


class DGMLP(MLP):
    r"""Deep graph multilayer perceptron: features averaged over hops once, by each node's own weights, then residuals.

    From `"Evaluating Deep Graph Neural Networks" <https://arxiv.org/abs/2108.00955>`_ (Zhang et al., 2021). The
    averages have no parameters and come from :class:`~graphkit.transforms.NodeAdaptiveCombination`, which the trainer
    applies; on them stands a perceptron of

    .. math::
        h_1 = \mathrm{ReLU}(W_0 x' + b_0), \qquad h_{i + 1} = \mathrm{ReLU}(W_i h_i + b_i) + h_i

    and a last map without activation and residual. A single layer is logistic regression, which the paper takes for
    citation graphs. Each layer has a matrix of its own; the official code repeats the second one in all hidden layers.

    Args:
        K: The number of hops (default: 10).
        temperature: The temperature of the weights of hops (default: 1).
        dropout: The probability of dropping an entry before each linear map (default: 0).

    Shapes:
        - **input:** a PyG ``Data`` or ``Batch`` with ``combined_x`` ``[num_nodes, in_channels]``, which
          ``required_transform()`` adds (the trainer applies it)

    Example:
        >>> import torch
        >>> model = DGMLP(4, 8, num_layers=3, out_channels=2, K=2)
        >>> data = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]]))
        >>> model(model.required_transform()(data)).shape
        torch.Size([3, 2])
    """

    checks = Checks([{"dropout": 0.5}, {"num_layers": 3, "K": 3, "readout": "mean"}])
    reads = Reads(edge_weight=True)
    no_edge_masks = "features are averaged over edges before the model sees them"

    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 64,
        num_layers: Count = 1,
        out_channels: Count | None = None,
        K: Count = 10,
        temperature: Positive = 1.0,
        dropout: Probability = 0.0,
        readout: str | None = None,
    ) -> None:
        super().__init__(in_channels, hidden_channels, num_layers, out_channels, dropout, readout=readout)
        self.keep_arguments(locals())

    def features(self, batch: Data, dense: bool = False) -> Any:
        combined = batch.get("combined_x")
        if combined is None:
            raise ValueError("DGMLP: the batch has no combined_x; apply model.required_transform() to each graph")
        return combined

    def _join(self, i: int, out: Tensor, h: Any, dropped: Any) -> Tensor:
        out = self._finish(i, out)
        hidden = self.num_layers if self.head is not None else self.num_layers - 1
        return out + h if 0 < i < hidden else out

    def required_transform(self) -> BaseTransform:
        return NodeAdaptiveCombination(self.K, self.temperature)
