"""Layers that regress random projections of the label, or descend along projected errors."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.evaluating import evaluating
from graphkit.tasks import Task
from graphkit.training.engine import Engine
from graphkit.training.strategies.base import OptimizerFactory, Phase
from graphkit.training.strategies.layerwise import Layerwise


class TargetProjection(Layerwise):
    r"""Hidden layers learn by fixed random projections of the label; only forward passes, one per batch.

    .. math::
        \text{l2:}\; \| P_l y^* - h_l \|_2^2, \qquad \text{l1:}\; \| P_l y^* - h_l \|_1, \qquad
        \text{drtp:}\; h_l \text{ descends along } P_l y^*

    ``"l2"`` and ``"l1"`` are tpSGD, from `"Learning with Local Gradients at the Edge"
    <https://arxiv.org/abs/2208.08503>`_ (Lomnitz et al., 2022); ``"drtp"`` is direct random target projection, from
    `"Learning Without Feedback" <https://arxiv.org/abs/1909.01311>`_ (Frenkel et al., 2021), which takes the projected
    label itself as the error and does not converge to it. :math:`h_l` is the output of hidden layer :math:`l` (in the
    mean over labelled nodes), :math:`y^*` the one-hot class (or the label itself), and :math:`P_l` is drawn once,
    uniform in [0, 1) so that ReLU layers can reach the targets; the papers leave it open. The output layer, ``decode``
    if that has weights of its own, else the last layer with ``decode``, has the task's loss; it alone predicts. Of a
    graph task each node has its graph's label.

    All layers take a step per batch, each on the output that the one below had before its step. No official code of
    tpSGD is known, and the paper has no graphs.

    Args:
        rule: ``"l2"``, ``"l1"`` or ``"drtp"`` (default: ``"l2"``).

    Raises:
        ValueError: If the rule is unknown, or labels are missing.
        TypeError: If the model is not layered.

    Example:
        >>> import graphkit as gk
        >>> task = gk.load("karate")
        >>> model = gk.models.GCN.from_task(task, hidden_channels=16)
        >>> result = gk.Trainer(max_epochs=20, strategy="TargetProjection", progress=False).fit(model, task)
        >>> sorted(key for key in result.history[0] if key.startswith("train_loss_"))
        ['train_loss_layer_1', 'train_loss_output']
    """

    greedy = False

    def __init__(self, rule: Literal["l2", "l1", "drtp"] = "l2") -> None:
        self.rule = rule

    def setup(self, model: nn.Module, task: Task, engine: Engine) -> None:
        super().setup(model, task, engine)
        self.num_hidden = self.num_layers if self.rest else self.num_layers - 1
        if self.num_hidden == 0:
            warnings.warn(
                f"{type(self).__name__}: {type(model).__name__} has no hidden layer, so only its output layer is "
                "trained, by the task's loss; use num_layers=2 or more, or a readout",
                stacklevel=2,
            )
        columns = task.num_outputs
        assert columns is not None  # tasks that judge pairs, which have none, were refused
        self.dtype = next(model.parameters()).dtype
        self.projections = [
            torch.rand(columns, width).to(engine.device, self.dtype) for width in self.widths[: self.num_hidden]
        ]

    def untrained(self) -> list[str]:
        return []  # the output layer is all that no hidden layer has

    def optimizers(self, phase: Phase, make: OptimizerFactory) -> list[torch.optim.Optimizer]:
        hidden = [make(self.parameters_by_layer[i].items()) for i in range(self.num_hidden)]
        return [*hidden, make((self.rest or self.parameters_by_layer[-1]).items())]

    def train_step(self, batch: Data, phase: Phase) -> dict[str, Tensor]:
        target, rows = self.targets(batch)
        history: list[Any] = [self.model.encode(batch)]
        logged: dict[str, Tensor] = {}
        for i in range(self.num_hidden):
            out = self.engine.forward(self.model.step, i, history, batch)
            loss = self.mean(self.local_loss(i, self.model.node_states(out, batch)[rows], target), batch, rows)
            self.engine.optimize(loss, phase.optimizers[i])
            logged[f"loss_layer_{i + 1}"] = loss.detach()
            history = self.extended(history, out)
        loss = self.task.loss(self.engine.forward(self._output, history, batch), batch, "train")
        self.engine.optimize(loss, phase.optimizers[-1])
        return {"loss": loss.detach(), **logged, "loss_output": loss.detach()}

    @torch.no_grad()
    def predict(self, batch: Data, upto_layer: int | None = None, stage: str = "test") -> Tensor:
        if upto_layer not in (None, self.num_layers):
            raise ValueError("TargetProjection predicts from its output layer, not from a part of the network")
        with evaluating(self.model):
            return self.engine.forward(self._output, self.states_below(batch, self.num_hidden), batch)

    def state_dict(self) -> dict[str, Any]:
        return {"projections": list(self.projections)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.projections = [new.to(old) for new, old in zip(state["projections"], self.projections, strict=True)]

    # Parts ---------------------------------------------------------------------------------------------------------

    def local_loss(self, i: int, h: Tensor, target: Tensor) -> Tensor:
        """The losses ``[n]`` of hidden layer ``i``: from its outputs ``[n, H]`` and the labels ``[n, columns]``."""
        projected = target @ self.projections[i]
        if self.rule == "drtp":
            return (projected * h).sum(1)  # its gradient with respect to h is the projected label
        error = projected - h
        return (error.square() if self.rule == "l2" else error.abs()).sum(1)

    def targets(self, batch: Data) -> tuple[Tensor, Tensor]:
        """The labels of the training nodes as rows, and the ids of these nodes."""

        def known() -> tuple[Tensor, Tensor]:
            labels, nodes = self.task.label_index(batch, "train")
            y = self.task.target.numbers(batch.y)[labels]
            known = ~torch.isnan(y).any(1)
            return y[known].to(self.dtype), nodes[known]

        return self.cached("targets", batch, 0, known)

    def _output(self, history: list[Any], batch: Data) -> Tensor:
        """The model's outputs, from the states of the hidden layers."""
        for i in range(self.num_hidden, self.num_layers):
            history = [*history, self.model.step(i, history, batch)]
        return self.model.decode(history[-1], batch)
