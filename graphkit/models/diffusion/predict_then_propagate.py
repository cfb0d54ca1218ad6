"""What decoupled networks share: a perceptron makes predictions on each node, and steps without it spread them."""

from __future__ import annotations

from typing import Any, ClassVar

from torch_geometric.data import Data

from graphkit.core.reads import Reads
from graphkit.models.base import LayeredModel, State
from graphkit.nn import Linear, dropout


class PredictThenPropagate(LayeredModel):
    r"""Predict then propagate; a subclass fills ``layers`` with propagations and ``pool``, and writes :meth:`step`.

    .. math::
        h_0 = W_2 \,\mathrm{ReLU}(W_1 x + b_1) + b_2
    """

    reads = Reads(edge_weight=True)
    initializers: ClassVar[tuple[str | None, str | None]] = ("glorot", "zeros")  # of weights and of biases
    sparse_features = True

    def make_perceptron(self) -> None:
        """Make the two linear maps from the arguments that the constructor keeps."""
        self.lin_in = Linear(self.in_channels, self.hidden_channels, True, *self.initializers)
        self.lin_out = Linear(self.hidden_channels, self.out_channels, True, *self.initializers)

    def encode(self, batch: Data) -> State:
        h: Any = self.lin_in(dropout(self.features(batch), self.dropout, self.training)).relu()
        return self.lin_out(dropout(h, self.dropout, self.training))
