"""Ordinary end-to-end training."""

from __future__ import annotations

import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.tasks import Task
from graphkit.training.engine import Engine
from graphkit.training.inference import check_layers, layerwise_inference
from graphkit.training.strategies.base import OptimizerFactory, Phase, Strategy, has, parts_of

_PROBABILITIES = {"SoftmaxBackward0": "softmax", "SigmoidBackward0": "sigmoid"}
_VIEWS = ("ToCopyBackward0", "ViewBackward0", "SqueezeBackward1", "UnsqueezeBackward0", "ReshapeAliasBackward0")


class Backprop(Strategy):
    r"""End-to-end gradient descent: one phase, one optimizer over all parameters.

    Works with any module. A part of the model that declares ``auxiliary_loss() -> Tensor`` (a regulariser of its last
    forward pass, as :class:`~graphkit.nn.aggr.LCMAggregation` has) gets it added to the task's loss while training;
    it is logged as ``train_auxiliary_loss``. What a part tells by ``logged() -> dict[str, Tensor]`` is logged under its
    names. Validation and test know the task's loss alone. A model without any weight, such as
    :class:`~graphkit.models.Popularity`, is evaluated in a single epoch.

    Raises:
        ValueError: If a prediction of the first layers alone is asked for.

    Example:
        >>> Backprop()
        Backprop()
    """

    whole_model = True
    _has_looked = False

    def check(self, model: nn.Module, task: Task) -> None:
        super().check(model, task)
        if task.sampler is not None and task.sampler.evaluate == "layerwise":
            check_layers(getattr(model, "module", model))

    def setup(self, model: nn.Module, task: Task, engine: Engine) -> None:
        super().setup(model, task, engine)
        self._has_looked = False

    def phases(self) -> list[Phase]:
        return [Phase("backprop", max_epochs=1 if self._has_no_weights() else None)]

    def optimizers(self, phase: Phase, make: OptimizerFactory) -> list[torch.optim.Optimizer]:
        return [] if self._has_no_weights() else super().optimizers(phase, make)

    def _has_no_weights(self) -> bool:
        return next(self.model.parameters(), None) is None

    def train_step(self, batch: Data, phase: Phase) -> dict[str, Tensor]:
        out = self.outputs(batch, phase.upto_layer)
        loss = self.task.loss(out, batch, "train")
        if not phase.optimizers:
            return {"loss": loss.detach()}
        if not self._has_looked:
            self._has_looked = True
            _warn_of_probabilities(out, self.task)
        return self.minimise(loss, phase, self.model)

    def minimise(self, loss: Tensor, phase: Phase, trained: nn.Module) -> dict[str, Tensor]:
        """Take a step, by a loss and the auxiliary ones of what is trained; returns what is logged."""
        everything: list[Any] = parts_of(trained)
        told = {name: value for part in everything if has(part, "logged") for name, value in part.logged().items()}
        parts = [part for part in everything if has(part, "auxiliary_loss")]
        if not parts:
            self.engine.optimize(loss, phase.optimizers[0])
            return {"loss": loss.detach()} | told
        extra = torch.stack([part.auxiliary_loss() for part in parts]).sum()
        self.engine.optimize(loss + extra, phase.optimizers[0])
        return {"loss": loss.detach(), "auxiliary_loss": extra.detach()} | told

    def predict(self, batch: Data, upto_layer: int | None = None, stage: str = "test") -> Tensor:
        if upto_layer is not None:
            raise ValueError("Backprop trains all layers together and cannot predict from a part of them")
        if batch.get("chunk_size") is not None:
            return self.engine.forward(layerwise_inference, self.model, batch, batch.chunk_size)
        return self.outputs(batch)

    def outputs(self, batch: Data, upto_layer: int | None = None) -> Tensor:
        """What the loss and metrics judge, by all layers."""
        return self.engine.forward(self.model, batch)


def _warn_of_probabilities(out: Tensor, task: Task) -> None:
    """Say that a model ends in a softmax or sigmoid that is not expected, or not in the one that a loss expects."""
    end = out.grad_fn
    while end is not None and end.name() in _VIEWS:
        end = end.next_functions[0][0]
    name = "" if end is None else end.name()
    place, given = f"task {task.name!r}", task.target.given_loss
    if given is not None and (isinstance(given.loss, nn.NLLLoss) or given.loss is F.nll_loss):
        if name != "LogSoftmaxBackward0":
            warnings.warn(
                f"{place}: loss {given.name} expects log-probabilities, but the model does not end in a log_softmax; "
                "use torch.nn.CrossEntropyLoss",
                stacklevel=2,
            )
    elif name in _PROBABILITIES and task.target.name != "regression" and (out.size(1) == 1 or not task.judges_links):
        warnings.warn(
            f"{place}: the model ends in a {_PROBABILITIES[name]}, but loss and metric expect raw outputs (logits) and "
            "apply it themselves; return what goes into it",
            stacklevel=2,
        )
