"""Labels of nodes."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.validate import check_choice
from graphkit.tasks.base import Task
from graphkit.tasks.split import STAGES, Split


class NodeTask(Task):
    r"""Predict a label per node of one graph; the whole graph is one batch.

    Args:
        name: The task's name in results.
        data: The graph, with ``x`` ``[num_nodes, num_features]``, ``edge_index`` ``[2, num_edges]`` and the labels
            ``y`` ``[num_nodes]`` or ``[num_nodes, num_outputs]``.
        split: The nodes to train on, to validate on and to test on.
        target: The kind of label (default: ``"multiclass"``); see :class:`Task`.
        metric: The score: a name, or a :class:`~graphkit.metrics.Metric` of your own or of torchmetrics (default:
            accuracy, or ``mae`` for a regression).
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
    redraws = False
    split: Split

    def __init__(
        self,
        name: str,
        data: Data,
        split: Split,
        target: str = "multiclass",
        metric: str | type | Any = None,
        num_outputs: int | None = None,
        allow_missing_classes: bool = False,
    ) -> None:
        labels = data.y
        if labels is None:
            raise ValueError(f"task {name!r}: the graph has no labels; set data.y")
        if labels.size(0) != data.num_nodes:
            raise ValueError(f"task {name!r}: there are {labels.size(0)} labels for {data.num_nodes} nodes")
        super().__init__(name, [data], split, target, metric)
        self._set_labels(labels, split, num_outputs, allow_missing_classes)
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
            raise ValueError(
                f"task {self.name!r} trains on the whole graph at once; leave batch_size at None, or "
                "train on subgraphs: task.sampled(gk.samplers.NeighborSampler([15, 10]))"
            )
        if shard[1] > 1:
            raise ValueError(f"task {self.name!r} trains on the whole graph at once; use devices=1")
        return [self._batch[stage]]

    def select(self, out: Tensor, batch: Data, stage: str) -> tuple[Tensor, Tensor]:
        self._check_columns(out, batch.num_nodes, "a node task needs a model without readout")
        ids = batch[f"{stage}_index"]
        return out[ids], batch.y[ids]

    def sampled(self, sampler: Any) -> NodeTask:
        from graphkit.tasks.sampled import SampledNodeTask  # which is a NodeTask

        return SampledNodeTask(self, sampler)

    def with_split(self, split: Split) -> NodeTask:
        return self._rebuilt(self.data, split)

    def _with_graphs(self, graphs: list[Data]) -> NodeTask:
        return self._rebuilt(graphs[0], self.split)

    def _rebuilt(self, data: Data, split: Split) -> NodeTask:
        outputs = self.num_outputs
        return NodeTask(self.name, data, split, self.target, self._metric, outputs, self._allow_missing_classes)
