"""The forward-forward algorithm on graphs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.constraints import Count, Finite, Positive
from graphkit.core.evaluating import evaluating
from graphkit.ops import SparseMatrix
from graphkit.tasks import Task
from graphkit.training.engine import Engine
from graphkit.training.strategies.base import Phase
from graphkit.training.strategies.goodness import ClassGoodness, PairGoodness
from graphkit.training.strategies.inputs import Variants, aggregate, differing_columns, inverse_lengths
from graphkit.training.strategies.labelled_graphs import (
    Histories,
    LabelledGraphs,
    LazyHistories,
    joined,
    label_features,
    prepared,
    with_columns,
    with_virtual_nodes,
)
from graphkit.training.strategies.layerwise import Append, LabelInput

_SEEN = 3e-4  # the least change of goodness by labels, before training, from which layers have learned


class ForwardForward(LabelInput):
    r"""The forward-forward algorithm: layers learn to answer strongly to right labels and weakly to wrong ones.

    From `"The Forward-Forward Algorithm: Some Preliminary Investigations" <https://arxiv.org/abs/2212.13345>`_ (Hinton,
    2022), for graphs as in `"Forward Learning of Graph Neural Networks" <https://arxiv.org/abs/2403.11004>`_ (Park et
    al., ICLR 2024; there "FF-LA" and "FF-VN") and `"Graph Neural Networks Go Forward-Forward"
    <https://arxiv.org/abs/2302.05282>`_ (Paliotta et al., 2023; whole graphs).

    Layer after layer is trained to the end, on the normalised output of the finished ones. With the goodness
    :math:`g_i = \sum_d z_{id}^2` of node :math:`i` in the layer's output :math:`z`, the loss is

    .. math::
        L = \frac{1}{|T|} \sum_{i \in T} \Big( \mathrm{softplus}(\theta - g_i^+) +
            \frac{1}{R} \sum_{r=1}^{R} \mathrm{softplus}(g_i^{-r} - \theta) \Big)

    where :math:`g^+` comes from the right labels, :math:`g^{-r}` from wrong ones, drawn once (per batch, where batches
    hold other graphs each time), :math:`T` are the training nodes and :math:`\theta` the threshold; or, after `"SymBa"
    <https://arxiv.org/abs/2303.08418>`_ (Lee and Song, 2023), the mean of :math:`\mathrm{softplus}(-\alpha (g_i^+ -
    g_i^{-r}))`.

    Labels are shown in one of two ways: ``"appended"`` to the features of nodes (one-hot; uniform where unknown), or by
    edges to ``"virtual"`` nodes, one per class with random features; then all graphs share the features that the right
    labels give. A prediction tries every class on all evaluated nodes at once and sums the mean goodness minus
    :math:`\theta` over the layers. Of a graph task each node gets its graph's label, and a graph has the mean goodness
    of its nodes. The model's ``decode`` is not used.

    On a link task no labels are shown. Judged are pairs of nodes, by the goodness
    :math:`g_{uv} = \sum_d (z_{ud} z_{vd})^2`: links are right, the task's pairs without a link wrong, each side with
    its own mean in the loss. Predictions average :math:`\sigma(g - \theta)` over the layers. Of the arguments only
    :math:`\theta` applies.

    A task with a loss or weights of its own (``loss=``, ``class_weight=``, an override of ``loss_of``) is refused:
    goodness has no use for it.

    Features and labels share a row of length 1, so features of much more or less than the labels' length hide one of
    them; a run in which right and wrong labels get the same answer warns of it. So does one whose layers end with rows
    of a fixed length, whose goodness cannot change.

    The official code shows the validation labels when it predicts test nodes; this needs ``reveal_validation=True``.

    Args:
        labels: ``"appended"`` or ``"virtual"`` (default: ``"appended"``).
        theta: :math:`\theta` (default: 2.0).
        num_negatives: :math:`R` (default: all wrong classes).
        loss: ``"threshold"`` or ``"symba"`` (default: ``"threshold"``).
        alpha: :math:`\alpha` of ``"symba"`` (default: 4.0).
        append_label: With virtual nodes, whether label features are joined to the ``"input"``, to the input of
            ``"all"`` layers, or to ``"none"`` (default: ``"none"``).
        bidirectional: Whether class edges lead back from the virtual nodes (default: ``True``).
        reveal_validation: Whether test predictions see the labels of validation nodes (default: ``False``).

    Raises:
        ValueError: If a value is out of range, or the task is not about classes or links.
        TypeError: If the model is not layered or cannot take appended labels.

    Example:
        >>> import graphkit as gk
        >>> task = gk.load("karate")
        >>> model = gk.models.GCN.from_task(task, hidden_channels=16, readout="nodes")
        >>> result = gk.Trainer(max_epochs=20, strategy="ForwardForward", progress=False).fit(model, task)
        >>> 0 <= result.test <= 1
        True
    """

    about_classes = ("labels", "num_negatives", "loss", "append_label", "bidirectional", "reveal_validation")

    def __init__(
        self,
        labels: Literal["appended", "virtual"] = "appended",
        theta: Finite = 2.0,
        num_negatives: Count | None = None,
        loss: Literal["threshold", "symba"] = "threshold",
        alpha: Positive = 4.0,
        append_label: Append = "none",
        bidirectional: bool = True,
        reveal_validation: bool = False,
    ) -> None:
        self.labels, self.append_label = labels, append_label
        self.theta, self.num_negatives = theta, num_negatives
        self.loss, self.alpha = loss, alpha
        self.bidirectional = bidirectional
        self.reveal_validation = reveal_validation

    def idle(self, task: Task) -> dict[str, str]:
        idle = super().idle(task)
        if self.loss != "symba":
            idle["alpha"] = "with loss='symba'"
        elif not task.judges_pairs:
            idle["theta"] = "with loss='threshold'"
        if self.labels != "virtual" and not task.judges_pairs:
            idle |= dict.fromkeys(("append_label", "bidirectional"), "with labels='virtual'")
        if task.joins_graphs:
            idle["reveal_validation"] = "where nodes are judged"
        return idle

    def check(self, model: nn.Module, task: Task) -> None:
        super().check(model, task)
        if not task.judges_pairs and (self.num_negatives or 1) >= task.num_classes:
            raise ValueError(
                f"{type(self).__name__}: num_negatives={self.num_negatives}, but a node of task {task.name!r} has "
                f"{task.num_classes - 1} wrong labels; leave it out for all of them"
            )

    def cannot(self) -> dict[str, str]:
        reasons = super().cannot() | {
            "states of other things": "passes states of nodes from layer to layer, but those of {model} have other "
            "rows; use SingleForward",
            "own losses": "learns by goodness and cannot use the loss of task {task} (loss, class_weight, pos_weight "
            "or a loss_of of its own); use Backprop, SingleForward or ScalableFF",
        }
        if self.labels == "virtual":
            reasons["graphs"] = "(labels='virtual') links the nodes of one graph, but task {task} has many; use "
            reasons["graphs"] += "labels='appended'"
        return reasons

    def doubt(self, history: Sequence[Mapping[str, Any]]) -> str | None:
        if not self.num_classes:
            return None
        if not history:
            layer, change = self._least_change()
            told = f"shows labels that change the goodness of layer {layer} by {100 * change:.2g} % before training"
            return self._advised(told) if change < _SEEN else None
        chance = math.log(2) if self.loss == "symba" else 2 * math.log(2)
        for phase in dict.fromkeys(row["phase"] for row in history):
            loss = min(row["train_loss"] for row in history if row["phase"] == phase)
            if loss > 0.99 * chance:
                losses = f"loss {loss:.3g}, by chance {chance:.3g}"
                return self._advised(f"answered right and wrong labels alike in phase {phase!r} ({losses})")
        return super().doubt(history)

    def _advised(self, told: str) -> str:
        """What is told of labels that make no difference, with what may be the reason."""
        x = self._example().x
        lengths = inverse_lengths(SparseMatrix.from_tensor(x) if x.is_sparse_csr else x).reciprocal()
        return (
            f"{type(self).__name__} {told}. Rows of features have a mean length of {float(lengths.mean()):.3g}, labels "
            "of length 1, rows of outputs must be free to grow, and training may be too short: scale the features, "
            "leave the last normalisation out, raise max_epochs or lr, or use Backprop"
        )

    @torch.no_grad()
    def _least_change(self) -> tuple[int, float]:
        """The layer whose goodness changes least from label to label, and by which share of it."""
        batch, histories, found = self._example(), None, []
        graphs = (self._of_graphs if self.task.joins_graphs else self._of_nodes)(batch, "train", True)
        with evaluating(self.model):
            for i in range(self.num_layers):
                out = self.engine.forward(self._all_outputs(i, graphs, histories))
                goodness = self.judge.goodness(out if graphs.rows is None else out[:, graphs.rows], graphs, batch)
                found.append((float((goodness.std(0) / goodness.mean(0).clamp(min=1e-30)).mean()), i + 1))
                histories = self.advance(i, graphs, histories, out)
        change, layer = min(found)
        return layer, change

    def setup(self, model: nn.Module, task: Task, engine: Engine) -> None:
        super().setup(model, task, engine)
        self.judge = PairGoodness(task) if task.judges_pairs else ClassGoodness(task)
        if task.loader.one_graph and not task.judges_pairs:
            self._drawn["negatives"] = self._wrong_classes(self.classes(self._example()))
        if self.labels == "virtual":
            self.draw_virtual_nodes()

    def extra_channels(self, batch: Data) -> list[int]:
        if self.labels == "virtual":
            return super().extra_channels(batch)
        return [self.num_classes] + [0] * (self.num_layers - 1)

    def train_step(self, batch: Data, phase: Phase) -> dict[str, Tensor]:
        i = self.last_layer(phase.upto_layer)
        graphs = self._labelled(batch, "train")
        layer = self.cached(
            "train", batch, i, lambda: self.outputs(i, graphs, self._below(batch, i, "train", graphs)[0], graphs.rows)
        )
        goodness = self.judge.goodness(self.engine.forward(layer), graphs, batch)
        loss = self.loss_of(goodness, batch)
        self.engine.optimize(loss, phase.optimizers[0])
        right, wrong = self.judge.sides(goodness.detach(), batch)
        return {"loss": loss.detach(), "goodness_gap": self.mean(right, batch) - self.mean(wrong, batch)}

    @torch.no_grad()
    def predict(self, batch: Data, upto_layer: int | None = None, stage: str = "test") -> Tensor:
        i, count = self.last_layer(upto_layer), batch.num_nodes
        batch = self.with_training_nodes(batch) if self.labels == "virtual" else batch
        graphs = self._labelled(batch, stage, predicting=True)
        with evaluating(self.model):
            histories, below = self._below(batch, i, f"predict {stage}", graphs)
            layer = self.cached(f"predict {stage}", batch, i, lambda: self.outputs(i, graphs, histories, graphs.rows))
            answers = [*below, self._score(self.engine.forward(layer), graphs, batch)]
        out = self.judge.outputs(answers, batch, stage)
        return out[:count] if self.labels == "virtual" else out

    # Goodness ------------------------------------------------------------------------------------------------------

    def loss_of(self, goodness: Tensor, batch: Data) -> Tensor:
        """The loss from the goodness ``[V, n]`` of what is judged."""
        right, wrong = self.judge.sides(goodness, batch)
        if self.loss == "symba":
            return self.mean(F.softplus(-self.alpha * (right - wrong)), batch)
        return self.mean(F.softplus(self.theta - right), batch) + self.mean(F.softplus(wrong - self.theta), batch)

    def _score(self, z: Tensor, graphs: LabelledGraphs, batch: Data) -> Tensor:
        return self.judge.scores(z, graphs, batch) - self.theta

    # States --------------------------------------------------------------------------------------------------------

    def outputs(
        self, i: int, graphs: LabelledGraphs, histories: Histories | None, rows: Tensor | None
    ) -> Callable[[], Tensor]:
        """A function that gives (some rows of) the outputs of layer ``i`` for all hypotheses, ``[V, rows, H]``."""
        histories = self._bottom(graphs) if histories is None else histories
        aggregated = None if i == 0 and self.encodes else self._aggregated(i, graphs, histories, rows)
        if aggregated is not None:
            return lambda: self.model.combine(i, aggregated)
        layers = [self.local(i, graphs.graph(v), histories[v], rows) for v in range(graphs.count)]
        return lambda: torch.stack([layer() for layer in layers])

    def advance(self, i: int, graphs: LabelledGraphs, histories: Histories | None, out: Tensor) -> Histories:
        """The histories with the outputs ``[V, num_nodes, H]`` of layer ``i`` (``[1, ...]`` if they are shared)."""
        old = self._bottom(graphs) if histories is None else histories
        new: Histories = []
        for v in range(out.size(0)):
            z = out[v] if graphs.extra is None else torch.cat([out[v], graphs.extra(v)], dim=1)
            new.append(self.extended(old[v], self.normalize_input(z)))
        return new * graphs.count if graphs.shared else new

    def _bottom(self, graphs: LabelledGraphs) -> Histories:
        return LazyHistories(graphs.count, lambda v: [self.normalize_input(self.model.encode(graphs.graph(v)))])  # type: ignore[return-value]

    def _below(self, batch: Data, i: int, key: str, graphs: LabelledGraphs) -> tuple[Histories | None, list[Tensor]]:
        """The states under layer ``i``, and the scores ``[V, n]`` of each finished layer."""

        def compute() -> tuple[Histories | None, list[Tensor]]:
            histories: Histories | None = None
            scores: list[Tensor] = []
            with torch.no_grad(), evaluating(self.model):
                for layer in range(i):
                    out = self.engine.forward(self._all_outputs(layer, graphs, histories))
                    histories = self.advance(layer, graphs, histories, out)
                    if not graphs.shared:
                        seen = out if graphs.rows is None else out[:, graphs.rows]
                        scores.append(self._score(seen, graphs, batch))
            return histories, scores

        return self.cached(f"below {key}", batch, i, compute, pairs=key != "train")  # scores are for predictions

    def _all_outputs(self, i: int, graphs: LabelledGraphs, histories: Histories | None) -> Callable[[], Tensor]:
        """As :meth:`outputs`, of all nodes; only of the first graph if the others read its states."""
        if not graphs.shared:
            return self.outputs(i, graphs, histories, None)
        first = self.local(i, graphs.graph(0), (self._bottom(graphs) if histories is None else histories)[0])
        return lambda: first().unsqueeze(0)

    def _aggregated(self, i: int, graphs: LabelledGraphs, histories: Histories, rows: Tensor | None) -> Any:
        """The aggregated input of all hypotheses, with what they share computed once.

        ``None`` if the layers do not average first, or nothing is shared.
        """
        graph, h = graphs.graph(0), histories[0][-1]
        matrix = self.propagation(graph, h.shape[0], h.dtype)
        if matrix is None:
            return None
        if graphs.columns is not None:
            matrix = matrix if rows is None else graphs.judged_rows(matrix)
            if i > 0:
                return torch.stack([aggregate(matrix, history[-1]) for history in histories])
            scale = inverse_lengths(self.model.encode(graph)).unsqueeze(1)  # that of all hypotheses
            left = torch.stack([matrix @ (own * scale) for own in graphs.columns - graphs.columns[:1]])
            k = self.num_classes
            eye = torch.eye(k, dtype=left.dtype, device=left.device)
            right = torch.cat([left.new_zeros(k, h.shape[1] - k), eye], dim=1)
            return Variants(aggregate(matrix, h), left, right)
        others = (self.propagation(graphs.graph(v), h.shape[0], h.dtype) for v in range(1, graphs.count))
        matrices: list[Any] = [matrix, *others]
        if rows is not None and (graphs.shared or (i == 0 and self.append_label == "none")):
            differences = differing_columns(matrices, rows, self.num_classes)
            if differences is not None:
                last = torch.arange(h.shape[0] - self.num_classes, h.shape[0], device=rows.device)
                right = h.select_rows(last).to_dense() if isinstance(h, SparseMatrix) else h[last]
                return Variants(aggregate(matrix, h, rows), differences, right)
        if isinstance(h, SparseMatrix):
            return None
        return torch.stack([aggregate(other, histories[v][-1], rows) for v, other in enumerate(matrices)])

    # Labels --------------------------------------------------------------------------------------------------------

    def _wrong_classes(self, classes: Tensor) -> Tensor:
        """All classes but the right one, in random order: ``[n, K - 1]``."""
        shifts = torch.rand(classes.numel(), self.num_classes - 1).argsort(1) + 1
        return (classes.unsqueeze(1) + shifts.to(classes.device)) % self.num_classes

    def _labelled(self, batch: Data, stage: str, predicting: bool = False) -> LabelledGraphs:
        if self.task.judges_pairs:  # no labels are shown: the negatives are pairs of nodes
            return LabelledGraphs(1, lambda v: batch, None, None)
        make = self._of_graphs if self.task.joins_graphs else self._of_nodes
        return self.cached(f"labels {stage} {predicting}", batch, 0, lambda: make(batch, stage, predicting))

    def _of_graphs(self, batch: Data, stage: str, predicting: bool) -> LabelledGraphs:
        y = self.classes(batch)
        if predicting:
            classes = torch.arange(self.num_classes, device=y.device).unsqueeze(1).expand(-1, y.numel())
        else:
            classes = torch.cat([y.unsqueeze(0), self._wrong_classes(y)[:, : self.num_negatives].t()])
        labels, nodes = self.task.label_index(batch, stage)
        return self._appended(batch, nodes, classes[:, labels], self.task.target_index(batch, stage))

    def _of_nodes(self, batch: Data, stage: str, predicting: bool) -> LabelledGraphs:
        y, rows = self.classes(batch), self.task.target_index(batch, stage)
        assert rows is not None  # a task of one graph that judges no pairs judges nodes
        if predicting:
            ids = torch.cat([*(batch[f"{part}_index"] for part in self._known(stage)), rows])
            classes = y[ids].expand(self.num_classes, -1).clone()
            classes[:, ids.numel() - rows.numel() :] = torch.arange(self.num_classes, device=y.device).unsqueeze(1)
        else:
            ids = batch[f"{stage}_index"]  # among them, in a subgraph, nodes that are shown and not judged
            wrong = self._drawn["negatives"][ids] if self.task.loader.one_graph else self._wrong_classes(y[ids])
            classes = torch.cat([y[ids].unsqueeze(0), wrong[:, : self.num_negatives].t()])
        if self.labels == "appended":
            return self._appended(batch, ids, classes, rows)
        return self._linked(batch, ids, classes, rows, predicting)

    def _known(self, stage: str) -> list[str]:
        """The parts of the split whose labels are shown when a stage is predicted."""
        if stage == "train":
            return []
        return ["train", "val"] if stage == "test" and self.reveal_validation else ["train"]

    def _appended(self, batch: Data, ids: Tensor, classes: Tensor, rows: Tensor | None) -> LabelledGraphs:
        n, k = batch.num_nodes, self.num_classes
        columns = torch.stack([label_features(row, ids, n, k, batch.x.dtype) for row in classes])
        transform = self.model.required_transform()

        @cache
        def graph(v: int) -> Data:
            return prepared(with_columns(batch, columns[v]), transform)

        return LabelledGraphs(classes.size(0), graph, rows, columns)

    def _linked(self, batch: Data, ids: Tensor, classes: Tensor, rows: Tensor, predicting: bool) -> LabelledGraphs:
        n, k, transform = batch.num_nodes, self.num_classes, self.model.required_transform()
        all_x = joined(batch.x, self._drawn["virtual_x"], dim=0)

        def features(v: int) -> Tensor:
            shown = classes[v if predicting else 0]  # wrong labels are shown by edges alone
            return torch.cat([label_features(shown, ids, n, k, batch.x.dtype), torch.eye(k).to(batch.x)])

        @cache
        def graph(v: int) -> Data:
            x = all_x if self.append_label == "none" else joined(all_x, features(v), dim=1)
            return prepared(with_virtual_nodes(batch, x, classes[v], ids, self.bidirectional), transform)

        extra = features if self.append_label == "all" else None
        return LabelledGraphs(classes.size(0), graph, rows, None, extra, shared=not predicting)
