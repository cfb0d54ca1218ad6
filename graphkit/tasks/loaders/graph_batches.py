"""Batches of graphs."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
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

    def __init__(self, task: Any) -> None:
        super().__init__(task)
        self._shuffled: dict[str, Collator] = {}
        self._evaluation: dict[tuple[str, int], list[Data]] = {}

    def batches(self, stage: str, draw: Draw) -> Iterable[Data]:
        size = DEFAULT_SIZE if draw.batch_size is None else draw.batch_size
        count = len(getattr(self.task.split, stage))
        if draw.shuffle:
            if stage not in self._shuffled:
                self._shuffled[stage] = Collator(self._labelled(stage))
            # PyG's DataLoader draws from the global generator whenever it starts, which a resumed run does at other
            # times.
            order = torch.randperm(count, generator=draw.generator)
            rank, world = draw.shard
            rounded = -(-count // world) * world  # every process must take the same number of steps
            share = order.repeat(-(-rounded // count))[:rounded][rank::world]
            return map(self._shuffled[stage].batch, split_order(share, size))
        if (stage, size) not in self._evaluation:  # evaluation repeats the same batches: collate them once
            collator = Collator(self._labelled(stage))
            self._evaluation[stage, size] = [collator.batch(ids) for ids in torch.arange(count).split(size)]
        return self._evaluation[stage, size]

    def _labelled(self, stage: str) -> list[Data]:
        chosen = []
        for position in getattr(self.task.split, stage).tolist():
            graph = copy.copy(self.task.graphs[position])
            graph.y = self.task.labels_of(position)
            chosen.append(graph)
        return chosen
