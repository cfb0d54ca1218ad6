"""Interactions with negatives to train on, and all items of some users at a time to rank."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.attributes import with_kinds
from graphkit.tasks.loaders.base import Draw
from graphkit.tasks.loaders.pairs import Judged, PairLoader, divided

_ENTRIES = 1 << 22  # of a table of scores, of which each batch has a part


class OnePass:
    """The outputs that the batches of one pass share, which hold the same graph."""

    def __init__(self) -> None:
        self._out: Any = None

    def __call__(self, make: Callable[[], Any]) -> Any:
        """What ``make`` gave when it was first called."""
        if self._out is None:
            self._out = make()
        return self._out


class Rankings(PairLoader):
    """Batches of interactions, each in a row with its negatives; validation and test rank all items for some users.

    Batches of an evaluation have the rows of labels ``edge_label`` ``[n, num_items]`` for users ``user_index`` ``[n]``,
    what they have ``seen`` ``[2, m]``, as rows and items, and ``outputs``, which keeps what the model makes of the
    graph.

    Args:
        task: The task.

    Raises:
        ValueError: (when asked for batches of other graphs) if one names no pairs and has other nodes.
    """

    caches_evaluation = False

    def batches(self, stage: str, draw: Draw) -> Iterable[Data]:
        if stage == "train":
            return super().batches(stage, draw)
        users = self.task.judged_users(stage)
        return self._ranked(self.task.stage_graph(stage), users, self.task.chosen(stage))

    def unlabelled(self, graphs: Sequence[Data], batch_size: int | None) -> Iterator[Data]:
        """Batches that rank all items for all users, or that have the pairs which a graph names."""
        for graph in graphs:
            if "edge_label_index" in graph:
                yield from super().unlabelled([graph], batch_size)
            elif graph.num_nodes != self.task.num_nodes:
                raise ValueError(
                    f"task {self.task.name!r} ranks the items of its own graph; of other graphs name pairs of nodes, "
                    "data.edge_label_index [2, num_pairs]"
                )
            else:
                yield from self._ranked(graph, torch.arange(self.task.num_users), torch.empty(2, 0, dtype=torch.long))

    def _ranked(self, graph: Data, users: Tensor, chosen: Tensor) -> Iterator[Data]:
        outputs, size = OnePass(), max(1, _ENTRIES // self.task.num_items)
        parts = zip(
            users.split(size), self._rows(chosen, users, size), self._rows(self.task.chosen("train"), users, size)
        )
        for some, wanted, seen in parts:
            label = torch.zeros(some.numel(), self.task.num_items, dtype=torch.bool)
            label[tuple(wanted)] = True
            batch = self._with(graph, {"user_index": some, "edge_label": label, "seen": seen})
            batch.outputs = outputs
            yield from with_kinds([batch], edge_label="pair", seen="pair")  # whose names or rows may tell edges

    def _rows(self, pairs: Tensor, users: Tensor, size: int) -> tuple[Tensor, ...]:
        """The pairs of every ``size`` users, with the number of their row among these for the user."""
        row = torch.full((self.task.num_users,), -1).scatter_(0, users, torch.arange(users.numel()))[pairs[0]]
        rows = torch.stack([row, pairs[1]])[:, row >= 0]
        rows = rows[:, rows[0].argsort(stable=True)]
        part = rows[0].div(size, rounding_mode="floor")
        rows[0] -= part * size
        return rows.split(part.bincount(minlength=len(users.split(size))).tolist(), dim=1)

    def whole(self, stage: str, draw: Draw) -> Judged:
        pairs = self.task.chosen("train")
        return self._rows_of_candidates(pairs, self.task.draw_negatives(pairs[0], draw.generator))

    def parts(self, stage: str, draw: Draw) -> Iterator[Judged]:
        generator = torch.Generator().manual_seed(0) if draw.generator is None else draw.generator
        pairs = self.task.chosen("train")
        negatives = self.task.draw_negatives(pairs[0], generator)
        for (ids,) in divided((pairs.size(1),), replace(draw, generator=generator)):
            yield self._rows_of_candidates(pairs[:, ids], negatives[ids])

    def _rows_of_candidates(self, pairs: Tensor, negatives: Tensor) -> Judged:
        items = torch.cat([pairs[1, :, None], negatives], dim=1)
        label = torch.zeros(items.shape)
        label[:, 0] = 1
        ends = torch.stack([pairs[0, :, None].expand_as(items), items + self.task.num_users])
        return {"edge_label_index": ends.flatten(1), "edge_label": label}
