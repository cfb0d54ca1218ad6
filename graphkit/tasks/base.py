"""What all kinds of task share."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform, Compose

from graphkit.core.attributes import with_int64_ids
from graphkit.core.hashing import hash_config, hash_data, hash_tensors
from graphkit.core.validate import check_choice
from graphkit.metrics import Metric
from graphkit.metrics import registry as metrics
from graphkit.metrics import resolve as resolve_metric
from graphkit.tasks.checks import check_classes, check_graphs, check_split, check_values
from graphkit.tasks.link_split import LinkSplit
from graphkit.tasks.split import STAGES, Split
from graphkit.transforms.base import Precompute, apply

TARGETS = ("multiclass", "binary", "multilabel", "regression")


class Task(ABC):
    r"""Graphs, labels, a split, a loss and a metric: everything a trainer needs, checked before any training.

    Use :class:`NodeTask`, :class:`GraphTask` or :class:`LinkTask`. The kinds of target and their losses are

    ==============  ============================  ===============================================
    target          labels                        loss on the outputs
    ==============  ============================  ===============================================
    ``multiclass``  ids in ``0..num_classes-1``   cross-entropy
    ``binary``      0 or 1                        binary cross-entropy on a single logit
    ``multilabel``  0, 1 or NaN per column        binary cross-entropy over the known labels
    ``regression``  numbers, NaN = missing        absolute error; squared error for mse and rmse
    ``link``        1 for a link, 0 for none      binary cross-entropy on a score per pair of nodes
    ==============  ============================  ===============================================

    Test labels are hidden (-1 or NaN, or the pairs are absent) in every batch but those of :meth:`batches` for the
    stage ``"test"``.

    Raises:
        ValueError: If the metric cannot judge the target.
    """

    kind: ClassVar[str]
    redraws: ClassVar[bool] = True  # whether training batches differ from epoch to epoch
    keeps_batches: ClassVar[bool] = True  # whether the batches of validation and test fit into memory
    targets: ClassVar[tuple[str, ...]] = TARGETS
    sampler: Any = None  # what draws the subgraphs of a sampled task
    split: Split | LinkSplit

    def __init__(self, name: str, graphs: Sequence[Data], split: Split | LinkSplit, target: str, metric: Any) -> None:
        self.name = name
        self.split = split
        self.target = check_choice(target, self.targets, "target")
        self._metric = resolve_metric(metric or ("mae" if target == "regression" else "accuracy"))
        self.metric = self._metric.name
        self.graphs = [with_int64_ids(graph) for graph in graphs]
        self.num_classes = 0
        check_graphs(self.graphs, f"task {name!r}")
        self._derived: dict[str, Task] = {}
        if self._metric.targets and target not in self._metric.targets:
            fitting = [name for name, cls in metrics.classes().items() if target in cls.targets]
            raise ValueError(
                f"metric {self.metric!r} cannot judge a {target} target; choose from: {', '.join(fitting)}"
            )

    def _set_labels(self, labels: Tensor, split: Split, num_outputs: int | None, allow_missing_classes: bool) -> None:
        """Check and keep the labels of all nodes or graphs."""
        target, place = self.target, f"task {self.name!r}"
        check_split(split, self._count(labels), self.kind, place)
        rows = Split(split.name, *(self._rows(getattr(split, stage)) for stage in STAGES))
        if target == "multiclass":
            self.labels, self.num_classes = check_classes(
                labels, rows, self.kind, place, num_outputs, allow_missing_classes
            )
        else:
            self.labels = check_values(labels, rows, self.kind, place, target, num_outputs, allow_missing_classes)
        self._allow_missing_classes = allow_missing_classes

    # What a model needs to know -----------------------------------------------------------------------------------

    @property
    def example(self) -> Data:
        """A graph as models see it: the first one, or a subgraph where these are drawn."""
        return self.graphs[0]

    @property
    def num_features(self) -> int:
        """The number of node features."""
        return self.graphs[0].x.size(1)

    @property
    def num_edge_features(self) -> int:
        """The number of edge features; 0 without ``edge_attr``."""
        return self.graphs[0].num_edge_features

    @property
    def num_outputs(self) -> int | None:
        """The number of columns that a model must return: classes, 1 for a binary target, or the label's columns.

        ``None`` for links: their task takes node embeddings of any width.
        """
        if self.target == "multiclass":
            return self.num_classes
        return self.labels.size(1) if self.labels.dim() == 2 else 1

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger metric is a better one."""
        return self._metric.higher_is_better

    @cached_property
    def content_hash(self) -> str:
        """Twelve hexadecimal digits of all graphs and labels."""
        return hash_config([hash_tensors(self.labels), *(hash_data(graph) for graph in self.graphs)])

    # What a trainer needs ----------------------------------------------------------------------------------------

    @abstractmethod
    def batches(
        self,
        stage: str,
        batch_size: int | None = None,
        shuffle: bool = False,
        generator: torch.Generator | None = None,
        shard: tuple[int, int] = (0, 1),
    ) -> Iterable[Data]:
        """The batches of one stage, each a PyG ``Data`` or ``Batch``.

        Args:
            stage: ``"train"``, ``"val"`` or ``"test"``.
            batch_size: The number of graphs per batch (graph tasks), of links to train on (link tasks; each such batch
                has the whole graph), or of roots (sampled node tasks). Other node tasks are one batch (default: 32
                graphs, or all links).
            shuffle: Whether to draw an order, of all but node tasks of one batch (default: ``False``).
            generator: The source of randomness for ``shuffle``, for negatives and for subgraphs that are drawn
                (default: torch's).
            shard: This process's rank and the number of processes; each gets an equal share of a shuffled order
                (default: one process).

        Raises:
            ValueError: If the task cannot be divided as asked.
        """

    @abstractmethod
    def select(self, out: Tensor, batch: Data, stage: str) -> tuple[Tensor, Tensor]:
        """The rows of ``out`` that count at this stage, ``[n, num_outputs]``, or scores of pairs, and their labels."""

    def loss(self, out: Tensor, batch: Data, stage: str = "train") -> Tensor:
        """The mean loss of the model's outputs for one batch (a scalar).

        Raises:
            ValueError: If ``out`` does not have the rows or columns that the task needs.
        """
        prediction, label = self.select(out, batch, stage)
        return self.loss_of(prediction, label)

    def loss_of(self, prediction: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
        """The mean loss of selected predictions ``[n, num_outputs]`` against their labels.

        With weights ``[n]`` it is the weighted sum instead; of several columns, the mean counts.
        """
        reduction = "mean" if weight is None else "none"
        if self.target == "multiclass":
            loss = F.cross_entropy(prediction, label, reduction=reduction)
            return loss if weight is None else loss @ weight
        label = label.view_as(prediction).to(prediction.dtype)
        known = ~torch.isnan(label)
        if weight is not None:
            weight = (weight[:, None] / known.sum(1, keepdim=True).clamp(min=1)).expand_as(label)
        if not known.all():
            prediction, label, weight = prediction[known], label[known], None if weight is None else weight[known]
            if prediction.numel() == 0:  # the mean of nothing would be NaN
                return prediction.sum()
        if self.target in ("binary", "multilabel", "link"):
            loss = F.binary_cross_entropy_with_logits(prediction, label, reduction=reduction)
        else:
            loss = (F.l1_loss if self.metric == "mae" else F.mse_loss)(prediction, label, reduction=reduction)
        return loss if weight is None else (loss * weight).sum()

    def new_metric(self) -> Metric:
        """A fresh metric for one evaluation."""
        metric = copy.deepcopy(self._metric)
        metric.reset()
        return metric

    # Changes -----------------------------------------------------------------------------------------------------

    def transform(self, transform: BaseTransform, jobs: int | None = None) -> Task:
        """A new task whose graphs went through a PyG transform; this one stays as it is.

        A deterministic :class:`~graphkit.transforms.Precompute` is applied once per task and kept, also as a part of a
        ``Compose``.

        Args:
            transform: Any PyG transform, graphkit's rewirings and features included.
            jobs: The number of parallel processes (default: as :func:`~graphkit.transforms.apply` chooses).
        """
        if isinstance(transform, Compose):
            task: Task = self
            for part in transform.transforms:
                task = task.transform(part, jobs)
            return task
        key = transform.cache_key() if isinstance(transform, Precompute) else None
        if key is not None and key in self._derived:
            return self._derived[key]
        task = self._with_graphs(apply(transform, self.graphs, jobs=jobs))
        if key is not None:
            self._derived[key] = task
        return task

    def sampled(self, sampler: Any) -> Task:
        """A node task that trains on the subgraphs that a sampler draws, see :class:`SampledNodeTask`.

        Raises:
            ValueError: If this is no node task of a whole graph.
        """
        raise ValueError(
            f"task {self.name!r} is a {self.kind} task, but samplers draw subgraphs around labelled nodes of one large "
            "graph; for smaller batches set batch_size"
        )

    @abstractmethod
    def with_split(self, split: Any) -> Task:
        """The same task with another split."""

    @abstractmethod
    def _with_graphs(self, graphs: list[Data]) -> Task: ...

    def _count(self, labels: Tensor) -> int:
        """The number of ids that a split may name."""
        return labels.size(0)

    def _rows(self, ids: Tensor) -> Tensor:
        """The rows of the labels that belong to ids of the split."""
        return ids

    def _check_columns(self, out: Any, rows: int, model_hint: str) -> None:
        if not isinstance(out, Tensor) or out.dim() != 2 or out.size(1) != self.num_outputs:
            shape = list(out.shape) if isinstance(out, Tensor) else type(out).__name__
            raise ValueError(
                f"task {self.name!r} needs outputs of shape [{rows}, {self.num_outputs}], the model returned {shape}; "
                f"set its out_channels to task.num_outputs = {self.num_outputs}"
            )
        if out.size(0) != rows:
            raise ValueError(
                f"task {self.name!r} needs {rows} rows of outputs, the model returned {out.size(0)}; {model_hint}"
            )

    def _hidden(self, labels: Tensor, ids: Tensor) -> Tensor:
        hidden = labels.clone()
        hidden[ids] = -1 if self.target == "multiclass" else float("nan")
        return hidden

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.describe()})"

    def describe(self) -> str:
        """One line: sizes, target, split and metric."""
        nodes = sum(graph.num_nodes for graph in self.graphs)
        edges = sum(graph.num_edges for graph in self.graphs)
        size = f"{nodes} nodes, {edges} edges" + (f" in {len(self.graphs)} graphs" if self.kind == "graph" else "")
        return (
            f"{self.name}: {size}, {self.num_features} features, {self.target} with {self.num_outputs} outputs, "
            f"{self.metric}, {self._describe_split()}"
        )

    def _describe_split(self) -> str:
        return f"split {self.split.name} {'/'.join(map(str, self.split.sizes))} [{self.split.hash}]"
