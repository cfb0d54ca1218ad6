"""Labels of edges."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.hashing import hash_config, hash_data, hash_tensors
from graphkit.core.signatures import takes_arguments_of
from graphkit.tasks.base import Task
from graphkit.tasks.checks import as_graphs, as_labels, check_graphs, check_names, check_split
from graphkit.tasks.from_tables import FromTables
from graphkit.tasks.loaders import EdgePairs, Loader
from graphkit.tasks.pair_task import PairTask
from graphkit.tasks.reverses import edges_once, reversed_share
from graphkit.tasks.split import Split, part_of, without_masks
from graphkit.tasks.targets import Target
from graphkit.tasks.targets.base import without_label

if TYPE_CHECKING:
    from graphkit.tasks.tables import Made


class EdgeTask(FromTables, PairTask):
    r"""Predict a label per edge of one graph.

    All edges carry messages at all stages, as they are known; what is not known are labels. A batch is the graph, or a
    subgraph around the edges that are judged (:meth:`Task.sampled`), with these edges ``edge_label_index``
    ``[2, n]``, their labels ``edge_label`` ``[n]`` or ``[n, num_outputs]``, and their features ``edge_label_attr``
    ``[n, num_edge_features]`` if edges have any: labels of other parts of the split are in no batch. An undirected edge
    is judged once. A model returns either

    - outputs :math:`z_v` per node, ``[num_nodes, num_outputs]``; those of an edge are :math:`(z_u + z_v) / 2`, so
      every model for nodes works, and cannot tell an edge from its reverse; or
    - outputs per edge, ``[n, num_outputs]``, as :class:`~graphkit.models.LinkPredictor` does, from the states of both
      ends and the features of the edge.

    Args:
        data: The graph, with ``edge_index`` ``[2, num_edges]`` and labels ``edge_label`` ``[num_edges]`` or
            ``[num_edges, num_outputs]``, -1 or NaN where not known; and, for models that read them, ``x``,
            ``edge_weight`` and ``edge_attr``. Labels of nodes ``y`` and masks are left out.
        split: The edges to train on, to validate on and to test on, by their column in ``edge_index``; see
            :meth:`Split.random_edges`, :meth:`Split.by_time` and :meth:`Split.from_masks`.
        target: The kind of label (default: ``"multiclass"``); see :class:`Task`.
        num_outputs: The number of classes or label columns (default: as in ``edge_label``).
        undirected: Whether ``edge_index`` holds an edge in both directions, which then have the same label and are in
            the same part of the split (default: ``True``).

    Raises:
        TypeError: If ``edge_index`` is not integer or ``x`` not floating point.
        IndexError: If ``edge_index`` names a node that does not exist.
        ValueError: If anything else does not fit; the message names the value, the place and the remedy.

    Example:
        >>> from torch_geometric.datasets import KarateClub
        >>> data = KarateClub()[0]
        >>> data.edge_label = (data.y[data.edge_index[0]] == data.y[data.edge_index[1]]).long()
        >>> split = Split.random_edges(data.edge_index, stratify=data.edge_label)
        >>> EdgeTask("same club", data, split, "binary").split.sizes
        (92, 32, 32)
    """

    kind = "edge"
    labelled = "edges"
    split: Split
    edge_features: Tensor | None

    @takes_arguments_of(Task)
    def __init__(
        self,
        name: str,
        data: Any,
        split: Any,
        target: str | type[Target] | Target = "multiclass",
        metric: str | type | Any = None,
        *,
        undirected: bool = True,
        **of_task: Any,
    ) -> None:
        super().__init__(name, target, metric, **of_task)
        self.undirected = undirected
        self.set_data([data], split)

    @classmethod
    def arguments(
        cls, made: Made, y: Tensor, kind: Any, split: Any, shares: Tensor, seed: int, undirected: bool
    ) -> dict[str, Any]:
        data, rows = made.data, made.rows
        data.edge_label = y[rows]
        if split is None:
            split = Split.random_edges(data.edge_index, seed=seed, stratify=shares[rows], undirected=undirected)
        else:
            train, val, test = made.masks(split)
            split = Split.from_masks(split.name, train, val, test)
        return {"data": data, "split": split, "target": kind, "undirected": undirected}

    def make_loader(self) -> Loader:
        return EdgePairs(self)

    def set_data(self, graphs: Sequence[Data], split: Split) -> None:
        place = f"task {self.name!r}"
        (data,) = as_graphs(graphs, place)
        check_graphs([data], place)
        check_names([data], place)
        labels = data.get("edge_label")
        if labels is None:
            raise ValueError(f"{place}: the edges have no labels; set data.edge_label [num_edges]")
        labels, count = as_labels(labels, place, "edge_label"), data.num_edges
        if labels.dim() == 0 or labels.size(0) != count:
            raise ValueError(f"{place}: there are {labels.size(0) if labels.dim() else 'no'} labels for {count} edges")
        self.edges, self.edge_features = data.edge_index, data.get("edge_attr")
        if self.edge_features is not None:
            self.edge_features = self.edge_features.view(count, -1)
        plain = without_masks(data)
        for key in ("y", "edge_label"):
            plain.pop(key, None)
        self.graphs, self.labels = [plain], labels
        self._divide(split)

    def _divide(self, split: Split) -> None:
        """Take a split, and check labels by it."""
        place, count = f"task {self.name!r}", self.edges.size(1)
        check_split(split, count, self.kind, place)
        self.split, self.labels = split, self.target.check(self.labels, split, self.kind, place)
        self._judged = torch.ones(count, dtype=torch.bool)
        if self.undirected:
            once = edges_once(self.edges, part_of(split, count), self.labels, self.edge_features, place)
            self._judged = torch.zeros(count, dtype=torch.bool).index_fill(0, once, True)
        elif reversed_share(self.edges, split.test, split.train) > 0.5:
            warnings.warn(
                f"{place}: most test edges (a, b) stand in the train part of split {split.name!r} as (b, a), so a "
                "model may have seen the answer; if both are one edge, use undirected=True, with a split that has both "
                "in one part, as Split.random_edges makes",
                stacklevel=4,
            )
        self.fit_target(self.labels[self.judged_ids("train")])

    @property
    def judges_links(self) -> bool:
        return False

    @cached_property
    def content_hash(self) -> str:
        return hash_config([hash_tensors(self.labels, self.edges), *(hash_data(graph) for graph in self.graphs)])

    def stage_graph(self, stage: str) -> Data:
        return self.graphs[0]

    def judged_ids(self, stage: str | None) -> Tensor:
        """The columns of ``edge_index`` that are judged at a stage, in the order of the split (``None``: of all)."""
        ids = torch.arange(self._judged.numel()) if stage is None else getattr(self.split, stage)
        return ids[self._judged[ids]]

    def judged_edges(self, stage: str | None) -> dict[str, Tensor]:
        """What batches have of these edges; without a stage, no labels."""
        ids = self.judged_ids(stage)
        edges = {"edge_label_index": self.edges[:, ids]}
        if stage is not None:
            edges["edge_label"] = self.labels[ids]
        return edges if self.edge_features is None else edges | {"edge_label_attr": self.edge_features[ids]}

    def asked(self) -> list[Data]:
        graph = copy.copy(self.graphs[0])
        graph.update(self.judged_edges(None))
        return [graph]

    def unlabelled(self) -> Tensor:
        return without_label(self.labels[self.judged_ids(None)]).nonzero().view(-1)

    def names(self, stage: str | None) -> Any:
        return self.by_ids(self.edges[:, self.judged_ids(stage)], self.ids)

    def named(self, graph: Data, made: Made) -> tuple[Data, Any]:
        if made.features is not None:
            graph.edge_label_attr = made.features
        return super().named(graph, made)

    def select(self, out: Tensor, batch: Data, stage: str) -> tuple[Tensor, Tensor]:
        return self.answers(out, batch), batch.edge_label

    def with_split(self, split: Split) -> Self:
        task = self._copied()
        task._divide(split)
        return task.with_loader(self.loader)

    def _with_graphs(self, graphs: list[Data]) -> Self:
        check_graphs(graphs, f"task {self.name!r}")
        if graphs[0].num_nodes < self.num_nodes:
            raise ValueError(
                f"task {self.name!r}: a transform left {graphs[0].num_nodes} of {self.num_nodes} nodes, but edges are "
                "pairs of the old ones; apply it to the graph before the task is made"
            )
        task = self._copied()
        task.graphs = graphs
        return task.with_loader(self.loader)
