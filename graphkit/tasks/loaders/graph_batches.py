"""Batches of graphs."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.batching import split_order
from graphkit.tasks.collate import Collator
from graphkit.tasks.loaders.base import Draw, Loader

DEFAULT_SIZE = 32  # graphs


class GraphBatches(Loader):
    """Mini-batches of many graphs, each a disjoint union; training draws their order anew in every epoch.

    Args:
        task: The task.
    """

    resamples = True

    def batches(self, stage: str, draw: Draw) -> Iterable[Data]:
        size = DEFAULT_SIZE if draw.batch_size is None else draw.batch_size
        if not draw.shuffle:  # evaluation repeats the same batches: collate them once
            return self.cached((stage, size), lambda: self._in_order(stage, size))
        collator = self.cached(stage, lambda: Collator(self._labelled(stage)))
        count = len(collator.graphs)
        # PyG's DataLoader draws from the global generator whenever it starts, which a resumed run does at other times.
        order = torch.randperm(count, generator=draw.generator)
        rank, world = draw.shard
        rounded = -(-count // world) * world  # every process must take the same number of steps
        share = order.repeat(-(-rounded // count))[:rounded][rank::world]
        return map(collator.batch, split_order(share, size))

    def _in_order(self, stage: str, size: int) -> list[Data]:
        return _joined(self._labelled(stage), size)

    def labels(self, stage: str) -> Tensor:
        return torch.cat([self.task.labels_of(position) for position in getattr(self.task.split, stage).tolist()])

    def unlabelled(self, graphs: Sequence[Data], batch_size: int | None) -> Iterable[Data]:
        copies = [copy.copy(graph) for graph in graphs]
        for graph in copies:
            mask = graph.get("readout_mask")
            graph.y = self.hidden_labels(1 if mask is None else int(mask.sum()))
        return _joined(copies, batch_size or DEFAULT_SIZE)

    def _labelled(self, stage: str) -> list[Data]:
        chosen = []
        for position in getattr(self.task.split, stage).tolist():
            graph = copy.copy(self.task.graphs[position])
            graph.y = self.task.labels_of(position)
            chosen.append(graph)
        return chosen


def _joined(graphs: Sequence[Data], size: int) -> list[Data]:
    collator = Collator(graphs)
    return [collator.batch(ids) for ids in torch.arange(len(graphs)).split(size)]
