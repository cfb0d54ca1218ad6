"""One batch: the whole graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch_geometric.data import Data

from graphkit.tasks.loaders.base import Draw, Loader
from graphkit.tasks.split import STAGES, without_masks


class WholeGraph(Loader):
    """Full-batch training: the graph of a task with the labels that a stage may see is the only batch.

    Args:
        task: The task.

    Raises:
        ValueError: If batches of some size or for several devices are asked for.
    """

    one_graph = True

    def batches(self, stage: str, draw: Draw) -> Iterable[Data]:
        if draw.batch_size is not None:
            raise ValueError(
                f"task {self.task.name!r} trains on the whole graph at once; leave batch_size at None, or "
                "train on subgraphs: task.sampled(gk.samplers.NeighborSampler([15, 10]))"
            )
        self.check_processes(draw.shard[1])
        return [self.cached(stage == "test", lambda: self._view(stage))]

    def unlabelled(self, graphs: Sequence[Data], batch_size: int | None) -> Iterator[Data]:
        for graph in graphs:
            view = without_masks(graph)
            view.train_index = view.val_index = torch.empty(0, dtype=torch.long)
            view.test_index = torch.arange(graph.num_nodes)
            view.y = self.hidden_labels(graph.num_nodes)
            yield view

    def check_processes(self, count: int) -> None:
        if count > 1:
            raise ValueError(f"task {self.task.name!r} trains on the whole graph at once; use devices=1")

    def _view(self, stage: str) -> Data:
        view = without_masks(self.task.graphs[0])
        for part in STAGES:
            view[f"{part}_index"] = getattr(self.task.split, part)
        view.y = self.task.visible_labels(stage)
        return view
