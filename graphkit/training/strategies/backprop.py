"""Ordinary end-to-end training."""

from __future__ import annotations

from torch import Tensor
from torch_geometric.data import Data

from graphkit.training.strategies.base import Phase, Strategy


class Backprop(Strategy):
    r"""End-to-end gradient descent: one phase, one optimizer over all parameters.

    Works with any module.

    Example:
        >>> Backprop()
        Backprop()
    """

    def phases(self) -> list[Phase]:
        return [Phase("backprop")]

    def train_step(self, batch: Data, phase: Phase) -> dict[str, Tensor]:
        loss = self.task.loss(self.engine.forward(self.model, batch), batch, "train")
        self.engine.optimize(loss, phase.optimizers[0])
        return {"loss": loss.detach()}

    def predict(self, batch: Data, upto_layer: int | None = None) -> Tensor:
        if upto_layer is not None:
            raise ValueError("Backprop trains all layers together and cannot predict from a part of them")
        return self.engine.forward(self.model, batch)
