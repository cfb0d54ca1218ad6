"""What decoupled networks share: a perceptron makes predictions on each node, and steps without it spread them."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from graphkit.core.reads import Reads
from graphkit.models.base import LayeredModel, State
from graphkit.models.readout import read_out
from graphkit.nn import Linear, dropout
from graphkit.transforms import SparseFeatures


class PredictThenPropagate(LayeredModel):
    r"""Predict then propagate; a subclass fills ``layers`` with propagations and ``pool``, and writes :meth:`step`.

    .. math::
        h_0 = W_2 \,\mathrm{ReLU}(W_1 x + b_1) + b_2
    """

    reads = Reads(edge_weight=True)
    initializers: ClassVar[tuple[str | None, str | None]] = ("glorot", "zeros")  # of weights and of biases

    def make_perceptron(self) -> None:
        """Make the two linear maps from the arguments that the constructor keeps."""
        self.lin_in = Linear(self.in_channels, self.hidden_channels, True, *self.initializers)
        self.lin_out = Linear(self.hidden_channels, self.out_channels, True, *self.initializers)

    def encode(self, batch: Data) -> State:
        h: Any = self.lin_in(dropout(self.features(batch), self.dropout, self.training)).relu()
        return self.lin_out(dropout(h, self.dropout, self.training))

    def decode(self, h: Tensor, batch: Data) -> Tensor:
        return read_out(self.readout, self.pool, h, batch)

    def required_transform(self) -> BaseTransform | None:
        return SparseFeatures()
