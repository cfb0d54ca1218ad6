"""Subgraphs that a sampler draws around labelled nodes, or around the pairs of nodes that are judged."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform, Compose

from graphkit.algorithms.sampling.subgraphs import subgraph_source
from graphkit.core.attributes import node_subgraph
from graphkit.samplers import Sampler
from graphkit.tasks.loaders.base import Draw, Loader
from graphkit.tasks.loaders.pairs import Judged
from graphkit.tasks.split import STAGES, part_of, without_masks

CHUNK = 8192  # nodes per chunk of a layer-wise evaluation
EXAMPLE = 32  # roots of the subgraph from which sizes are read


class Subgraphs(Loader):
    """Training on subgraphs of one large graph; validation and test as the sampler's ``evaluate`` says.

    What is transformed before sampling is the whole graph; a transform that comes after it is applied to each subgraph,
    and to the whole graph where that is evaluated.

    Args:
        task: The task.
        sampler: What draws the subgraphs.
        whole: The loader of the task that is not sampled.
        transforms: What is applied to each subgraph (default: nothing).
    """

    resamples = True
    caches_evaluation = False

    def __init__(self, task: Any, sampler: Sampler, whole: Loader, transforms: Sequence[BaseTransform] = ()) -> None:
        super().__init__(task)
        self.sampler, self._whole_loader, self.transforms = copy.copy(sampler), whole, list(transforms)
        self.sampler.dataset = task.dataset

    def for_task(self, task: Any) -> Loader:
        return type(self)(task, self.sampler, self._whole_loader, self.transforms)

    def transformed(self, transform: BaseTransform) -> Loader:
        return type(self)(self.task, self.sampler, self._whole_loader, [*self.transforms, transform])

    @cached_property
    def whole(self) -> Any:
        """The task that is not sampled, with all transforms applied."""
        return self.task.with_loader(self._whole_loader).in_memory().transform(Compose(self.transforms))

    def example(self) -> Data:
        size = EXAMPLE if self.sampler.default_batch_size else None
        draw = Draw(size, True, torch.Generator().manual_seed(0))
        return self.cached("example", lambda: next(iter(self._drawn("train", draw))))

    def batches(self, stage: str, draw: Draw) -> Iterable[Data]:
        if draw.shuffle or self.sampler.evaluate == "sampled":
            return self._drawn(stage, draw)
        return self._chunked(self.whole.batches(stage))

    def labels(self, stage: str) -> Tensor | None:
        return self._whole_loader.for_task(self.task).labels(stage)

    def unlabelled(self, graphs: Sequence[Data], batch_size: int | None) -> Iterable[Data]:
        return self._chunked(map(Compose(self.transforms), self._whole_loader.unlabelled(graphs, batch_size)))

    def _chunked(self, batches: Iterable[Data]) -> list[Data]:
        copies = [copy.copy(batch) for batch in batches]
        for batch in copies if self.sampler.evaluate == "layerwise" else ():
            batch.chunk_size = CHUNK
        return copies

    def sampler_of(self, draw: Draw) -> Sampler:
        """What draws the subgraphs of a pass."""
        return self.sampler if draw.epoch is None or self.training_sampler is None else self.training_sampler

    def _drawn(self, stage: str, draw: Draw) -> Iterable[Data]:
        return map(Compose(self.transforms), self.draw(stage, draw))

    @abstractmethod
    def draw(self, stage: str, draw: Draw) -> Iterable[Data]:
        """The subgraphs of one stage, before they are transformed."""

    def describe(self) -> str:
        return "".join(f", {part}" for part in (self.sampler, *self.transforms))


class NodeSubgraphs(Subgraphs):
    """:class:`Subgraphs` with the nodes of one part of the split as roots."""

    def draw(self, stage: str, draw: Draw) -> Iterable[Data]:
        data, ids, parts = self._graph, getattr(self.task.split, stage), self._parts
        if stage == "test":
            data = copy.copy(data)
            data.y = self.task.labels
        if stage == "train" and self.sampler.inductive:
            data, parts = self._training_graph, torch.zeros(ids.numel())
            ids = torch.searchsorted(ids.sort().values, ids)  # the numbers of training nodes in their graph
        batches = self.sampler_of(draw).batches(data, ids, draw.batch_size, draw.shuffle, draw.generator, draw.shard)
        return map(lambda batch: self._marked(batch, parts), batches)

    def unlabelled(self, graphs: Sequence[Data], batch_size: int | None) -> Iterable[Data]:
        if self.sampler.evaluate != "sampled" or self.sampler.default_batch_size is None:
            return super().unlabelled(graphs, batch_size)
        return (
            Compose(self.transforms)(self._marked(batch, torch.full((view.num_nodes,), STAGES.index("test"))))
            for view in self._whole_loader.unlabelled(graphs, None)
            for batch in self.sampler.batches(view, view.test_index, batch_size)
        )

    def _marked(self, batch: Data, parts: Tensor) -> Data:
        part = parts[batch.n_id]
        for number, name in enumerate(STAGES):
            batch[f"{name}_index"] = (part == number).nonzero().view(-1)
        return batch

    @cached_property
    def _graph(self) -> Data:
        graph = without_masks(self.task.graphs[0])
        graph.y = self.task.visible_labels("train")
        return graph

    @cached_property
    def _parts(self) -> Tensor:
        return part_of(self.task.split, self._graph.num_nodes)

    @cached_property
    def _training_graph(self) -> Data:
        return node_subgraph(self._graph, self.task.split.train.sort().values, f"task {self.task.name!r}")


class PairSubgraphs(Subgraphs):
    """:class:`Subgraphs` with the ends of so many links, and of their negatives, or of so many edges as roots.

    They are drawn from the graph that carries messages at the stage, so no link of a later stage is in them. Subgraphs
    of random nodes (GraphSAINT) judge the pairs that they hold, each with ``pair_weight``, one over its probability and
    the number of pairs; the expectation of the weighted sum is the mean over all pairs.

    Raises:
        ValueError: If the sampler cannot say how probable a pair is, or is inductive.
    """

    def __init__(self, task: Any, sampler: Sampler, whole: Loader, transforms: Sequence[BaseTransform] = ()) -> None:
        super().__init__(task, sampler, whole, transforms)
        name = type(sampler).__name__
        if sampler.default_batch_size is None and type(sampler).pair_probability is Sampler.pair_probability:
            raise ValueError(
                f"task {task.name!r} judges pairs of nodes, but {name} cannot say how probable it is that a subgraph "
                "holds both; use NeighborSampler, ShaDowKHop, ShaDowPPR, GraphSAINTNode or GraphSAINTEdge"
            )
        if sampler.inductive:
            raise ValueError(
                f"{name}(inductive=True) is about training nodes, but task {task.name!r} divides pairs of them; "
                "leave it at False"
            )
        self._pairs: Any = whole.for_task(task)

    def draw(self, stage: str, draw: Draw) -> Iterator[Data]:
        generator = torch.Generator().manual_seed(0) if draw.generator is None else draw.generator
        draw = replace(draw, generator=generator)
        if self.sampler.default_batch_size is None:
            return self._holding(stage, draw)
        draw = replace(draw, batch_size=draw.batch_size or self.sampler.default_batch_size)
        return (self._around(stage, part, draw) for part in self._pairs.parts(stage, draw))

    def _around(self, stage: str, judged: Judged, draw: Draw) -> Data:
        roots, ends = judged["edge_label_index"].unique(return_inverse=True)
        graph, sampler = self.task.stage_graph(stage), self.sampler_of(draw)
        (batch,) = sampler.batches(graph, roots, roots.numel(), generator=draw.generator)
        batch.update(judged | {"edge_label_index": batch.root_index[ends]})
        return batch

    def _holding(self, stage: str, draw: Draw) -> Iterator[Data]:
        graph = self.task.stage_graph(stage)
        (judged,) = self._pairs.parts(stage, replace(draw, batch_size=None, shard=(0, 1)))
        pairs = judged.pop("edge_label_index")
        source = subgraph_source(graph)
        sampler = self.sampler_of(draw)
        for batch in sampler.batches(graph, None, draw.batch_size, draw.shuffle, draw.generator, draw.shard):
            row_of = torch.full((graph.num_nodes,), -1)
            row_of[batch.n_id] = torch.arange(batch.num_nodes)
            held = (row_of[pairs] >= 0).all(0)
            probability = sampler.pair_probability(source, *pairs[:, held].numpy())
            batch.edge_label_index = row_of[pairs[:, held]]
            batch.update({key: value[held] for key, value in judged.items()})
            batch.pair_weight = (1 / (torch.from_numpy(probability) * held.numel())).to(torch.get_default_dtype())
            del batch.node_weight
            yield batch
