"""Labels of graphs."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.attributes import with_kinds
from graphkit.core.batching import split_order
from graphkit.core.validate import check_choice
from graphkit.tasks.base import Task
from graphkit.tasks.collate import Collator
from graphkit.tasks.split import STAGES, Split


class GraphTask(Task):
    r"""Predict a label per graph, in mini-batches of graphs; or labels of the nodes that each graph's mask marks.

    Args:
        name: The task's name in results.
        graphs: The graphs, each with ``x``, ``edge_index`` and its label ``y`` (a scalar, ``[1]`` or
            ``[1, num_outputs]``). Graphs whose ``readout_mask`` marks several nodes have one label for each, of shape
            ``[num_marked]`` or ``[num_marked, num_outputs]``; their split still divides graphs.
        split: The graphs to train on, to validate on and to test on.
        target: The kind of label (default: ``"multiclass"``); see :class:`Task`.
        metric: As for :class:`NodeTask` (default: accuracy, or ``mae`` for a regression).
        num_outputs: The number of classes or label columns (default: as found in the labels).
        allow_missing_classes: Accept a split whose training part lacks a class (default: ``False``).

    Raises:
        TypeError, IndexError, ValueError: As :class:`NodeTask`; the message names the graph.
    """

    kind = "graph"
    split: Split

    def __init__(
        self,
        name: str,
        graphs: Sequence[Data],
        split: Split,
        target: str = "multiclass",
        metric: str | type | Any = None,
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
        super().__init__(name, with_kinds(graphs, y="graph"), split, target, metric)
        self._set_labels(labels, split, num_outputs, allow_missing_classes)
        self._shuffled: dict[str, Collator] = {}
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
        count = len(getattr(self.split, stage))
        if shuffle:
            if stage not in self._shuffled:
                self._shuffled[stage] = Collator(self._labelled(stage))
            # PyG's DataLoader draws from the global generator whenever it starts, which a resumed run does at other
            # times.
            order = torch.randperm(count, generator=generator)
            rank, world = shard
            rounded = -(-count // world) * world  # every process must take the same number of steps
            own = order.repeat(-(-rounded // count))[:rounded][rank::world]
            return map(self._shuffled[stage].batch, split_order(own, size))
        if (stage, size) not in self._evaluation:  # evaluation repeats the same batches: collate them once
            collator = Collator(self._labelled(stage))
            self._evaluation[stage, size] = [collator.batch(ids) for ids in torch.arange(count).split(size)]
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
        pairs = zip(start.tolist(), end.tolist(), strict=True)
        return torch.cat([torch.arange(first, last) for first, last in pairs])

    def select(self, out: Tensor, batch: Data, stage: str) -> tuple[Tensor, Tensor]:
        self._check_columns(out, batch.y.size(0), "a graph task needs a model with a readout, e.g. readout='mean'")
        return out, batch.y

    def with_split(self, split: Split) -> GraphTask:
        return self._rebuilt(self.graphs, split)

    def _with_graphs(self, graphs: list[Data]) -> GraphTask:
        return self._rebuilt(graphs, self.split)

    def _rebuilt(self, graphs: Sequence[Data], split: Split) -> GraphTask:
        outputs = self.num_outputs
        return GraphTask(self.name, graphs, split, self.target, self._metric, outputs, self._allow_missing_classes)


def _label_rows(y: Any, count: int, where: str) -> Tensor:
    y = torch.as_tensor(y)
    if count == 1:
        return y.view(1, -1)
    if y.dim() == 0 or y.size(0) != count:
        raise ValueError(f"{where}: readout_mask marks {count} nodes, but y has the shape {list(y.shape)}")
    return y.view(count, -1)
