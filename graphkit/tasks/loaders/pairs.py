"""Pairs of nodes to judge, with the graph that carries messages."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.validate import check_edge_index
from graphkit.tasks.loaders.base import Draw, Loader

PAIRS = ("edge_label_index", "edge_label", "edge_label_attr")  # what batches say of pairs
Judged = dict[str, Tensor]  # pairs of nodes by these names


class PairLoader(Loader):
    """Pairs of nodes to judge, each batch with the whole graph of its stage.

    Args:
        task: The task.

    Raises:
        ValueError: (when asked for batches of other graphs) if one names no pairs.
    """

    resamples = True
    one_graph = True

    def batches(self, stage: str, draw: Draw) -> Iterable[Data]:
        graph = self.task.stage_graph(stage)
        if stage == "train" and not (draw.batch_size is None and draw.shard[1] == 1):
            return (self._with(graph, part) for part in self.parts(stage, draw))
        return [self._with(graph, self.whole(stage, draw))]

    def _with(self, graph: Data, judged: Judged) -> Data:
        batch = copy.copy(graph)
        batch.update(judged)
        return batch

    def unlabelled(self, graphs: Sequence[Data], batch_size: int | None) -> Iterator[Data]:
        for graph in graphs:
            batch = copy.copy(graph)
            batch.edge_label = torch.zeros(named_pairs(self.task.name, graph, graph.num_nodes).size(1))
            yield batch

    @abstractmethod
    def whole(self, stage: str, draw: Draw) -> Judged:
        """All pairs of a stage in order, the same tensors each time unless some are drawn."""

    @abstractmethod
    def parts(self, stage: str, draw: Draw) -> Iterator[Judged]:
        """As many pairs at a time as a batch has; every process gets equally many."""


class Pairs(PairLoader):
    """Links and pairs without one; training draws negatives anew in every epoch. Batches have so many links.

    Args:
        task: The task.

    """

    def whole(self, stage: str, draw: Draw) -> Judged:
        links, negatives = getattr(self.task.split, stage), self.task.split.negatives(stage)
        if negatives is None:
            return labelled_pairs(links, self.task.draw_negatives(draw.generator))
        return self.cached(stage, lambda: labelled_pairs(links, negatives))

    def parts(self, stage: str, draw: Draw) -> Iterator[Judged]:
        links, negatives = getattr(self.task.split, stage), self.task.split.negatives(stage)
        generator = draw.generator
        if negatives is None:
            generator = torch.Generator().manual_seed(0) if generator is None else generator
            negatives = self.task.draw_negatives(generator)
        sources = (links[0], negatives[0]) if self.task.group_by_source else None
        for first, second in divided((links.size(1), negatives.size(1)), replace(draw, generator=generator), sources):
            yield labelled_pairs(links[:, first], negatives[:, second])


class EdgePairs(PairLoader):
    """Edges with a label each, in the order of the split.

    Args:
        task: The task.

    Raises:
        ValueError: (when asked for batches of other graphs) if one names pairs without the features that edges have.
    """

    def whole(self, stage: str, draw: Draw) -> Judged:
        return self.cached(stage, lambda: self.task.judged_edges(stage))

    def parts(self, stage: str, draw: Draw) -> Iterator[Judged]:
        edges = self.whole(stage, draw)
        for (ids,) in divided((edges["edge_label"].size(0),), draw):
            yield {key: value[..., ids] if key == "edge_label_index" else value[ids] for key, value in edges.items()}

    def unlabelled(self, graphs: Sequence[Data], batch_size: int | None) -> Iterator[Data]:
        for graph in graphs:
            named = "edge_label_index" in graph
            pairs = graph.edge_label_index if named else graph.edge_index
            features = graph.get("edge_label_attr" if named else "edge_attr")
            check_edge_index(pairs, graph.num_nodes, "edge_label_index")
            batch = copy.copy(graph)
            batch.edge_label_index, batch.edge_label = pairs, self.hidden_labels(pairs.size(1))
            if self.task.edge_features is not None:
                known = self.task.edge_features[:0] if features is None else features
                if known.size(0) != pairs.size(1):
                    raise ValueError(
                        f"task {self.task.name!r}: edges have features, but the graph has {known.size(0)} rows of them "
                        f"for {pairs.size(1)} pairs; set data.edge_label_attr [num_pairs, num_features]"
                    )
                batch.edge_label_attr = known
            yield batch


def divided(sizes: Sequence[int], draw: Draw, groups: Sequence[Tensor] | None = None) -> Iterator[tuple[Tensor, ...]]:
    """Ids of rows of several kinds, so many of the first kind at a time and an equal share of each other kind.

    Args:
        sizes: The number of rows of each kind.
        draw: How they are drawn.
        groups: A number for each row of each kind; rows of one number stand together (default: none has one).
    """
    rank, world = draw.shard
    steps = 1 if draw.batch_size is None else -(-sizes[0] // (draw.batch_size * world))
    parts = []
    for kind, size in enumerate(sizes):
        order = torch.randperm(size, generator=draw.generator) if draw.shuffle else torch.arange(size)
        if groups is not None:
            group = groups[kind]
            place = torch.randperm(int(group.max()) + 1, generator=draw.generator) if draw.shuffle else None
            order = order[(group if place is None else place[group])[order].argsort(stable=True)]
        parts.append(order.tensor_split(steps * world)[rank::world])
    yield from zip(*parts, strict=True)


def labelled_pairs(links: Tensor, negatives: Tensor) -> Judged:
    """Links first, then negatives; but each link before its own negatives, where there are such; and their labels."""
    if negatives.dim() == 3:
        label = torch.zeros(links.size(1), 1 + negatives.size(2))
        label[:, 0] = 1
        pairs = torch.cat([links.unsqueeze(2), negatives], dim=2).flatten(1)
    else:
        label = torch.zeros(links.size(1) + negatives.size(1))
        label[: links.size(1)] = 1
        pairs = torch.cat([links, negatives], dim=1)
    return {"edge_label_index": pairs, "edge_label": label.view(-1)}


def named_pairs(task: str, graph: Data, num_nodes: int) -> Tensor:
    """The pairs of a graph that are to be judged.

    Raises:
        ValueError: If it names none.
        IndexError: If they name nodes that there are not.
    """
    pairs: Tensor | None = graph.get("edge_label_index")
    if pairs is None:
        raise ValueError(
            f"task {task!r} judges pairs of nodes, but the graph names none; set data.edge_label_index [2, num_pairs], "
            "or say which stage's are meant, such as stage='test' (graphkit predict --stage test)"
        )
    check_edge_index(pairs, num_nodes, "edge_label_index")
    return pairs
