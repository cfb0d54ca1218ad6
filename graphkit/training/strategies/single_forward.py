"""ForwardGNN: one forward pass per layer, compared with virtual nodes."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.validate import check_choice
from graphkit.tasks import Task
from graphkit.training.engine import Engine
from graphkit.training.strategies.base import Phase
from graphkit.training.strategies.classes import (
    as_outputs,
    class_ids,
    joined,
    label_features,
    num_classes,
    prepared,
    with_virtual_nodes,
)
from graphkit.training.strategies.layerwise import Layerwise, evaluating, normalize_rows

APPEND = ("none", "input", "all")


class SingleForward(Layerwise):
    r"""Forward learning of graph networks from positive samples alone: nodes are to agree with the node of their class.

    From `"Forward Learning of Graph Neural Networks" <https://arxiv.org/abs/2403.11004>`_ (Park et al., ICLR 2024),
    there "SF".

    The graph gets a virtual node per class with fixed random features, linked to the training nodes of that class.
    Layer after layer is trained to the end, on the normalised output of the finished ones, with the loss

    .. math::
        L = - \frac{1}{|T|} \sum_{i \in T} \log \mathrm{softmax}_k \Big( \frac{z_i^\top z_{N + k}}{\tau} \Big)_{y_i}

    where :math:`z` is the layer's output, :math:`N + k` the virtual node of class :math:`k`, :math:`T` the training
    nodes and :math:`\tau` the temperature. Predictions average the softmax over the layers; no label of an evaluated
    node is in the graph. The model's ``decode`` is not used. The paper's layers all have the same width and an
    activation: ``GCN(..., readout="nodes")``.

    The paper trains with Adam (``lr=0.001, weight_decay=5e-4``), at most 1000 epochs per layer, a validation every two
    epochs and a patience of 100 validations: ``Trainer(max_epochs=1000, validate_every=2, patience=200)``.

    Args:
        temperature: :math:`\tau` (default: 1.0).
        append_label: Whether label features are joined to the ``"input"``, to the input of ``"all"`` layers, or to
            ``"none"``: one-hot for training and virtual nodes, uniform for others (default: ``"none"``).
        bidirectional: Whether class edges lead back from the virtual nodes (default: ``True``).

    Raises:
        ValueError: If a value is out of range, or the task is not about classes of nodes.
        TypeError: If the model is not layered or cannot take appended labels.

    Example:
        >>> import graphkit as gk
        >>> task = gk.load("karate")
        >>> model = gk.models.GCN.from_task(task, hidden_channels=16, readout="nodes")
        >>> result = gk.Trainer(max_epochs=20, strategy="SingleForward", progress=False).fit(model, task)
        >>> [row["phase"] for row in result.phases]
        ['layer 1', 'layer 2']
    """

    kinds = ("node",)

    def __init__(self, temperature: float = 1.0, append_label: str = "none", bidirectional: bool = True) -> None:
        if not temperature > 0:
            raise ValueError(f"{type(self).__name__}: temperature={temperature}, must be positive")
        self.temperature = temperature
        self.append_label = check_choice(append_label, APPEND, "append_label")
        self.bidirectional = bidirectional

    def adapt(self, model: nn.Module, task: Task, engine: Engine) -> None:
        self.num_classes = num_classes(task, type(self).__name__)
        super().adapt(model, task, engine)

    def setup(self, model: nn.Module, task: Task, engine: Engine) -> None:
        super().setup(model, task, engine)
        batch = self._example()
        self.virtual_x = torch.randn(self.num_classes, batch.x.size(1)).to(batch.x)

    def extra_channels(self, batch: Data) -> list[int]:
        later = self.num_classes if self.append_label == "all" else 0
        first = later if self.append_label == "none" else self.num_classes
        return [first] + [later] * (self.num_layers - 1)

    def shown(self, h: Any) -> Any:
        return normalize_rows(h)

    def train_step(self, batch: Data, phase: Phase) -> dict[str, Tensor]:
        i = self.last_layer(phase.upto_layer)
        rows = self._rows(batch, "train")
        z = self.engine.forward(self.kept("train", batch, i, lambda: self._layer(batch, i, rows)))
        loss = self.loss(z, class_ids(batch)[batch.train_index])
        self.engine.optimize(loss, phase.optimizers[0])
        return {"loss": loss.detach()}

    @torch.no_grad()
    def predict(self, batch: Data, upto_layer: int | None = None, stage: str = "test") -> Tensor:
        i = self.last_layer(upto_layer)
        rows = self._rows(batch, stage)
        with evaluating(self.model):
            layer = self.kept(f"predict {stage}", batch, i, lambda: self._layer(batch, i, rows))
            scores = self.logits(self.engine.forward(layer)).log_softmax(1)
        ids = rows[: -self.num_classes]
        _, below = self._below(batch, i)
        if below is not None:
            scores = torch.logaddexp(scores, below[ids])
        return self._spread(scores - math.log(i + 1), ids, batch)

    def state_dict(self) -> dict[str, Any]:
        return {"virtual_x": self.virtual_x}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if not torch.equal(state["virtual_x"], self.virtual_x):
            self.virtual_x = state["virtual_x"].to(self.virtual_x)
            self._kept.clear()

    # Parts ---------------------------------------------------------------------------------------------------------

    def logits(self, z: Tensor) -> Tensor:
        """How each node agrees with each virtual node, which are the last rows of ``z``."""
        return z[: -self.num_classes] @ z[-self.num_classes :].t() / self.temperature

    def loss(self, z: Tensor, classes: Tensor) -> Tensor:
        """The loss of one layer's outputs for nodes of known classes, followed by the virtual nodes."""
        return F.cross_entropy(self.logits(z), classes)

    def graph(self, batch: Data) -> Data:
        """The graph with virtual nodes and, if wanted, label features."""
        return self.kept("graph", batch, 0, lambda: self._augmented(batch))

    def labels(self, batch: Data) -> Tensor:
        """Label features of all nodes, the virtual ones included."""
        k, ids = self.num_classes, batch.train_index
        known = label_features(class_ids(batch)[ids], ids, batch.num_nodes, k, batch.x.dtype)
        return torch.cat([known, torch.eye(k).to(known)])

    def _augmented(self, batch: Data) -> Data:
        ids = batch.train_index
        x = joined(batch.x, self.virtual_x, dim=0)
        x = x if self.append_label == "none" else joined(x, self.labels(batch), dim=1)
        graph = with_virtual_nodes(batch, x, class_ids(batch)[ids], ids, self.bidirectional)
        return prepared(graph, self.model.required_transform())

    def _below(self, batch: Data, i: int) -> tuple[Any, Tensor | None]:
        """The states under layer ``i``, and the sum of the finished layers' softmax (its logarithm)."""

        def climb() -> tuple[Any, Tensor | None]:
            total: Tensor | None = None

            def visit(_: int, out: Tensor) -> None:
                nonlocal total
                scores = self.logits(out).log_softmax(1)
                total = scores if total is None else torch.logaddexp(total, scores)

            extra = self.labels(batch) if self.append_label == "all" else None
            return self.climb(self.graph(batch), i, extra, visit), total

        return self.kept("below", batch, i, climb)

    def _layer(self, batch: Data, i: int, rows: Tensor) -> Any:
        return self.local(i, self.graph(batch), self._below(batch, i)[0], rows)

    def _rows(self, batch: Data, stage: str) -> Tensor:
        def rows() -> Tensor:
            ids = batch[f"{stage}_index"]
            return torch.cat([ids, batch.num_nodes + torch.arange(self.num_classes, device=ids.device)])

        return self.kept(f"rows {stage}", batch, 0, rows)

    def _spread(self, scores: Tensor, ids: Tensor, batch: Data) -> Tensor:
        out = scores.new_zeros(batch.num_nodes, self.num_classes).index_copy(0, ids, scores)
        return as_outputs(out, self.task)
