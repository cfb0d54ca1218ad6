"""Ordinary end-to-end training."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.training.inference import layerwise_inference
from graphkit.training.strategies.base import Phase, Strategy


class Backprop(Strategy):
    r"""End-to-end gradient descent: one phase, one optimizer over all parameters.

    Works with any module. A part of the model that declares ``auxiliary_loss() -> Tensor`` (a regulariser of its last
    forward pass, as :class:`~graphkit.nn.aggr.LCMAggregation` has) gets it added to the task's loss while training;
    it is logged as ``train_auxiliary_loss``. Validation and test know the task's loss alone.

    Raises:
        ValueError: If a prediction of the first layers alone is asked for.

    Example:
        >>> Backprop()
        Backprop()
    """

    def phases(self) -> list[Phase]:
        return [Phase("backprop")]

    def train_step(self, batch: Data, phase: Phase) -> dict[str, Tensor]:
        loss = self.task.loss(self.engine.forward(self.model, batch), batch, "train")
        parts: list[Any] = [part for part in self.model.modules() if hasattr(part, "auxiliary_loss")]
        if not parts:
            self.engine.optimize(loss, phase.optimizers[0])
            return {"loss": loss.detach()}
        extra = torch.stack([part.auxiliary_loss() for part in parts]).sum()
        self.engine.optimize(loss + extra, phase.optimizers[0])
        return {"loss": loss.detach(), "auxiliary_loss": extra.detach()}

    def predict(self, batch: Data, upto_layer: int | None = None, stage: str = "test") -> Tensor:
        if upto_layer is not None:
            raise ValueError("Backprop trains all layers together and cannot predict from a part of them")
        if "chunk_size" in batch:
            return self.engine.forward(layerwise_inference, self.model, batch, batch.chunk_size)
        return self.engine.forward(self.model, batch)
