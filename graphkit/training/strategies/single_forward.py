"""ForwardGNN: one forward pass per layer, compared with virtual nodes."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.constraints import Positive
from graphkit.core.evaluating import evaluating
from graphkit.models.base import State
from graphkit.ops import sddmm
from graphkit.tasks import Task
from graphkit.training.engine import Engine
from graphkit.training.strategies.base import Phase
from graphkit.training.strategies.labelled_graphs import joined, label_features, prepared, with_virtual_nodes
from graphkit.training.strategies.layerwise import Append, LabelInput, select_rows


class SingleForward(LabelInput):
    r"""Forward learning of graph networks from positive samples alone: nodes are to agree with the node of their class.

    From `"Forward Learning of Graph Neural Networks" <https://arxiv.org/abs/2403.11004>`_ (Park et al., ICLR 2024),
    there "SF"; on link tasks "CE".

    The graph gets a virtual node per class with fixed random features, linked to the training nodes of that class.
    Layer after layer is trained to the end, on the normalised output of the finished ones, with the loss

    .. math::
        L = - \frac{1}{|T|} \sum_{i \in T} \log \mathrm{softmax}_k \Big( \frac{z_i^\top z_{N + k}}{\tau} \Big)_{y_i}

    where :math:`z` is the layer's output, :math:`N + k` the virtual node of class :math:`k`, :math:`T` the training
    nodes and :math:`\tau` the temperature. Predictions average the softmax over the layers; no label of an evaluated
    node is in the graph, and a new graph is predicted as a component of the one trained on. The model's ``decode`` is
    not used. The paper's layers all have the same width and an activation: ``GCN(..., readout="nodes")``.

    A loss of the task's own (``loss=``, ``class_weight=``, an override of ``loss_of``) takes the place of the
    cross-entropy, on :math:`z_i^\top z_{N + k} / \tau` as the outputs.

    On a link task the graph stays as it is, and a layer is judged by the cross-entropy of the dot products of pairs,
    :math:`\langle z_u, z_v \rangle / \tau`, links against pairs without one. Predictions average the sigmoid of these
    products over the layers; the official code returns half of that, which ranks alike.

    The paper trains with Adam (``lr=0.001, weight_decay=5e-4``), at most 1000 epochs per layer, a validation every two
    epochs and a patience of 100 validations: ``Trainer(max_epochs=1000, validate_every=2, patience=200)``.

    Args:
        temperature: :math:`\tau` (default: 1.0).
        append_label: Whether label features are joined to the ``"input"``, to the input of ``"all"`` layers, or to
            ``"none"``: one-hot for training and virtual nodes, uniform for others (default: ``"none"``).
        bidirectional: Whether class edges lead back from the virtual nodes (default: ``True``).

    Raises:
        ValueError: If a value is out of range, or the task is not about classes of nodes or links.
        TypeError: If the model is not layered or cannot take appended labels.

    Example:
        >>> import graphkit as gk
        >>> task = gk.load("karate")
        >>> model = gk.models.GCN.from_task(task, hidden_channels=16, readout="nodes")
        >>> result = gk.Trainer(max_epochs=20, strategy="SingleForward", progress=False).fit(model, task)
        >>> [row["phase"] for row in result.phases]
        ['layer 1', 'layer 2']
    """

    about_classes = ("append_label", "bidirectional")

    def __init__(self, temperature: Positive = 1.0, append_label: Append = "none", bidirectional: bool = True) -> None:
        self.temperature = temperature
        self.append_label = append_label
        self.bidirectional = bidirectional

    def cannot(self) -> dict[str, str]:
        return super().cannot() | {"graphs": "does not train on {kind} tasks, of which {task} is one; use Backprop"}

    def setup(self, model: nn.Module, task: Task, engine: Engine) -> None:
        super().setup(model, task, engine)
        if self.num_classes:
            self.draw_virtual_nodes()

    def train_step(self, batch: Data, phase: Phase) -> dict[str, Tensor]:
        i = self.last_layer(phase.upto_layer)
        rows, graph = self._rows(batch, "train"), self.graph(batch)
        layer = self.cached("train", batch, i, lambda: self.local(i, graph, self._below(batch, i)[0], rows))
        z = self.engine.forward(layer)
        loss = self.loss(z, batch)
        self.engine.optimize(loss, phase.optimizers[0])
        return {"loss": loss.detach()}

    @torch.no_grad()
    def predict(self, batch: Data, upto_layer: int | None = None, stage: str = "test") -> Tensor:
        i, count = self.last_layer(upto_layer), batch.num_nodes
        batch = self.with_training_nodes(batch)
        rows, graph = self._rows(batch, stage), self.graph(batch)
        with evaluating(self.model):
            history, below = self._below(batch, i, pairs=True)
            layer = self.cached(f"predict {stage}", batch, i, lambda: self.local(i, graph, history, rows))
            scores = self.logits(self.engine.forward(layer), batch).log_softmax(1)
        if below is not None:
            scores = torch.logaddexp(scores, select_rows(below, None if rows is None else rows[: -self.num_classes]))
        out = self._outputs(scores - math.log(i + 1), batch, stage)
        return out if self.task.judges_pairs else out[:count]

    # Parts ---------------------------------------------------------------------------------------------------------

    def logits(self, z: Tensor, batch: Data) -> Tensor:
        """What each judged node or pair agrees with, ``[n, K]``.

        A node with each virtual node, which are the last rows of ``z``; the nodes of a pair with nothing (no link) and
        with one another.
        """
        pairs = self.task.pairs(batch)
        if pairs is not None:
            agreement = sddmm(pairs, z, z)
            return torch.stack([torch.zeros_like(agreement), agreement], dim=1) / self.temperature
        nodes, virtual = z.split([z.size(0) - self.num_classes, self.num_classes])
        return nodes @ virtual.t() / self.temperature

    def loss(self, z: Tensor, batch: Data) -> Tensor:
        """The loss of one layer's outputs, of the rows that :meth:`_rows` names."""
        task, logits, labels = self.task, self.logits(z, batch), self.task.target_labels(batch, "train")
        if task.has_own_loss:
            return task.loss_or_zero(task.target.outputs(logits), labels, task.weight(batch))
        return self.mean(F.cross_entropy(logits, task.target.class_ids(labels), reduction="none"), batch)

    def graph(self, batch: Data) -> Data:
        """The graph with virtual nodes and, if wanted, label features; as it is without classes."""
        return self.cached("graph", batch, 0, lambda: self._augmented(batch)) if self.num_classes else batch

    def labels(self, batch: Data) -> Tensor:
        """Label features of all nodes, the virtual ones included."""
        k, ids = self.num_classes, batch.train_index
        known = label_features(self.classes(batch)[ids], ids, batch.num_nodes, k, batch.x.dtype)
        return torch.cat([known, torch.eye(k).to(known)])

    def _augmented(self, batch: Data) -> Data:
        ids = batch.train_index
        x = joined(batch.x, self._drawn["virtual_x"], dim=0)
        x = x if self.append_label == "none" else joined(x, self.labels(batch), dim=1)
        graph = with_virtual_nodes(batch, x, self.classes(batch)[ids], ids, self.bidirectional)
        return prepared(graph, self.model.required_transform())

    def _below(self, batch: Data, i: int, pairs: bool = False) -> tuple[list[State], Tensor | None]:
        """The states under layer ``i``, and the sum of the finished layers' softmax (its logarithm).

        The sum is right for the pairs of this very batch only if ``pairs``.
        """

        def compute() -> tuple[list[State], Tensor | None]:
            total: Tensor | None = None

            def visit(_: int, out: Tensor) -> None:
                nonlocal total
                scores = self.logits(out, batch).log_softmax(1)
                total = scores if total is None else torch.logaddexp(total, scores)

            extra = self.labels(batch) if self.append_label == "all" else None
            return self.states_below(self.graph(batch), i, extra, visit), total

        return self.cached("below", batch, i, compute, pairs)

    def _rows(self, batch: Data, stage: str) -> Tensor | None:
        """The nodes that count at a stage, then the virtual ones; all (``None``) where pairs do."""
        ids = self.task.target_index(batch, stage)
        if ids is None:
            return None

        def rows() -> Tensor:
            return torch.cat([ids, batch.num_nodes + torch.arange(self.num_classes, device=ids.device)])

        return self.cached(f"rows {stage}", batch, 0, rows)

    def _outputs(self, scores: Tensor, batch: Data, stage: str) -> Tensor:
        """Scores ``[n, K]`` of what is judged at a stage as the task expects them."""
        return self.task.target.outputs(self.task.spread(scores, batch, stage))
