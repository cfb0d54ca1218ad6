"""Training of the first layers, by a head of their own, before that of all."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.constraints import Count
from graphkit.core.evaluating import evaluating
from graphkit.models import LayeredModel
from graphkit.nn.linear import torch_linear
from graphkit.tasks import Task
from graphkit.training.engine import Engine
from graphkit.training.strategies.backprop import Backprop
from graphkit.training.strategies.base import OptimizerFactory, Phase


class LocalToGlobal(Backprop):
    r"""End-to-end training in two phases: of the first layers with a head of their own, then of the whole model.

    From `"Polynormer: Polynomial-Expressive Graph Transformer in Linear Time" <https://arxiv.org/abs/2403.01232>`_
    (Deng, Yue, Zhang, ICLR 2024), whose local layers are warmed up before the global ones join. The head is a linear
    map of states of nodes. The second phase goes on from the best weights of the first one, with what the optimizer
    knew then.

    Where the official code differs: it also reports the first phase, where that has the best validation score; here
    the second one counts.

    Args:
        local_layers: The number of layers of the first phase (default: the model's ``local_layers``, or else all but
            its last layer).
        local_epochs: The number of epochs of the first phase; the trainer's ``max_epochs`` are those of the second
            one, and the most that the first one can have (default: 100).

    Raises:
        ValueError: If the model has fewer layers.
        TypeError: If the model is not layered.

    Example:
        >>> import graphkit as gk
        >>> task = gk.load("karate")
        >>> model = gk.models.Polynormer.from_task(task, hidden_channels=16, local_layers=2, global_layers=1, heads=2)
        >>> strategy = LocalToGlobal(local_epochs=5)
        >>> result = gk.Trainer(max_epochs=20, strategy=strategy, progress=False).fit(model, task)
        >>> [(phase["phase"], phase["epochs"]) for phase in result.phases]
        [('local', 5), ('global', 20)]
    """

    whole_model = False
    model: LayeredModel
    optimizer: torch.optim.Optimizer | None

    def __init__(self, local_layers: Count | None = None, local_epochs: Count = 100) -> None:
        self.local_layers = local_layers
        self.local_epochs = local_epochs

    def cannot(self) -> dict[str, str]:
        return {
            "modules": "trains the first layers before the others and needs a LayeredModel, got {model}; use Backprop, "
            "or write the model as encode, step and decode",
            "scorers of pairs": "trains first layers by a linear map of states of nodes, but {model} scores pairs; use "
            "Backprop, or its encoder alone",
            "layer-wise evaluation": "evaluates the first layers as a whole, but {sampler} has evaluate='layerwise'; "
            "use evaluate='whole' or 'sampled', or Backprop",
        }

    def setup(self, model: nn.Module, task: Task, engine: Engine) -> None:
        super().setup(model, task, engine)
        count = len(self.model.layers)
        local: Any = self.local_layers or getattr(model, "local_layers", max(count - 1, 1))
        if local > count:
            raise ValueError(
                f"LocalToGlobal: local_layers={local}, but {type(model).__name__} has {count} layers; use that or fewer"
            )
        self.depth, self.optimizer = local, None
        batch = engine.to_device(task.loader.example())
        with torch.no_grad(), evaluating(model):
            task.judged(lambda batch, stage: super(LocalToGlobal, self).outputs(batch), batch, "train")
            width = self._local_states(batch).size(1)
        self.head = torch_linear(width, task.num_outputs or width)
        engine.place(self.head)

    def phases(self) -> list[Phase]:
        return [Phase("local", upto_layer=self.depth, max_epochs=self.local_epochs), Phase("global")]

    def optimizers(self, phase: Phase, make: OptimizerFactory) -> list[torch.optim.Optimizer]:
        head = [(f"local_head.{name}", weight) for name, weight in self.head.named_parameters()]
        optimizer, before = make([*self.model.named_parameters(), *head]), self.optimizer
        self.optimizer = optimizer if phase.upto_layer else None
        if before is not None:
            optimizer.load_state_dict(optimizer.state_dict() | {"state": before.state_dict()["state"]})
        return [optimizer]

    def outputs(self, batch: Data, upto_layer: int | None = None) -> Tensor:
        if upto_layer is None:
            return super().outputs(batch)
        return self.engine.forward(self._local_outputs, batch)

    def predict(self, batch: Data, upto_layer: int | None = None, stage: str = "test") -> Tensor:
        if upto_layer not in (None, self.depth):
            raise ValueError(f"LocalToGlobal: upto_layer={upto_layer}, must be {self.depth} or None")
        return self.outputs(batch, upto_layer) if upto_layer else super().predict(batch, None, stage)

    def state_dict(self) -> dict[str, Any]:
        head = self.head.state_dict()
        return {"head": head} if self.optimizer is None else {"head": head, "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.head.load_state_dict(state["head"])
        if self.optimizer is not None:
            self.optimizer.load_state_dict(state["optimizer"])

    def _local_outputs(self, batch: Data) -> Tensor:
        return self.task.pool(self.head(self._local_states(batch)), batch)

    def _local_states(self, batch: Data) -> Tensor:
        return self.model.node_states(self.model.layer_states(batch, self.depth)[-1], batch)
