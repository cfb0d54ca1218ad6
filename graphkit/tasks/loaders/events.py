"""Events in the order of time, each batch to be predicted from what was before it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.tasks.batching import FixedSize
from graphkit.tasks.loaders.base import Draw, Loader
from graphkit.tasks.loaders.pairs import labelled_pairs, named_pairs


class EventBatches(Loader):
    """Consecutive events: what is judged, and the events themselves, which a model may write down afterwards.

    Before those of the test come the events of validation, of which nothing is judged.

    Args:
        task: The task.

    Raises:
        ValueError: (when asked for batches of another graph) if it names no pairs.
    """

    resamples = True
    ordered = True

    @property
    def caches_evaluation(self) -> bool:  # type: ignore[override]
        """Whether the batches of validation and test fit into memory: not if each has a graph of its own."""
        return self.task.snapshot is None

    def check_processes(self, count: int) -> None:
        if count > 1:
            raise ValueError(f"task {self.task.name!r}: events are seen one after the other; use devices=1")

    def batches(self, stage: str, draw: Draw) -> Iterator[Data]:
        self.check_processes(draw.shard[1])
        generator = torch.Generator().manual_seed(0) if draw.generator is None else draw.generator
        if stage == "test":
            yield from self._seen("val", draw.batch_size)
        for at, ids in self._parts(stage, draw.batch_size):
            yield self._with_pairs(ids, self.task.judged_events(stage, at, ids, generator))

    def unlabelled(self, graphs: Sequence[Data], batch_size: int | None) -> Iterator[Data]:
        for stage in ("val", "test"):
            yield from self._seen(stage, batch_size)
        task = self.task
        for graph in graphs:
            pairs, last = named_pairs(task.name, graph, task.num_nodes), task.t[-1:]
            time = graph.get("edge_label_time", last.expand(pairs.size(1)))
            label = self.hidden_labels(pairs.size(1))
            judged = {"edge_label_index": pairs, "edge_label_time": time, "edge_label": label}
            yield self._with_pairs(torch.empty(0, dtype=torch.long), judged)

    def _seen(self, stage: str, batch_size: int | None) -> Iterator[Data]:
        """The events of a stage, of which nothing is judged."""
        for _, ids in self._parts(stage, batch_size):
            nothing = {
                "edge_label_index": ids.new_empty(2, 0),
                "edge_label_time": self.task.t[:0],
                "edge_label": self.hidden_labels(0),
            }
            yield self._with_pairs(ids, nothing)

    def _parts(self, stage: str, batch_size: int | None) -> Iterable[tuple[Tensor, Tensor]]:
        """The events of each batch, by their place in the stage and in the stream."""
        task, ids = self.task, getattr(self.task.split, stage)
        batching = task.batching if stage == "train" or task.batching.consecutive else FixedSize()
        size = batch_size or batching.default_size
        for at in batching.batches(task.src[ids], task.dst[ids], task.t[ids], size):
            yield at, ids[at]

    def describe(self) -> str:
        batching = self.task.batching
        if batching.default_size is not None:
            return ""
        return f", {sum(1 for _ in self._parts('train', None))} training batches by {batching}"

    def _with_pairs(self, ids: Tensor, judged: dict[str, Tensor]) -> Data:
        task = self.task
        batch = Data(src=task.src[ids], dst=task.dst[ids], t=task.t[ids], msg=task.msg[ids], event_id=ids, **judged)
        batch.num_nodes = task.num_nodes
        if task.graphs[0].x is not None:
            batch.x = task.graphs[0].x
        if task.snapshot is not None:
            end = int(ids.min()) if ids.numel() else task.t.numel()
            batch.update(task.edges_between(max(0, end - task.snapshot), end))
        return batch


def event_pairs(src: Tensor, dst: Tensor, negatives: Tensor) -> dict[str, Tensor]:
    """Each event before the pairs of its source with its negative destinations ``[n, k]``, and their labels."""
    none = torch.stack([src.unsqueeze(1).expand_as(negatives), negatives])
    return labelled_pairs(torch.stack([src, dst]), none)
