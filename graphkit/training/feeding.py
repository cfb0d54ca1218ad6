"""The batches of a run on their way to the device, drawn while those before them are used."""

from __future__ import annotations

import contextvars
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any, TypeVar

import numpy as np
import torch
from torch_geometric.data import Data

from graphkit.tasks import Task
from graphkit.training.engine import Engine
from graphkit.training.lifecycle import lent

T = TypeVar("T")
_END: Any = object()
ON_GPU = 2  # batches drawn ahead by default


class Feed:
    """Where a run gets its batches from.

    Args:
        task: The task.
        engine: What brings batches to the device.
        batch_size: The trainer's.
        prefetch: How many batches a thread draws ahead; ``None``: on a GPU two, where that changes nothing.
    """

    def __init__(self, task: Task, engine: Engine, batch_size: int | None, prefetch: int | None) -> None:
        self.task, self.engine, self.batch_size = task, engine, batch_size
        self._is_asked_for = prefetch is not None
        self._ahead = (ON_GPU if engine.is_gpu else 0) if prefetch is None else prefetch
        self._is_checked = False
        self._kept: dict[str, list[Data]] = {}

    def training(self, seed: int, epoch: int) -> Iterator[Data]:
        """The training batches of an epoch, whose order and draws depend on the seed alone."""
        if not self.task.resamples:
            yield from self.evaluation("train")
            return
        order = torch.Generator().manual_seed(seed)
        shuffle, shard = not self.task.loader.ordered, self.engine.shard
        batches = self._on_device(
            lambda: self.task.batches("train", self.batch_size, shuffle, generator=order, shard=shard, epoch=epoch)
        )
        yield from lent(batches, self.task.name) if self.task.loader.one_graph else batches

    def evaluation(self, stage: str) -> Iterable[Data]:
        """The batches of a stage in their order, which are kept where they fit into memory."""
        if not self.task.caches_evaluation:
            return self._on_device(lambda: self.task.batches(stage, self.batch_size))
        if stage not in self._kept:
            self._kept[stage] = list(map(self.engine.to_device, self.task.batches(stage, self.batch_size)))
        return lent(self._kept[stage], self.task.name)

    def _on_device(self, draw: Callable[[], Iterable[Data]]) -> Iterator[Data]:
        batches = iter(draw()) if self._is_checked or not self._ahead else self._checked(draw)
        if self._ahead:
            pin = self.engine.is_gpu and not self.task.loader.one_graph
            batches = ahead(map(self.engine.pin, batches) if pin else batches, self._ahead)
        return map(self.engine.to_device, batches)

    def _checked(self, draw: Callable[[], Iterable[Data]]) -> Iterator[Data]:
        """The batches, of which the first shows whether they draw from generators that training reads meanwhile."""
        before = _global_generators()
        batches = iter(draw())
        first = next(batches, _END)
        self._is_checked = True
        if _global_generators() != before:
            if self._is_asked_for:
                raise ValueError(
                    f"Trainer: prefetch={self._ahead}, but batches of task {self.task.name!r} draw from the generators "
                    "that training reads at the same time (as random transforms do), so no run could be repeated; use "
                    "prefetch=0, or transform before sampling"
                )
            self._ahead = 0
        return batches if first is _END else chain([first], batches)


def host_generators() -> tuple[Any, ...]:
    """The states of Python's and NumPy's generators."""
    of_numpy: Any = np.random.get_state(legacy=True)
    return random.getstate(), bytes(of_numpy[1]), of_numpy[2:]


def _global_generators() -> tuple[Any, ...]:
    """The states of Python's, NumPy's and torch's generators."""
    return *host_generators(), bytes(torch.get_rng_state().numpy())


def ahead(items: Iterator[T], count: int) -> Iterator[T]:
    """The items, of which a thread takes up to so many before they are asked for.

    An error comes where the item would have come. Whoever stops early waits for no more than the item that is being
    taken.
    """
    context = contextvars.copy_context()
    with ThreadPoolExecutor(1, thread_name_prefix="graphkit-prefetch") as pool:

        def take() -> T:
            return context.run(next, items, _END)

        waiting = deque(pool.submit(take) for _ in range(count))
        try:
            while (item := waiting.popleft().result()) is not _END:
                waiting.append(pool.submit(take))
                yield item
        finally:
            for future in waiting:
                future.cancel()
