"""One batch: the whole graph."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from torch_geometric.data import Data

from graphkit.tasks.loaders.base import Draw, Loader
from graphkit.tasks.split import STAGES


class WholeGraph(Loader):
    """Full-batch training: the graph of a task with the labels that a stage may see is the only batch.

    Args:
        task: The task.

    Raises:
        ValueError: If batches of some size or for several devices are asked for.
    """

    one_graph = True

    def __init__(self, task: Any) -> None:
        super().__init__(task)
        self._batch: dict[bool, Data] = {}

    def batches(self, stage: str, draw: Draw) -> Iterable[Data]:
        if draw.batch_size is not None:
            raise ValueError(
                f"task {self.task.name!r} trains on the whole graph at once; leave batch_size at None, or "
                "train on subgraphs: task.sampled(gk.samplers.NeighborSampler([15, 10]))"
            )
        if draw.shard[1] > 1:
            raise ValueError(f"task {self.task.name!r} trains on the whole graph at once; use devices=1")
        is_test = stage == "test"
        if is_test not in self._batch:
            self._batch[is_test] = self._view(stage)
        return [self._batch[is_test]]

    def _view(self, stage: str) -> Data:
        view = without_masks(self.task.graphs[0])
        for part in STAGES:
            view[f"{part}_index"] = getattr(self.task.split, part)
        view.y = self.task.visible_labels(stage)
        return view


def without_masks(data: Data) -> Data:
    """A shallow copy without the masks that came with the data: they describe another split, or this one twice."""
    plain = copy.copy(data)
    for stage in STAGES:
        plain.pop(f"{stage}_mask", None)
    return plain
