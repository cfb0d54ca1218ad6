"""The contract of a loader: where a task's batches come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from graphkit.core.caching import Caching


@dataclass(frozen=True)
class Draw:
    """How the batches of one pass are drawn; see :meth:`graphkit.Task.batches`.

    Attributes:
        batch_size: The number of examples per batch (``None``: the loader's).
        shuffle: Whether to draw an order.
        generator: The source of randomness (``None``: torch's).
        shard: This process's rank and the number of processes.
        epoch: The epoch of a phase of training, counted from 1 (``None``: outside of training).
    """

    batch_size: int | None = None
    shuffle: bool = False
    generator: torch.Generator | None = None
    shard: tuple[int, int] = (0, 1)
    epoch: int | None = None


class Loader(Caching, ABC):
    r"""Turns the graphs and labels of a task into the batches of a stage.

    A trainer knows nothing of a task's kind: it asks for batches, once or in every epoch as the attributes say.

    Args:
        task: The task.

    Attributes:
        resamples: Whether training batches differ from epoch to epoch.
        ordered: Whether batches come in an order of the data's own, such as events in time; they are never shuffled.
        caches_evaluation: Whether the batches of validation and test fit into memory.
        one_graph: Whether all batches of a stage hold the same graph, so that what is computed from it is cached.
        sampler: What draws the subgraphs, if any.
        training_sampler: What draws those of training in its place, if that is another.
        transforms: What is applied to each batch.
    """

    resamples: bool = False
    ordered: bool = False
    caches_evaluation: bool = True
    one_graph: bool = False
    sampler: Any = None
    training_sampler: Any = None
    transforms: Sequence[BaseTransform] = ()

    def __init__(self, task: Any) -> None:
        self.task: Any = task

    def for_task(self, task: Any) -> Loader:
        """The same loader for a changed task; a loader with further settings passes them on."""
        return type(self)(task)

    @abstractmethod
    def batches(self, stage: str, draw: Draw) -> Iterable[Data]:
        """The batches of ``"train"``, ``"val"`` or ``"test"``."""

    def labels(self, stage: str) -> Tensor | None:
        """The labels of all that is judged at a stage, in the order of batches; ``None`` where the task knows none."""
        labels = [self.task.target_labels(batch, stage) for batch in self.batches(stage, Draw())]
        return None if any(part is None for part in labels) else torch.cat(labels)

    def check_processes(self, count: int) -> None:
        """Refuse to share training batches out to so many processes (default: never)."""

    def example(self) -> Data:
        """A batch to see what batches have."""
        return next(iter(self.task.batches("val")))

    def unlabelled(self, graphs: Sequence[Data], batch_size: int | None) -> Iterable[Data]:
        """Test batches of other graphs, all of which is judged and has no label (default: there are none).

        Raises:
            TypeError: If batches of this kind are made from more than graphs.
            ValueError: If a graph names no pairs where pairs are judged.
        """
        raise TypeError(f"task {self.task.name!r} predicts no graphs without labels; make a task of them")

    def hidden_labels(self, count: int) -> Tensor:
        """So many labels that are not known."""
        labels = self.task.labels
        return labels.new_full((count, *labels.shape[1:]), self.task.target.hidden)

    def transformed(self, transform: BaseTransform) -> Loader | None:
        """A loader that applies the transform to its batches; ``None`` leaves it to the task's graphs (the default)."""
        return None

    def describe(self) -> str:
        """What a task's description says of it (default: nothing)."""
        return ""
