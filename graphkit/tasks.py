"""Tasks: data, split, loss and metric in one checked object."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Batch, Data
from torch_geometric.transforms import BaseTransform

from graphkit.core.hashing import hash_config, hash_data, hash_tensors
from graphkit.core.validate import check_choice, check_edge_index, check_features
from graphkit.metrics import METRICS, Metric
from graphkit.transforms.base import Precompute, apply

STAGES = ("train", "val", "test")
TARGETS = ("multiclass", "binary", "multilabel", "regression")


@dataclass(frozen=True, eq=False)
class Split:
    r"""Disjoint train, validation and test ids with a name and a content hash.

    Args:
        name: The split's name, e.g. ``"public"`` or ``"geom-gcn/3"``.
        train: Ids of the training nodes or graphs, of shape ``[num_train]``.
        val: Ids for validation.
        test: Ids for the final score.

    Raises:
        ValueError: If a part is empty, repeats an id, or shares one with another part.

    Example:
        >>> split = Split("mine", torch.tensor([0, 1]), torch.tensor([2]), torch.tensor([3]))
        >>> split.sizes
        (2, 1, 1)
    """

    name: str
    train: Tensor
    val: Tensor
    test: Tensor

    def __post_init__(self) -> None:
        owner: dict[int, str] = {}
        for stage in STAGES:
            ids = getattr(self, stage)
            if ids.dtype != torch.int64 or ids.dim() != 1:
                raise ValueError(
                    f"split {self.name!r}: {stage} ids must be a 1-dimensional int64 tensor, got {ids.dtype} of shape "
                    f"{list(ids.shape)}; boolean masks go through Split.from_masks"
                )
            if ids.numel() == 0:
                raise ValueError(f"split {self.name!r}: the {stage} part is empty; give it at least one id")
            if ids.min() < 0:
                raise ValueError(f"split {self.name!r}: the {stage} part has the negative id {int(ids.min())}")
            before = len(owner)
            owner.update(dict.fromkeys(ids.tolist(), stage))
            if len(owner) != before + ids.numel():
                raise ValueError(self._overlap())

    def _overlap(self) -> str:
        parts = {stage: set(getattr(self, stage).tolist()) for stage in STAGES}
        for first, second in (("train", "val"), ("train", "test"), ("val", "test")):
            shared = parts[first] & parts[second]
            if shared:
                return (
                    f"split {self.name!r}: {first} and {second} overlap in {len(shared)} ids, e.g. {min(shared)}; "
                    "each node or graph may be in one part only"
                )
        return f"split {self.name!r}: an id is repeated within one part; list each id once"

    @classmethod
    def from_masks(cls, name: str, train_mask: Tensor, val_mask: Tensor, test_mask: Tensor) -> Split:
        """Build a split from boolean masks of shape ``[num_nodes]``.

        Raises:
            TypeError: If a mask is not boolean.
            ValueError: As :class:`Split`.
        """
        masks = dict(zip(STAGES, (train_mask, val_mask, test_mask), strict=True))
        for stage, mask in masks.items():
            if mask.dtype != torch.bool:
                raise TypeError(f"split {name!r}: {stage}_mask has dtype {mask.dtype}, expected torch.bool")
        return cls(name, **{stage: mask.nonzero().view(-1) for stage, mask in masks.items()})

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits of the three id sets; the order of ids does not matter."""
        return hash_tensors(*(getattr(self, stage).sort().values for stage in STAGES))

    @property
    def sizes(self) -> tuple[int, int, int]:
        """The numbers of train, validation and test ids."""
        return self.train.numel(), self.val.numel(), self.test.numel()

    def __repr__(self) -> str:
        return f"Split({self.name}: {'/'.join(map(str, self.sizes))}, {self.hash})"


class Task:
    r"""Graphs, labels, a split, a loss and a metric: everything a trainer needs, checked before any training.

    Use :class:`NodeTask` or :class:`GraphTask`. The kinds of target and their losses are

    ==============  ============================  ===============================================
    target          labels                        loss on the outputs
    ==============  ============================  ===============================================
    ``multiclass``  ids in ``0..num_classes-1``   cross-entropy
    ``binary``      0 or 1                        binary cross-entropy on a single logit
    ``multilabel``  0, 1 or NaN per column        binary cross-entropy over the known labels
    ``regression``  numbers, NaN = missing        absolute error; squared error for mse and rmse
    ==============  ============================  ===============================================

    Test labels are hidden (-1 or NaN) in every batch but those of :meth:`batches` for the stage ``"test"``.
    """

    kind: ClassVar[str]

    def __init__(
        self,
        name: str,
        graphs: Sequence[Data],
        labels: Tensor,
        split: Split,
        target: str,
        metric: str | None,
        num_outputs: int | None,
        allow_missing_classes: bool,
    ) -> None:
        self.name = name
        self.split = split
        self.target = check_choice(target, TARGETS, "target")
        self.metric = check_choice(metric or ("mae" if target == "regression" else "accuracy"), METRICS, "metric")
        self.graphs = list(graphs)
        if not self.graphs:
            raise ValueError(f"task {name!r} has no graphs; give at least one")
        for position, graph in enumerate(self.graphs):
            _check_graph(graph, f"task {name!r}" if len(self.graphs) == 1 else f"task {name!r}, graph {position}")
        widths = {graph.x.size(1) for graph in self.graphs}
        if len(widths) > 1:
            raise ValueError(f"task {name!r}: graphs differ in their number of features: {sorted(widths)}")
        self.labels = self._checked_labels(labels, num_outputs, allow_missing_classes)
        self._allow_missing_classes = allow_missing_classes
        self._derived: dict[str, Task] = {}
        self.new_metric()  # fails now if the metric does not fit the target

    # What a model needs to know -----------------------------------------------------------------------------------

    @property
    def num_features(self) -> int:
        """The number of node features."""
        return self.graphs[0].x.size(1)

    @property
    def num_edge_features(self) -> int:
        """The number of edge features; 0 without ``edge_attr``."""
        return self.graphs[0].num_edge_features

    @property
    def num_outputs(self) -> int:
        """The number of columns that a model must return: classes, 1 for a binary target, or the label's columns."""
        if self.target == "multiclass":
            return self.num_classes
        return self.labels.size(1) if self.labels.dim() == 2 else 1

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger metric is a better one."""
        return METRICS[self.metric].higher_is_better

    @cached_property
    def content_hash(self) -> str:
        """Twelve hexadecimal digits of all graphs and labels."""
        return hash_config([hash_tensors(self.labels), *(hash_data(graph) for graph in self.graphs)])

    # What a trainer needs ----------------------------------------------------------------------------------------

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
            batch_size: The number of graphs per batch (graph tasks; node tasks are one batch).
            shuffle: Whether to draw an order (graph tasks).
            generator: The source of randomness for ``shuffle``.
            shard: This process's rank and the number of processes; each gets an equal share of a shuffled order.

        Raises:
            ValueError: If the task cannot be divided as asked.
        """
        raise NotImplementedError

    def select(self, out: Tensor, batch: Data, stage: str) -> tuple[Tensor, Tensor]:
        """The rows of ``out`` that count at this stage, of shape ``[n, num_outputs]``, and their labels."""
        raise NotImplementedError

    def loss(self, out: Tensor, batch: Data, stage: str = "train") -> Tensor:
        """The mean loss of the model's outputs for one batch (a scalar).

        Raises:
            ValueError: If ``out`` does not have the rows or columns that the task needs.
        """
        prediction, label = self.select(out, batch, stage)
        return self.loss_of(prediction, label)

    def loss_of(self, prediction: Tensor, label: Tensor) -> Tensor:
        """The mean loss of selected predictions ``[n, num_outputs]`` against their labels."""
        if self.target == "multiclass":
            return F.cross_entropy(prediction, label)
        label = label.view_as(prediction).to(prediction.dtype)
        known = ~torch.isnan(label)
        if not known.all():
            prediction, label = prediction[known], label[known]
            if prediction.numel() == 0:  # the mean of nothing would be NaN
                return prediction.sum()
        if self.target in ("binary", "multilabel"):
            return F.binary_cross_entropy_with_logits(prediction, label)
        return F.l1_loss(prediction, label) if self.metric == "mae" else F.mse_loss(prediction, label)

    def new_metric(self) -> Metric:
        """A fresh metric for one evaluation."""
        return Metric(self.metric, self.target, self.num_classes)

    # Changes -----------------------------------------------------------------------------------------------------

    def transform(self, transform: BaseTransform, jobs: int | None = None) -> Task:
        """A new task whose graphs went through a PyG transform; this one stays as it is.

        A deterministic :class:`~graphkit.transforms.Precompute` is applied once per task and kept.

        Args:
            transform: Any PyG transform, graphkit's rewirings and features included.
            jobs: The number of parallel processes (default: as :func:`~graphkit.transforms.apply` chooses).
        """
        key = transform.fingerprint() if isinstance(transform, Precompute) else None
        if key is not None and key in self._derived:
            return self._derived[key]
        task = self._with_graphs(apply(transform, self.graphs, jobs=jobs))
        if key is not None:
            self._derived[key] = task
        return task

    def with_split(self, split: Split) -> Task:
        """The same task with another split."""
        raise NotImplementedError

    def _with_graphs(self, graphs: list[Data]) -> Task:
        raise NotImplementedError

    # Checks ------------------------------------------------------------------------------------------------------

    def _checked_labels(self, labels: Tensor, num_outputs: int | None, allow_missing: bool) -> Tensor:
        used = torch.cat([self.split.train, self.split.val, self.split.test])
        count = self._count(labels)
        if used.max() >= count:
            raise ValueError(
                f"task {self.name!r}: split {self.split.name!r} names {self.kind} {int(used.max())}, but there are "
                f"{count} labelled {self.kind}s"
            )
        used = self._rows(used)
        self.num_classes = 0
        if self.target == "multiclass":
            return self._checked_classes(labels, used, num_outputs, allow_missing)
        labels = labels.to(torch.get_default_dtype() if not labels.is_floating_point() else labels.dtype)
        labels = labels.view(labels.size(0), -1) if self.target != "binary" else labels.view(-1)
        columns = labels.size(1) if labels.dim() == 2 else 1
        if num_outputs is not None and num_outputs != columns:
            raise ValueError(f"task {self.name!r}: num_outputs={num_outputs}, but the labels have {columns} columns")
        values = labels[used]
        if self.target == "binary" and torch.isnan(values).any():
            first = int(used[torch.isnan(values).nonzero()[0, 0]])
            raise ValueError(f"task {self.name!r}: {self.kind} {first} is in the split but has no label")
        known = values[~torch.isnan(values)]
        if known.numel() == 0:
            raise ValueError(f"task {self.name!r}: every label of the split is missing (NaN)")
        if self.target in ("binary", "multilabel") and not ((known == 0) | (known == 1)).all():
            bad = known[(known != 0) & (known != 1)][0].item()
            raise ValueError(f"task {self.name!r}: a {self.target} label is {bad}, expected 0 or 1")
        if not torch.isfinite(known).all():
            raise ValueError(f"task {self.name!r}: a label is infinite")
        if self.target == "binary" and not allow_missing:
            for stage in STAGES:
                present = labels[self._rows(getattr(self.split, stage))].unique()
                if present.numel() < 2:
                    raise ValueError(self._missing_class(1 - int(present[0]), 2, stage))
        return labels

    def _checked_classes(self, labels: Tensor, used: Tensor, num_outputs: int | None, allow_missing: bool) -> Tensor:
        if labels.is_floating_point() or labels.dtype == torch.bool or labels.dim() != 1:
            raise ValueError(
                f"task {self.name!r}: multiclass labels must be integers of shape [n], got {labels.dtype} of shape "
                f"{list(labels.shape)}; use y.long().view(-1), or another target"
            )
        labels = labels.long()
        if labels[used].min() < 0:
            first = int(used[(labels[used] < 0).nonzero()[0, 0]])
            raise ValueError(
                f"task {self.name!r}: {self.kind} {first} is in the split but has the label {int(labels[first])} "
                "(missing); take it out of the split"
            )
        self.num_classes = num_outputs or int(labels.max()) + 1
        if labels.max() >= self.num_classes:
            raise ValueError(
                f"task {self.name!r}: a label is {int(labels.max())}, but num_outputs={self.num_classes} "
                f"(labels 0..{self.num_classes - 1})"
            )
        if not allow_missing:
            present = torch.bincount(labels[self._rows(self.split.train)], minlength=self.num_classes)
            if (present == 0).any():
                raise ValueError(self._missing_class(int((present == 0).nonzero()[0, 0]), self.num_classes, "train"))
        return labels

    def _count(self, labels: Tensor) -> int:
        """The number of ids that a split may name."""
        return labels.size(0)

    def _rows(self, ids: Tensor) -> Tensor:
        """The rows of the labels that belong to ids of the split."""
        return ids

    def _missing_class(self, missing: int, total: int, stage: str) -> str:
        return (
            f"task {self.name!r}: class {missing} of {total} has no {stage} example in split {self.split.name!r}; "
            "use another split, or allow_missing_classes=True if the split is meant to be so"
        )

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
            f"{self.metric}, split {self.split.name} {'/'.join(map(str, self.split.sizes))} [{self.split.hash}]"
        )


class NodeTask(Task):
    r"""Predict a label per node of one graph; the whole graph is one batch.

    Args:
        name: The task's name in results.
        data: The graph, with ``x`` ``[num_nodes, num_features]``, ``edge_index`` ``[2, num_edges]`` and the labels
            ``y`` ``[num_nodes]`` or ``[num_nodes, num_outputs]``.
        split: The nodes to train on, to validate on and to test on.
        target: The kind of label (default: ``"multiclass"``); see :class:`Task`.
        metric: The score (default: accuracy, or ``mae`` for a regression).
        num_outputs: The number of classes or label columns (default: as found in ``y``).
        allow_missing_classes: Accept a split whose training part lacks a class (default: ``False``).

    Raises:
        TypeError: If ``edge_index`` is not integer or ``x`` not floating point.
        IndexError: If ``edge_index`` names a node that does not exist.
        ValueError: If anything else does not fit; the message names the value, the place and the remedy.

    Example:
        >>> data = Data(x=torch.eye(4), edge_index=torch.tensor([[0, 1, 2], [1, 2, 3]]), y=torch.tensor([0, 1, 0, 1]))
        >>> task = NodeTask("toy", data, Split("s", torch.tensor([0, 1]), torch.tensor([2]), torch.tensor([3])))
        >>> task.num_features, task.num_outputs
        (4, 2)
    """

    kind = "node"

    def __init__(
        self,
        name: str,
        data: Data,
        split: Split,
        target: str = "multiclass",
        metric: str | None = None,
        num_outputs: int | None = None,
        allow_missing_classes: bool = False,
    ) -> None:
        labels = data.y
        if labels is None:
            raise ValueError(f"task {name!r}: the graph has no labels; set data.y")
        if labels.size(0) != data.num_nodes:
            raise ValueError(f"task {name!r}: there are {labels.size(0)} labels for {data.num_nodes} nodes")
        super().__init__(name, [data], labels, split, target, metric, num_outputs, allow_missing_classes)
        hidden = self._hidden(self.labels, split.test)
        self._batch = {"train": self._view(hidden), "test": self._view(self.labels)}
        self._batch["val"] = self._batch["train"]

    @property
    def data(self) -> Data:
        """The graph."""
        return self.graphs[0]

    def _view(self, labels: Tensor) -> Data:
        view = copy.copy(self.data)
        for stage in STAGES:  # masks that came with the data describe another split, or this one twice
            view.pop(f"{stage}_mask", None) if f"{stage}_mask" in view else None
            view[f"{stage}_index"] = getattr(self.split, stage)
        view.y = labels
        return view

    def batches(
        self,
        stage: str,
        batch_size: int | None = None,
        shuffle: bool = False,
        generator: torch.Generator | None = None,
        shard: tuple[int, int] = (0, 1),
    ) -> Iterable[Data]:
        check_choice(stage, STAGES, "stage")
        if batch_size is not None:
            raise ValueError(f"task {self.name!r} trains on the whole graph at once; leave batch_size at None")
        if shard[1] > 1:
            raise ValueError(f"task {self.name!r} trains on the whole graph at once; use devices=1")
        return [self._batch[stage]]

    def select(self, out: Tensor, batch: Data, stage: str) -> tuple[Tensor, Tensor]:
        self._check_columns(out, batch.num_nodes, "a node task needs a model without readout")
        ids = batch[f"{stage}_index"]
        return out[ids], batch.y[ids]

    def with_split(self, split: Split) -> NodeTask:
        return self._rebuilt(self.data, split)

    def _with_graphs(self, graphs: list[Data]) -> NodeTask:
        return self._rebuilt(graphs[0], self.split)

    def _rebuilt(self, data: Data, split: Split) -> NodeTask:
        outputs = self.num_outputs
        return NodeTask(self.name, data, split, self.target, self.metric, outputs, self._allow_missing_classes)


class GraphTask(Task):
    r"""Predict a label per graph, in mini-batches of graphs; or labels of the nodes that each graph's mask marks.

    Args:
        name: The task's name in results.
        graphs: The graphs, each with ``x``, ``edge_index`` and its label ``y`` (a scalar, ``[1]`` or
            ``[1, num_outputs]``). Graphs whose ``readout_mask`` marks several nodes have one label for each, of shape
            ``[num_marked]`` or ``[num_marked, num_outputs]``; their split still divides graphs.
        split: The graphs to train on, to validate on and to test on.
        target: The kind of label (default: ``"multiclass"``); see :class:`Task`.
        metric: The score (default: accuracy, or ``mae`` for a regression).
        num_outputs: The number of classes or label columns (default: as found in the labels).
        allow_missing_classes: Accept a split whose training part lacks a class (default: ``False``).

    Raises:
        TypeError, IndexError, ValueError: As :class:`NodeTask`; the message names the graph.
    """

    kind = "graph"

    def __init__(
        self,
        name: str,
        graphs: Sequence[Data],
        split: Split,
        target: str = "multiclass",
        metric: str | None = None,
        num_outputs: int | None = None,
        allow_missing_classes: bool = False,
    ) -> None:
        rows = []
        for position, graph in enumerate(graphs):
            if graph.y is None:
                raise ValueError(f"task {name!r}, graph {position}: no label; set data.y")
            mask = graph.get("readout_mask")
            count = 1 if mask is None else int(mask.sum())
            rows.append(_label_rows(graph.y, count, f"task {name!r}, graph {position}"))
        self._ends = torch.tensor([0, *(row.size(0) for row in rows)]).cumsum(0)
        widths = {row.size(1) for row in rows}
        if len(widths) > 1:
            raise ValueError(f"task {name!r}: graphs differ in their number of label columns: {sorted(widths)}")
        labels = torch.cat(rows) if rows else torch.empty(0, 1)
        labels = labels.view(-1) if target in ("multiclass", "binary") and labels.size(1) == 1 else labels
        super().__init__(name, graphs, labels, split, target, metric, num_outputs, allow_missing_classes)
        self._evaluation: dict[tuple[str, int], list[Data]] = {}

    def batches(
        self,
        stage: str,
        batch_size: int | None = None,
        shuffle: bool = False,
        generator: torch.Generator | None = None,
        shard: tuple[int, int] = (0, 1),
    ) -> Iterable[Data]:
        check_choice(stage, STAGES, "stage")
        size = 32 if batch_size is None else batch_size
        if shuffle:
            graphs = self._labelled(stage)
            order = torch.randperm(len(graphs), generator=generator)
            rank, world = shard
            rounded = -(-len(graphs) // world) * world  # every process must take the same number of steps
            order = order.repeat(-(-rounded // len(graphs)))[:rounded][rank::world]
            return _collated([graphs[position] for position in order.tolist()], size)
        if (stage, size) not in self._evaluation:  # evaluation repeats the same batches: collate them once
            self._evaluation[stage, size] = list(_collated(self._labelled(stage), size))
        return self._evaluation[stage, size]

    def _labelled(self, stage: str) -> list[Data]:
        chosen = []
        for position in getattr(self.split, stage).tolist():
            graph = copy.copy(self.graphs[position])
            graph.y = self.labels[self._ends[position] : self._ends[position + 1]]
            chosen.append(graph)
        return chosen

    def _count(self, labels: Tensor) -> int:
        return len(self.graphs)

    def _rows(self, ids: Tensor) -> Tensor:
        start, end = self._ends[ids], self._ends[ids + 1]
        if (end - start == 1).all():
            return start
        return torch.cat([torch.arange(first, last) for first, last in zip(start.tolist(), end.tolist())])

    def select(self, out: Tensor, batch: Data, stage: str) -> tuple[Tensor, Tensor]:
        self._check_columns(out, batch.y.size(0), "a graph task needs a model with a readout, e.g. readout='mean'")
        return out, batch.y

    def with_split(self, split: Split) -> GraphTask:
        return self._rebuilt(self.graphs, split)

    def _with_graphs(self, graphs: list[Data]) -> GraphTask:
        return self._rebuilt(graphs, self.split)

    def _rebuilt(self, graphs: Sequence[Data], split: Split) -> GraphTask:
        outputs = self.num_outputs
        return GraphTask(self.name, graphs, split, self.target, self.metric, outputs, self._allow_missing_classes)


def _label_rows(y: Any, count: int, where: str) -> Tensor:
    y = torch.as_tensor(y)
    if count == 1:
        return y.view(1, -1)
    if y.dim() == 0 or y.size(0) != count:
        raise ValueError(f"{where}: readout_mask marks {count} nodes, but y has the shape {list(y.shape)}")
    return y.view(count, -1)


def _collated(graphs: list[Data], size: int) -> Iterator[Batch]:
    # PyG's DataLoader draws from the global generator whenever it starts, which a resumed run does at other times.
    for start in range(0, len(graphs), size):
        yield Batch.from_data_list(graphs[start : start + size])


def _check_graph(graph: Data, where: str) -> None:
    if not graph.num_nodes:
        raise ValueError(f"{where} is empty (0 nodes); leave it out")
    if graph.x is None:
        raise ValueError(f"{where} has no node features; add some, e.g. torch_geometric.transforms.Constant()")
    check_features(graph.x, where, graph.num_nodes)
    if graph.edge_index is None:
        raise ValueError(f"{where} has no edge_index; a graph without edges has torch.empty(2, 0, dtype=torch.long)")
    check_edge_index(graph.edge_index, graph.num_nodes, where)
    for key in ("edge_weight", "edge_attr"):
        value = graph.get(key)
        if value is None:
            continue
        if value.size(0) != graph.num_edges:
            raise ValueError(f"{where}: {key} has {value.size(0)} rows for {graph.num_edges} edges")
        if value.is_floating_point() and not torch.isfinite(value).all():
            edge = int((~torch.isfinite(value.view(value.size(0), -1))).any(1).nonzero()[0, 0])
            raise ValueError(f"{where}: {key} of edge {edge} is not finite")
