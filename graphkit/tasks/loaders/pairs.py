"""Pairs of nodes to judge, with the graph that carries messages."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.validate import check_edge_index
from graphkit.tasks.loaders.base import Draw, Loader

PAIRS = ("edge_label_index", "edge_label")  # what batches say of pairs


class Pairs(Loader):
    """Links and pairs without one, each batch with the whole graph; training draws negatives anew in every epoch.

    Args:
        task: The task.

    Raises:
        ValueError: (when asked for batches of other graphs) if one names no pairs.
    """

    resamples = True
    one_graph = True

    def batches(self, stage: str, draw: Draw) -> Iterable[Data]:
        links, negatives = getattr(self.task.split, stage), self.task.split.negatives(stage)
        whole = stage != "train" or (draw.batch_size is None and draw.shard[1] == 1)
        if whole and negatives is not None:
            return [self.cached(stage, lambda: self._batch(stage, links, negatives))]
        if whole:
            return [self._batch(stage, links, self.task.draw_negatives(draw.generator))]
        return (self._batch(stage, *part) for part in self.parts(stage, draw))

    def unlabelled(self, graphs: Sequence[Data], batch_size: int | None) -> Iterator[Data]:
        for graph in graphs:
            pairs = graph.get("edge_label_index")
            if pairs is None:
                raise ValueError(
                    f"task {self.task.name!r} judges pairs of nodes, but the graph names none; set "
                    "data.edge_label_index [2, num_pairs]"
                )
            check_edge_index(pairs, graph.num_nodes, "edge_label_index")
            batch = copy.copy(graph)
            batch.edge_label = torch.zeros(pairs.size(1))
            yield batch

    def parts(self, stage: str, draw: Draw) -> Iterator[tuple[Tensor, Tensor]]:
        """So many links at a time, each part with its share of the negatives; every process gets equally many."""
        links, negatives = getattr(self.task.split, stage), self.task.split.negatives(stage)
        generator = draw.generator
        if negatives is None:
            generator = torch.Generator().manual_seed(0) if generator is None else generator
            negatives = self.task.draw_negatives(generator)
        return _divided(links, negatives, draw, generator if draw.shuffle else None)

    def _batch(self, stage: str, links: Tensor, negatives: Tensor) -> Data:
        batch = copy.copy(self.task.stage_graph(stage))
        batch.edge_label_index, batch.edge_label = labelled_pairs(links, negatives)
        return batch


def _divided(
    links: Tensor, negatives: Tensor, draw: Draw, generator: torch.Generator | None
) -> Iterator[tuple[Tensor, Tensor]]:
    rank, world = draw.shard
    steps = 1 if draw.batch_size is None else -(-links.size(1) // (draw.batch_size * world))
    parts = []
    for pairs in (links, negatives):
        order = torch.arange(pairs.size(1))
        if generator is not None:
            order = torch.randperm(pairs.size(1), generator=generator)
        parts.append(pairs[:, order].tensor_split(steps * world, dim=1)[rank::world])
    yield from zip(*parts, strict=True)


def labelled_pairs(links: Tensor, negatives: Tensor) -> tuple[Tensor, Tensor]:
    """Links first, then negatives; but each link before its own negatives, where there are such; and their labels."""
    if negatives.dim() == 3:
        label = torch.zeros(links.size(1), 1 + negatives.size(2))
        label[:, 0] = 1
        return torch.cat([links.unsqueeze(2), negatives], dim=2).flatten(1), label.view(-1)
    label = torch.zeros(links.size(1) + negatives.size(1))
    label[: links.size(1)] = 1
    return torch.cat([links, negatives], dim=1), label
