"""Labels of graphs."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.attributes import with_kinds
from graphkit.core.constraints import Seed, checked
from graphkit.core.signatures import takes_arguments_of
from graphkit.tasks.base import Task
from graphkit.tasks.checks import as_graphs, as_labels, check_graphs, check_split
from graphkit.tasks.loaders import GraphBatches, Loader
from graphkit.tasks.scenarios import Scenarios
from graphkit.tasks.split import STAGES, Split
from graphkit.tasks.tables.columns import Impute
from graphkit.tasks.targets import Target
from graphkit.tasks.targets.base import without_label


class GraphTask(Scenarios):
    r"""Predict a label per graph, in mini-batches of graphs; or labels of the nodes that each graph's mask marks.

    Args:
        graphs: The graphs, each with ``edge_index``, its features ``x``, if any, and its label ``y`` (a scalar, ``[1]``
            or ``[1, num_outputs]``). Graphs whose ``readout_mask`` marks several nodes have one label for each, of
            shape ``[num_marked]`` or ``[num_marked, num_outputs]``; their split still divides graphs.
        split: The graphs to train on, to validate on and to test on.
        target: The kind of label (default: ``"multiclass"``); see :class:`Task`.

    Raises:
        TypeError, IndexError, ValueError: As :class:`NodeTask`; the message names the graph.
    """

    kind = "graph"
    joins_graphs = True
    split: Split

    @takes_arguments_of(Task)
    def __init__(
        self,
        name: str,
        graphs: Any,
        split: Any,
        target: str | type[Target] | Target = "multiclass",
        metric: str | type | Any = None,
        **of_task: Any,
    ) -> None:
        super().__init__(name, target, metric, **of_task)
        self.set_data(graphs, split)

    @classmethod
    @checked
    def from_networkx(
        cls,
        graphs: Sequence[Any],
        label: str,
        features: Sequence[str] | None = None,
        categorical: Sequence[str] = (),
        impute: Impute | None = None,
        standardize: bool = False,
        edge_weight: str | None = None,
        edge_features: Sequence[str] = (),
        split: Split | None = None,
        seed: Seed = 0,
        target: str | type[Target] | Target | None = None,
        name: str = "graphs",
        **options: Any,
    ) -> GraphTask:
        """A task of networkx graphs, whose attributes are read as :meth:`FromTables.from_pandas` reads columns.

        Args:
            graphs: The graphs, all directed or none.
            label: The attribute of each graph (``graph.graph[label]``) that is its label.
            features: The attributes of nodes that are features (default: all).
            categorical: The attributes that hold numbers which are names of categories (default: none).
            impute: What takes the place of missing attributes, as for nodes in tables (default: refuse them).
            standardize: Whether numbers are scaled to mean 0 and standard deviation 1 (default: ``False``).
            edge_weight: The attribute of edge weights (default: edges have none).
            edge_features: The attributes of edge features (default: none).
            split: The graphs of each part (default: 60/20/20, drawn by ``seed``, with the same share of each class).
            seed: The seed of that draw (default: 0).
            target: The kind of label (default: as the labels are; see :meth:`FromTables.from_pandas`).
            name: The task's name in results (default: ``"graphs"``).
            **options: Further arguments of :class:`GraphTask`, such as ``metric``.

        Raises:
            ImportError, TypeError, ValueError: As :meth:`FromTables.from_pandas`.

        Example:
            >>> import networkx as nx
            >>> rings = [nx.cycle_graph(n) for n in range(3, 13)]
            >>> for ring in rings:
            ...     ring.graph["parity"] = ("even", "odd")[len(ring) % 2]
            >>> task = GraphTask.from_networkx(rings, "parity")
            >>> task.tables.classes, task.split.sizes
            (('even', 'odd'), (6, 2, 2))
        """
        from graphkit.tasks.tables import Tables, classes_to_share, from_graph, labels_of, pandas_needed

        pd = pandas_needed(f"{cls.__name__}.from_networkx")
        place, directed = f"task {name!r}", {graph.is_directed() for graph in graphs}
        if len(directed) != 1:
            wrong = "some graphs are directed; all must be, or none" if directed else "there are no graphs"
            raise ValueError(f"{place}: {wrong}")
        parts = [from_graph(graph) for graph in graphs]
        nodes, edges = (pd.concat(tables) for tables in zip(*parts, strict=True))
        tables = Tables.learned(
            nodes,
            edges,
            features=features,
            categorical=categorical,
            impute=impute,
            standardize=standardize,
            edge_weight=edge_weight,
            edge_features=edge_features,
            directed=directed.pop(),
        )
        rows = pd.DataFrame({label: [graph.graph.get(label) for graph in graphs]})
        y, kind, classes = labels_of(rows, [label], target, place)
        if split is None:
            split = Split.random(len(graphs), seed=seed, stratify=classes_to_share(y, classes is not None))
        given = [tables.graph(*part).data for part in parts]
        for graph, one in zip(given, y.split(1), strict=True):
            graph.y = one
        task = cls(name, given, split, kind, **options)
        task.tables = replace(tables, label=(label,), classes=classes)
        return task

    def make_loader(self) -> Loader:
        return GraphBatches(self)

    def set_data(self, graphs: Sequence[Data], split: Split) -> None:
        place = f"task {self.name!r}"
        self.graphs, self.split = list(with_kinds(as_graphs(graphs, place), y="graph")), split
        check_graphs(self.graphs, place)
        rows = []
        for position, graph in enumerate(self.graphs):
            where = f"{place}, graph {position}"
            if graph.y is None:
                raise ValueError(f"{where}: no label; set data.y")
            rows.append(_label_rows(as_labels(graph.y, where), _num_labels(graph, where), where))
        widths = {row.size(1) for row in rows}
        if len(widths) > 1:
            raise ValueError(f"{place}: graphs differ in their number of label columns: {sorted(widths)}")
        self._ends = torch.tensor([0, *(row.size(0) for row in rows)]).cumsum(0)
        labels = torch.cat(rows)
        labels = labels.view(-1) if labels.size(1) == 1 else labels
        check_split(split, len(self.graphs), self.kind, place)
        train, val, test = (self._rows(getattr(split, stage)) for stage in STAGES)
        parts = Split(split.name, train, val, test)
        self.labels = self.target.check(labels, parts, self.kind, place)
        self.fit_target(self.labels[parts.train])

    @property
    def readout(self) -> str:  # type: ignore[override]
        """``"mask"`` for graphs that mark the nodes to read, else ``"mean"``."""
        return "mean" if self.graphs[0].get("readout_mask") is None else "mask"

    def with_labels(self, labels: Tensor) -> list[Data]:
        graphs = [copy.copy(graph) for graph in self.graphs]
        for position, graph in enumerate(graphs):
            graph.y = labels[self._ends[position] : self._ends[position + 1]].view(graph.y.shape)
        return graphs

    def training_rows(self) -> Tensor:
        return self._rows(self.split.train)

    def unlabelled(self) -> Tensor:
        return without_label(self.labels).nonzero().view(-1)

    def labels_of(self, position: int) -> Tensor:
        """The labels of one graph."""
        return self.labels[self._ends[position] : self._ends[position + 1]]

    def _rows(self, ids: Tensor) -> Tensor:
        """The rows of the labels that belong to some graphs."""
        start, end = self._ends[ids], self._ends[ids + 1]
        if (end - start == 1).all():
            return start
        pairs = zip(start.tolist(), end.tolist(), strict=True)
        return torch.cat([torch.arange(first, last) for first, last in pairs])

    def select(self, out: Tensor, batch: Data, stage: str) -> tuple[Tensor, Tensor]:
        self.check_columns(out, batch.y.size(0), "a graph task needs a model with a readout, e.g. readout='mean'")
        return out, batch.y

    def target_index(self, batch: Data, stage: str) -> Tensor | None:
        mask = batch.get("readout_mask")
        return None if mask is None else mask.nonzero().view(-1)

    def target_labels(self, batch: Data, stage: str) -> Tensor:
        return batch.y

    def label_index(self, batch: Data, stage: str) -> tuple[Tensor, Tensor]:
        marked = self.target_index(batch, stage)
        if marked is not None:
            return torch.arange(marked.numel(), device=marked.device), marked
        return batch.batch, torch.arange(batch.num_nodes, device=batch.batch.device)

    def pool(self, h: Tensor, batch: Data) -> Tensor:
        """The states of the marked nodes, or the mean over the nodes of each graph."""
        if batch.get("readout_mask") is not None:
            return h[batch.readout_mask]
        sums = h.new_zeros(batch.num_graphs, h.size(1)).index_add(0, batch.batch, h)
        return sums / torch.bincount(batch.batch, minlength=batch.num_graphs).unsqueeze(1)

    def _describe_graphs(self) -> str:
        return f"{super()._describe_graphs()} in {len(self.graphs)} graphs"


def _num_labels(graph: Data, where: str) -> int:
    """One, or as many as nodes are marked."""
    mask = graph.get("readout_mask")
    if mask is None:
        return 1
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool or list(mask.shape) != [graph.num_nodes]:
        raise TypeError(f"{where}: readout_mask must be a boolean tensor of shape [{graph.num_nodes}]")
    if not mask.any():
        raise ValueError(f"{where}: readout_mask marks no node; mark those that have a label")
    return int(mask.sum())


def _label_rows(y: Tensor, count: int, where: str) -> Tensor:
    if count == 1:
        return y.reshape(1, -1)
    if y.dim() == 0 or y.size(0) != count:
        raise ValueError(f"{where}: readout_mask marks {count} nodes, but y has the shape {list(y.shape)}")
    return y.reshape(count, -1)
