"""A strategy with several phases, optimizers and weights of its own: greedy layer-wise training."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import global_mean_pool

from graphkit.training.strategies import Phase, Strategy


class Greedy(Strategy):
    """Trains layer after layer, each under a linear head of its own, with everything below it fixed."""

    def cannot(self) -> dict[str, str]:
        return {"modules": "trains layer by layer and needs a LayeredModel, got {model}; use Backprop"}

    def setup(self, model: nn.Module, task: Any, engine: Any) -> None:
        super().setup(model, task, engine)
        batch = engine.to_device(next(iter(task.batches("val"))))
        with torch.no_grad():
            widths = [h.size(1) for h in self._states(batch, len(model.layers))[1:]]
        self.heads = engine.place(nn.ModuleList(nn.Linear(width, task.num_outputs or width) for width in widths))

    def phases(self) -> list[Phase]:
        return [Phase(f"layer {i + 1}", upto_layer=i + 1) for i in range(len(self.model.layers))]

    def optimizers(self, phase, make):
        layer, head = self.model.layers[phase.upto_layer - 1], self.heads[phase.upto_layer - 1]
        return [make(layer.named_parameters()), make(head.named_parameters())]

    def train_step(self, batch: Data, phase: Phase) -> dict[str, Tensor]:
        i = phase.upto_layer - 1
        with torch.no_grad():
            history = self._states(batch, i)
        out = self._head(self.model.step(i, history, batch), i, batch)
        loss = self.task.loss(out, batch, "train")
        for optimizer in phase.optimizers:
            optimizer.zero_grad()
        self.engine.fabric.backward(loss)
        for optimizer in phase.optimizers:
            optimizer.step()
        return {"loss": loss.detach()}

    def predict(self, batch: Data, upto_layer: int | None = None, stage: str = "test") -> Tensor:
        count = len(self.model.layers) if upto_layer is None else upto_layer
        return self._head(self._states(batch, count)[-1], count - 1, batch)

    def state_dict(self) -> dict[str, Any]:
        return self.heads.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.heads.load_state_dict(state)

    def _states(self, batch: Data, count: int) -> list[Tensor]:
        history = [self.model.encode(batch)]
        for i in range(count):
            history.append(self.model.step(i, history, batch))
        return history

    def _head(self, h: Tensor, i: int, batch: Data) -> Tensor:
        h = self.model.node_states(h, batch)
        return self.heads[i](h if self.task.kind != "graph" else global_mean_pool(h, batch.batch))
