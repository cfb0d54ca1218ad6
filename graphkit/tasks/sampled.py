"""Labels of nodes of a graph that is too large to train on at once."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from graphkit.core.attributes import node_subgraph
from graphkit.core.validate import check_choice
from graphkit.samplers import Sampler
from graphkit.tasks.node import NodeTask
from graphkit.tasks.split import STAGES, Split

CHUNK = 8192  # nodes per chunk of a layer-wise evaluation
EXAMPLE = 32  # roots of the subgraph from which sizes are read


class SampledNodeTask(NodeTask):
    r"""A node task that trains on subgraphs; ``task.sampled(sampler)`` makes one.

    Training batches are those of the sampler, with the training nodes as roots. Validation and test are predicted as
    the sampler's ``evaluate`` says. The trainer's ``batch_size`` is the number of roots per batch, for samplers that
    grow subgraphs from roots.

    What is transformed before ``sampled`` is the whole graph; transforms that come after it, and the structure that a
    model wants precomputed, are applied to each subgraph (and to the whole graph where that is evaluated)::

        task.transform(features).sampled(sampler)   # features of the whole graph
        task.sampled(sampler).transform(features)   # features of each subgraph

    Batches of GraphSAINT carry ``node_weight``; their loss is the weighted sum over the batch's training nodes, whose
    expectation is the mean loss over all training nodes. As in batches of a whole graph, ``train_index``, ``val_index``
    and ``test_index`` are the nodes of each part of the split; those that count in the batch are ``root_index``.

    Args:
        task: The node task.
        sampler: The sampler.

    Raises:
        TypeError: If ``sampler`` is none.
        ValueError: If a sampled task is to be sampled again.

    Example:
        >>> import graphkit as gk
        >>> task = gk.load("karate").sampled(gk.samplers.NeighborSampler([5, 5]))
        >>> model = gk.models.GCN(task.num_features, 16, out_channels=task.num_outputs)
        >>> result = gk.Trainer(max_epochs=3, batch_size=2, progress=False).fit(model, task)
    """

    redraws = True
    keeps_batches = False

    def __init__(self, task: NodeTask, sampler: Sampler) -> None:
        if not isinstance(sampler, Sampler):
            raise TypeError(
                f"sampled needs a sampler such as gk.samplers.NeighborSampler([15, 10]), got {type(sampler).__name__}"
            )
        vars(self).update(vars(copy.copy(task)))
        self._whole, self.sampler, self._transforms = task, sampler, list[BaseTransform]()
        plain = copy.copy(task.data)
        for stage in STAGES:
            plain.pop(f"{stage}_mask", None)
        self._plain = plain
        self._plain.y = self._hidden(self.labels, self.split.test)

    @property
    def num_features(self) -> int:
        return self.example.x.size(1) if self._transforms else super().num_features

    @property
    def num_edge_features(self) -> int:
        return self.example.num_edge_features if self._transforms else super().num_edge_features

    @cached_property
    def example(self) -> Data:
        size = EXAMPLE if self.sampler.default_batch_size else None
        return next(iter(self._draw("train", size, True, torch.Generator().manual_seed(0))))

    def batches(
        self,
        stage: str,
        batch_size: int | None = None,
        shuffle: bool = False,
        generator: torch.Generator | None = None,
        shard: tuple[int, int] = (0, 1),
    ) -> Iterable[Data]:
        check_choice(stage, STAGES, "stage")
        if shuffle or self.sampler.evaluate == "sampled":
            return self._draw(stage, batch_size, shuffle, generator, shard)
        (batch,) = self._transformed_whole.batches(stage)
        if self.sampler.evaluate == "layerwise":
            batch = copy.copy(batch)
            batch.chunk_size = CHUNK
        return [batch]

    def _draw(self, stage: str, *arguments: Any) -> Iterable[Data]:
        data = self._plain
        if stage == "test":
            data = copy.copy(data)
            data.y = self.labels
        ids, parts = getattr(self.split, stage), self._parts
        if stage == "train" and self.sampler.inductive:
            data, ids = self._training_graph, self._training_ids[ids]
            parts = torch.zeros(data.num_nodes)

        def finished(batch: Data) -> Data:
            part = parts[batch.n_id]
            for transform in self._transforms:
                batch = transform(batch)
            for number, name in enumerate(STAGES):
                batch[f"{name}_index"] = (part == number).nonzero().view(-1)
            return batch

        return map(finished, self.sampler.batches(data, ids, *arguments))

    @cached_property
    def _parts(self) -> Tensor:
        """The part of the split that each node is in, -1 for none."""
        parts = torch.full((self.data.num_nodes,), -1, dtype=torch.int8)
        for number, name in enumerate(STAGES):
            parts[getattr(self.split, name)] = number
        return parts

    @cached_property
    def _training_graph(self) -> Data:
        return node_subgraph(self._plain, self.split.train.sort().values, f"task {self.name!r}")

    @cached_property
    def _training_ids(self) -> Tensor:
        """The number of each training node in the training graph."""
        train = self.split.train.sort().values
        ids = torch.full((self.data.num_nodes,), -1)
        ids[train] = torch.arange(train.numel())
        return ids

    @cached_property
    def _transformed_whole(self) -> NodeTask:
        task = self._whole
        for transform in self._transforms:
            task = cast(NodeTask, task.transform(transform))
        return task

    def select(self, out: Tensor, batch: Data, stage: str) -> tuple[Tensor, Tensor]:
        if "root_index" not in batch:
            return self._whole.select(out, batch, stage)
        roots = batch.root_index
        if "readout_mask" in batch and isinstance(out, Tensor) and out.size(0) == roots.numel():
            self._check_columns(out, roots.numel(), "")
            return out, batch.y[roots]  # the model has read the roots itself
        self._check_columns(out, batch.num_nodes, "a node task needs a model without readout")
        return out[roots], batch.y[roots]

    def loss(self, out: Tensor, batch: Data, stage: str = "train") -> Tensor:
        prediction, label = self.select(out, batch, stage)
        weight = batch.get("node_weight")
        return self.loss_of(prediction, label, None if weight is None else weight[batch.root_index])

    def transform(self, transform: BaseTransform, jobs: int | None = None) -> SampledNodeTask:
        """A new task that applies a transform to each subgraph."""
        task = self._copied(self._whole)
        task._transforms = [*self._transforms, transform]
        return task

    def with_split(self, split: Split) -> SampledNodeTask:
        return self._copied(self._whole.with_split(split))

    def sampled(self, sampler: Sampler) -> SampledNodeTask:
        raise ValueError(f"task {self.name!r} is sampled by {self.sampler} already")

    def _copied(self, whole: NodeTask) -> SampledNodeTask:
        task = SampledNodeTask(whole, self.sampler)
        task._transforms = list(self._transforms)
        return task

    def describe(self) -> str:
        transforms = "".join(f", {transform}" for transform in self._transforms)
        return f"{super().describe()}, {self.sampler}{transforms}"
