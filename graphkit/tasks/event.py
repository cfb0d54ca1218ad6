"""Streams of events between nodes: what comes next, from what has been.

How it is built. A *stream* is a list of events (source, destination, time, message) in the order of time; those of the
same time keep the order in which they were given. A *batch* (:class:`~graphkit.tasks.loaders.events.EventBatches`) has
what is judged (``edge_label_index``, ``edge_label_time``, ``edge_label``) and the events themselves (``src``, ``dst``,
``t``, ``msg``, under the names of PyG's ``TemporalData``, and their numbers ``event_id``). A model answers from what it
has kept of earlier batches, and writes the events down after that
(:class:`~graphkit.models.temporal.EventModel`).

The contract of state is three sentences. State lives in buffers, so it moves, is saved, and stands in checkpoints and
among the best weights; a module whose buffers change their size derives from
:class:`~graphkit.nn.temporal.GrowingState`. ``reset_state()`` empties it: the trainer calls it on every module that has
such a method before the first training batch of every epoch. An evaluation begins with the state that training has
left, and leaves no trace; the batches of the test begin with the events of validation, of which nothing is judged.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, Self

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from graphkit.core.constraints import Count, Seed
from graphkit.core.hashing import hash_config, hash_data, hash_tensors
from graphkit.core.text import in_number
from graphkit.ops import sddmm
from graphkit.samplers import Sampler
from graphkit.tasks.base import Task
from graphkit.tasks.batching import Batching, FixedSize
from graphkit.tasks.checks import as_graphs, check_graphs, check_names, check_split
from graphkit.tasks.event_negatives import Destinations, Kind, given_negatives
from graphkit.tasks.event_stream import as_data, in_time, times_of, warn_of_oddities
from graphkit.tasks.from_events import FromEvents
from graphkit.tasks.loaders import Loader
from graphkit.tasks.loaders.events import EventBatches, event_pairs
from graphkit.tasks.split import STAGES, Split
from graphkit.tasks.targets import Link, Target, is_kind
from graphkit.transforms.base import apply


class EventTask(FromEvents):
    r"""Predict which pairs of nodes have the next events, of a stream in the order of time.

    Training, validation and test follow each other in time, and so do batches, which are never shuffled. Events of a
    batch are predicted from what was before it, and each is told from pairs of its source with other destinations, its
    *negatives*. Events of the same time keep their order; a part of the split never ends between them, a batch may.

    A batch has the pairs that are judged, ``edge_label_index`` ``[2, num_pairs]``, each event before its negatives, the
    time of each, ``edge_label_time``, and ``edge_label`` ``[num_pairs]``, 1 for an event; and the events themselves,
    which a model may write down after it has answered: ``src``, ``dst`` and ``t`` ``[n]``, ``msg`` ``[n, channels]``
    and their numbers in the stream ``event_id``; and ``x`` of all nodes if they have features. Times stay integers, or
    ``float64``. A model returns a score per pair, ``[num_pairs, 1]``, or an embedding per node, whose inner products
    are the scores.

    With another ``target`` than ``"link"``, labels of the events are judged in place of what happens next: each from
    what was before its batch, at its time, as the label of its pair, or of its source, which ``edge_label_index`` then
    names twice. A model returns ``[num_pairs, num_outputs]``, or outputs per node ``[num_nodes, num_outputs]``, of
    which the mean of both ends counts. Events without a label are past for others, and not judged.

    Args:
        events: PyG's ``TemporalData``; or a ``Data`` with ``edge_index`` ``[2, num_events]``, ``edge_time``
            ``[num_events]`` (numbers, or dates) and, if there are such, messages ``edge_attr`` ``[num_events,
            channels]``, labels ``edge_label`` ``[num_events]`` or ``[num_events, num_outputs]`` (``y`` of
            ``TemporalData``), -1 for a class or NaN where not known, which are read if ``target`` is of labels, and
            features of nodes ``x``, which must be known from the beginning.
        split: The events of each part, by their place in ``events``, those of a later part after those of an earlier
            one (default: ``None``, ``Split.by_time(time, 0.15, 0.15)``).
        metric: The score: ``"average_precision"``, ``"roc_auc"``, ``"mrr"``, ``"hits@10"``, ... (default: ``None``,
            ``"average_precision"`` of links and that of the target of labels).
        negatives: Of which kind the negatives of validation and test are, drawn once: ``"random"``, any destination so
            far; ``"historical"``, one with which the source has had an event in training; ``"inductive"``, one with
            which it has events in validation (or up to the end of the test), but none in training. None is a
            destination that the source has at that very time, and where a source has no partner of this kind, a random
            destination serves. Or the destinations themselves: ``{"val": [n, k], "test": [n, k]}`` (default:
            ``"random"``).
        num_negatives: How many destinations each training event is told from; they are drawn anew in every epoch, from
            those of training (default: 1).
        eval_negatives: How many in validation and test (default: 1).
        judged: Which events of validation and test count: ``"all"``, or ``"inductive"``, those with a node that has
            none in training; a model sees them all (default: ``"all"``).
        snapshot: For models without memory: how many events before a batch are the graph that it brings along as
            ``edge_index``, ``edge_time`` and ``edge_attr`` (default: ``None``, no graph).
        batching: What divides events into batches (default: ``None``, :class:`~graphkit.tasks.FixedSize`, 200 at a time
            or as many as the trainer's ``batch_size`` says).
        seed: The seed of the negatives of validation and test (default: 0).
        target: What is judged: ``"link"``, which events come next, or the kind of their labels, such as ``"binary"``
            or ``"multiclass"`` (default: ``"link"``).
        labels_of: Whose the labels are: the ``"event"``'s, or its ``"source"``'s at that time (default: ``"event"``).

    Raises:
        TypeError: If ids are no integers, or times are strings.
        IndexError: If an event names a node that does not exist.
        ValueError: If a time or all labels are missing, the parts do not follow each other, nothing is judged in one,
            labels should have negatives, or anything else does not fit; the message names the value, the place and the
            remedy.

    Attributes:
        src: The sources of all events ``[num_events]``, in the order of time.
        dst: Their destinations.
        t: Their times, of ``int64`` or ``float64``.
        msg: Their messages ``[num_events, channels]``, of 0 channels if there are none.
        negatives: The destinations that the events of ``"val"`` and ``"test"`` are told from ``[n, eval_negatives]``;
            empty if labels are judged.
        labels: The labels of all events, in the order of time; empty if links are judged.

    Example:
        >>> number = torch.arange(40)
        >>> ring = Data(edge_index=torch.stack([number % 5, (number + 1) % 5]), edge_time=number, num_nodes=5)
        >>> EventTask("ring", ring).split.sizes
        (28, 6, 6)
    """

    kind = "event"
    split: Split

    def __init__(
        self,
        name: str,
        events: Any,
        split: Split | None = None,
        metric: str | type | Any = None,
        negatives: Kind | Mapping[str, Any] = "random",
        num_negatives: Count = 1,
        eval_negatives: Count = 1,
        judged: Literal["all", "inductive"] = "all",
        snapshot: Count | None = None,
        batching: Batching | None = None,
        seed: Seed = 0,
        loss: Any = None,
        pos_weight: Any = None,
        target: str | type[Target] | Target = "link",
        labels_of: Literal["event", "source"] = "event",
        num_outputs: Count | None = None,
        allow_missing_classes: bool = False,
        class_weight: Any = None,
    ) -> None:
        self._links, self.labels_of = is_kind(target, Link), labels_of
        metric = "average_precision" if metric is None and self._links else metric
        outputs: dict[str, Any] = {"num_outputs": num_outputs, "allow_missing_classes": allow_missing_classes}
        super().__init__(name, target, metric, **outputs, loss=loss, class_weight=class_weight, pos_weight=pos_weight)
        drawn = {
            "negatives": negatives != "random",
            "num_negatives, eval_negatives": num_negatives * eval_negatives > 1,
        }
        unread = {"labels_of": labels_of != "event"} if self._links else drawn
        for argument in (argument for argument, is_told in unread.items() if is_told):
            raise ValueError(f"EventTask: {argument} is not read, as target={self.target.name!r}; leave it out")
        self.num_negatives, self.eval_negatives = num_negatives, eval_negatives
        self.judged_part, self.snapshot, self.seed = judged, snapshot, seed
        self.batching = FixedSize() if batching is None else batching
        self._negatives = negatives
        self.set_data([as_data(events, f"task {name!r}")], split)

    @property
    def judges_links(self) -> bool:
        return self._links

    def make_loader(self) -> Loader:
        return EventBatches(self)

    def make_subgraph_loader(self, sampler: Sampler) -> Loader:
        return Task.make_subgraph_loader(self, sampler)

    # The stream --------------------------------------------------------------------------------------------------

    def set_data(self, graphs: Sequence[Data], split: Split | None) -> None:
        place = f"task {self.name!r}"
        (data,) = as_graphs(graphs, place)
        if self._links and "edge_label" in data:
            data = copy.copy(data)
            del data["edge_label"]
        check_graphs([data], place)
        check_names([data], place)
        time = times_of(data.get("edge_time"), data.num_edges, place)
        split = Split.by_time(time, 0.15, 0.15) if split is None else split
        check_split(split, time.numel(), self.kind, place)
        data, split = in_time(data, time, split, place)
        warn_of_oddities(data, place)
        self.graphs, self.split = [data], split
        self.src, self.dst = data.edge_index
        self.t = data.edge_time
        self.msg = data.edge_attr if data.edge_attr is not None else torch.empty(self.t.numel(), 0)
        self.labels = torch.empty(0)
        self.negatives: dict[str, Tensor] = {}
        if self._links:
            self._take_negatives(place)
        else:
            self._take_labels(data.get("edge_label"), place)

    def _take_negatives(self, place: str) -> None:
        self.fit_target(torch.tensor([1.0, 0.0]).repeat(8))
        told, split = self._negatives, self.split
        self._destinations = Destinations(self.src, self.dst, self.t, split, self.num_nodes, place)
        if isinstance(told, Mapping):
            self.negatives = given_negatives(told, split, self.num_nodes, place)
        else:
            self.negatives = self._destinations.fixed(told, self.eval_negatives, self.seed)
        self._judged_ids("val", place), self._judged_ids("test", place)

    def _take_labels(self, labels: Tensor | None, place: str) -> None:
        if labels is None:
            raise ValueError(f"{place}: the events have no labels; set data.edge_label [num_events], or target='link'")
        missing = labels == -1 if self.target.hidden == -1 else torch.isnan(labels)
        self._is_known = ~missing.view(labels.size(0), -1).all(1)
        train, val, test = (self._judged_ids(stage, place) for stage in STAGES)
        rows = Split(self.split.name, train, val, test)
        self.labels = self.target.check(labels, rows, "event", place)
        self.fit_target(self.labels[rows.train])

    @cached_property
    def inductive_nodes(self) -> Tensor:
        """The nodes with events in validation or test and none in training, sorted."""
        later = torch.cat([self.split.val, self.split.test])
        nodes = torch.cat([self.src[later], self.dst[later]]).unique()
        return nodes[self._is_new[nodes]]

    @cached_property
    def _is_new(self) -> Tensor:
        new = torch.ones(self.num_nodes, dtype=torch.bool)
        new[self.src[self.split.train]] = new[self.dst[self.split.train]] = False
        return new

    def _counts(self, stage: str, ids: Tensor) -> Tensor:
        """Which events of a stage are judged."""
        counts = torch.ones(ids.numel(), dtype=torch.bool) if self._links else self._is_known[ids]
        if stage == "train" or self.judged_part == "all":
            return counts
        new, source = self._is_new, self.labels_of == "source"
        return counts & (new[self.src[ids]] | (new[self.dst[ids]] & (not source)))

    def _judged_ids(self, stage: str, place: str) -> Tensor:
        ids = getattr(self.split, stage)
        judged = ids[self._counts(stage, ids)]
        if not judged.numel():
            inductive = self._links or self._is_known[ids].any()
            what, remedy = ("has a node that is new", "judged='all', or ") if inductive else ("has a label", "")
            where = f"of the {stage} part of split {self.split.name!r}"
            raise ValueError(f"{place}: no event {where} {what}; use {remedy}another split")
        return judged

    @cached_property
    def mean_pause(self) -> float:
        """The mean time between two events of a node in training; 1 if no node has two, or all at once."""
        ids = self.split.train
        node, order = torch.stack([self.src[ids], self.dst[ids]], 1).flatten().sort(stable=True)
        pauses = self.t[ids].repeat_interleave(2)[order].diff()[node[1:] == node[:-1]].double()
        return float(pauses.mean()) or 1.0 if pauses.numel() else 1.0

    def edges_between(self, first: int, end: int) -> dict[str, Tensor]:
        """The events from one number to another as the edges of a graph."""
        edges = {"edge_index": torch.stack([self.src[first:end], self.dst[first:end]]), "edge_time": self.t[first:end]}
        return edges | ({"edge_attr": self.msg[first:end]} if self.msg.size(1) else {})

    def stage_graph(self, stage: str) -> Data:
        """The events of the parts before a stage as a graph."""
        before = {"train": None, "val": self.split.train, "test": self.split.val}[stage]
        data = Data(x=self.graphs[0].x, num_nodes=self.num_nodes)
        return data.update(self.edges_between(0, 0 if before is None else int(before.max()) + 1))

    # What is judged ----------------------------------------------------------------------------------------------

    def judged_events(self, stage: str, at: Tensor, ids: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """The pairs that a batch is judged by, with their times and labels.

        Args:
            stage: ``"train"``, ``"val"`` or ``"test"``.
            at: The events of the batch, by their place in the stage.
            ids: By their place in the stream.
            generator: What draws the negatives of training.
        """
        if not self._links:
            ids = ids[self._counts(stage, ids)]
            ends = (self.src[ids], self.dst[ids] if self.labels_of == "event" else self.src[ids])
            return {
                "edge_label_index": torch.stack(ends),
                "edge_label_time": self.t[ids],
                "edge_label": self.labels[ids],
            }
        if stage == "train":
            negatives = self._destinations.for_training(ids, self.num_negatives, generator)
        else:
            counts = self._counts(stage, ids)
            ids, negatives = ids[counts], self.negatives[stage][at[counts]]
        pairs = event_pairs(self.src[ids], self.dst[ids], negatives)
        return pairs | {"edge_label_time": self.t[ids].repeat_interleave(1 + negatives.size(1))}

    def select(self, out: Tensor, batch: Data, stage: str) -> tuple[Tensor, Tensor]:
        if not self._links:
            return self.answers(out, batch), batch.edge_label
        shape, count = list(out.shape) if isinstance(out, Tensor) else type(out).__name__, batch.edge_label.numel()
        if shape == [count, 1]:
            return out, batch.edge_label
        if not isinstance(out, Tensor) or out.dim() != 2 or out.size(0) != self.num_nodes or out.size(1) < 2:
            raise ValueError(
                f"task {self.name!r} needs an embedding per node, [{self.num_nodes}, width] with a width above 1, or a "
                f"score per pair, [{count}, 1]; the model returned {shape}"
            )
        return sddmm(batch.edge_label_index, out, out).unsqueeze(1), batch.edge_label

    # Changes and descriptions ------------------------------------------------------------------------------------

    def transform(self, transform: BaseTransform, jobs: int | None = None) -> Self:
        """A new task with the features of nodes that a transform makes of the graph of all training events.

        Args:
            transform: Any PyG transform that sets ``x``.
            jobs: Not used, as there is one graph (default: ``None``).

        Raises:
            ValueError: If it changes nodes or edges, or makes anything but ``x``.
        """
        known = self.stage_graph("val")
        (made,) = apply(transform, [known])
        changed = [key for key in sorted(made.keys()) if key != "x" and made[key] is not known.get(key)]
        if changed and not all(key in known and torch.equal(made[key], known[key]) for key in changed):
            raise ValueError(
                f"task {self.name!r}: {transform} makes {changed[0]}, but the batches of events have nothing "
                "of nodes but x; apply it to the events before the task is made"
            )
        data = copy.copy(self.graphs[0])
        data.x = made.x
        task = self._changed([data], self.split)
        task.applied = (*self.applied, transform)
        return task

    @cached_property
    def content_hash(self) -> str:
        judged = hash_tensors(*self.negatives.values()) if self._links else hash_tensors(self.labels) + self.labels_of
        settings = [self.num_negatives, self.judged_part, self.snapshot, repr(self.batching)]
        return hash_config([judged, *settings, *(hash_data(graph) for graph in self.graphs)])

    def judged_items(self, stage: str) -> str:
        return in_number(self._judged_ids(stage, f"task {self.name!r}").numel(), self.kind)

    def names(self, stage: str | None) -> Any:
        from graphkit.tasks.tables import names_of_pairs

        if stage is None:
            return None
        pairs = [batch.edge_label_index for batch in self.batches(stage)]
        return names_of_pairs(self.ids, torch.cat(pairs, 1), ("source", "target"))

    def _facts(self) -> dict[str, str]:
        features = {"features": f"{self.msg.size(1)} channels of messages, {self.num_features} features"}
        counts = f"{self.inductive_nodes.numel()} of {self.num_nodes} nodes new after training"
        return {**super()._facts(), **features, "new nodes": counts}

    def _describe_graphs(self) -> str:
        repeated = self.t.numel() - torch.stack([self.src, self.dst, self.t.unique(return_inverse=True)[1]]).unique(
            dim=1
        ).size(1)
        return f"{self.num_nodes} nodes, {self.t.numel()} events{f' ({repeated} repeated)' if repeated else ''}"

    def _describe_target(self) -> str:
        if not self._links:
            return f"{super()._describe_target()}, a label of each {self.labels_of}, {self.judged_part} that are known"
        kind = "given" if isinstance(self._negatives, Mapping) else self._negatives
        return f"{self.judged_part} next events against {self.negatives['test'].size(1)} {kind} negatives each"
