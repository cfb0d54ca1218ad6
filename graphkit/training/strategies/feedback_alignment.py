"""Layers that descend along random projections of the output's error."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.evaluating import evaluating
from graphkit.ops import SparseMatrix
from graphkit.tasks import Task
from graphkit.training.engine import Engine
from graphkit.training.strategies.base import Phase
from graphkit.training.strategies.target_projection import TargetProjection


class DirectFeedbackAlignment(TargetProjection):
    r"""Hidden layers learn by fixed random projections of the output's error, which skips the layers in between.

    From `"Direct Feedback Alignment Provides Learning in Deep Neural Networks" <https://arxiv.org/abs/1609.01596>`_
    (Nøkland, NeurIPS 2016).

    .. math::
        L_l = \langle h_l, \; (P^\top)^{L - l} \, e \, B_l \rangle, \qquad e = \partial L / \partial y

    :math:`h_l` is the output of hidden layer :math:`l` (for graph tasks, what the readout sees of it, or the mean over
    a graph's nodes), :math:`e` the gradient of the task's loss :math:`L` with respect to the outputs :math:`y`, taken
    as a constant (for classes softmax minus one-hot, divided by the number of labelled nodes), and :math:`B_l` is drawn
    once, uniform in [-1, 1). The output layer is trained and predicts as in :class:`TargetProjection`.

    With ``spread`` the error first travels over the graph, once per layer above, by the matrix :math:`P` with which the
    layers average, so that nodes without a label get one: from `"DFA-GNN: Forward Learning of Graph Neural Networks by
    Direct Feedback Alignment" <https://arxiv.org/abs/2406.02040>`_ (Zhao et al., NeurIPS 2024), whose pseudo errors
    and filter of nodes are not here. Without it :math:`P = I`.

    All layers take a step per batch, from a single pass. The first paper has no graphs.

    Args:
        spread: Whether the error travels over the graph (default: ``False``).

    Raises:
        ValueError: If labels are missing, or the error of whole graphs is to be spread.
        TypeError: If the model is not layered, or is to spread but does not average with a constant matrix.

    Example:
        >>> import graphkit as gk
        >>> task = gk.load("karate")
        >>> model = gk.models.GCN.from_task(task, hidden_channels=16)
        >>> strategy = gk.strategies.DirectFeedbackAlignment(spread=True)
        >>> result = gk.Trainer(max_epochs=20, strategy=strategy, progress=False).fit(model, task)
        >>> sorted(key for key in result.history[0] if key.startswith("train_loss_"))
        ['train_loss_layer_1', 'train_loss_output']
    """

    def __init__(self, spread: bool = False) -> None:
        self.spread = spread

    def cannot(self) -> dict[str, str]:
        spread = "(spread=True) is about errors of nodes, but {task} is a {kind} task; use spread=False"
        reasons = super().cannot() | ({"graphs": spread} if self.spread else {})
        del reasons["edges"]  # whose error is that of their ends
        return reasons

    def setup(self, model: nn.Module, task: Task, engine: Engine) -> None:
        super().setup(model, task, engine)
        self.projections = [2 * projection - 1 for projection in self.projections]
        if self.spread and self._matrix(self._example()) is None:
            raise TypeError(
                "DirectFeedbackAlignment(spread=True) averages errors as the layers average states, but those of this "
                f"{type(model).__name__} do not do so with a constant matrix; use a GCN without batch norm and "
                "residual, or spread=False"
            )

    def train_step(self, batch: Data, phase: Phase) -> dict[str, Tensor]:
        history: list[Any] = [self.model.encode(batch)]
        hidden: list[Tensor] = []
        for i in range(self.num_hidden):
            hidden.append(self.engine.forward(self.model.step, i, history, batch))
            history = self.extended(history, hidden[-1])
        output = self.engine.forward(self._output, history, batch)
        loss = self.task.loss(output, batch, "train")
        (error,) = torch.autograd.grad(loss, output, retain_graph=True)
        logged: dict[str, Tensor] = {}
        for i in reversed(range(self.num_hidden)):
            if self.spread and i + 1 < self.num_layers:
                error = self._matrix(batch).T @ error  # type: ignore[union-attr]
            states = self.task.pool(self.model.node_states(hidden[i], batch), batch)
            if states.size(0) != error.size(0):  # the model has read the roots of a subgraph itself
                states = states[self.task.target_index(batch, "train")]
            local = (states * (error @ self.projections[i])).sum()
            self.engine.optimize(local, phase.optimizers[i])
            logged[f"loss_layer_{i + 1}"] = local.detach()
        self.engine.optimize(loss, phase.optimizers[-1])
        return {"loss": loss.detach(), **dict(reversed(logged.items())), "loss_output": loss.detach()}

    def _matrix(self, batch: Data) -> SparseMatrix | None:
        """The matrix by which the layers average."""
        with evaluating(self.model):
            return self.propagation(batch, batch.num_nodes, self.dtype)
