"""What stacking reads: tasks, or tables with edges."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from graphkit.core.validate import check_edge_index
from graphkit.tasks import NodeTask
from graphkit.tasks.tables import Tables


class Nodes(NamedTuple):
    """The nodes of a graph.

    Attributes:
        table: Their features, a pandas frame or an array.
        rows: The numbers of the labelled ones.
        labels: Their labels.
        edge_index: The edges between them.
        edge_weight: Weights of edges, if there are any.
    """

    table: Any
    rows: np.ndarray
    labels: np.ndarray
    edge_index: Tensor
    edge_weight: Tensor | None = None


def as_labels(y: Any) -> np.ndarray:
    """Labels as an array, of which pandas' missing ones are ``None``: its NA is neither equal nor unequal to itself."""
    return np.asarray(y.astype(object).where(y.notna(), None) if hasattr(y, "notna") else y)


def known(labels: np.ndarray) -> np.ndarray:
    """Which labels are there: neither NaN nor ``None``."""
    return np.array([label is not None and label == label for label in labels.tolist()], dtype=bool)


def nodes_of(X: Any, y: Any, edges: Any) -> Nodes:
    """The nodes of a task or a table; labels are those to train on."""
    if isinstance(X, NodeTask):
        if y is not None or edges is not None:
            raise ValueError("GraphStacking: a task has its own labels and edges; leave y and edges out")
        return _of_task(X)
    if edges is None:
        raise ValueError("GraphStacking: edges are missing; give them beside the table, or a NodeTask alone")
    table = X if hasattr(X, "columns") else np.asarray(X)
    if len(getattr(table, "shape", ())) != 2:
        raise ValueError(f"GraphStacking: X has shape {getattr(table, 'shape', None)}, must be a table of two axes")
    edge_index = _edge_index(table, edges)
    if y is None:
        return Nodes(table, np.empty(0, np.int64), np.empty(0), edge_index)
    labels = as_labels(y)
    if labels.shape != (len(table),):
        raise ValueError(f"GraphStacking: y has shape {labels.shape}, must be ({len(table)},), a label per row of X")
    rows = np.flatnonzero(known(labels))
    if not rows.size:
        raise ValueError("GraphStacking: y has no label that is known")
    return Nodes(table, rows, np.array(labels[rows].tolist()), edge_index)


class Source(NamedTuple):
    """The task that was trained on, as far as new tables are read by it.

    Attributes:
        name: Its name.
        tables: How its tables were read; ``None`` if it was made of none.
        applied: The transforms of its graph.
    """

    name: str
    tables: Tables | None
    applied: tuple[Any, ...]

    def nodes(self, X: Any, edges: Any) -> Nodes:
        """The nodes of new tables, read as those of the task were."""
        if self.tables is None:
            raise ValueError(
                f"GraphStacking: it was fitted on task {self.name!r}, which was not made of tables, so how to read "
                "others is not known; give a NodeTask with the same features"
            )
        if isinstance(X, str | Path):
            X, edges = self.tables.read(X)
        if edges is None:
            raise ValueError("GraphStacking: edges are missing; give them beside the table, or the folder of both")
        graph = self.tables.graph(X, edges).data
        for transform in self.applied:
            graph = transform(graph)
        return Nodes(_dense(graph.x), np.empty(0, np.int64), np.empty(0), graph.edge_index, graph.get("edge_weight"))


def _of_task(task: NodeTask) -> Nodes:
    data = task.data
    if data.x is None:
        raise ValueError(f"GraphStacking: task {task.name!r} has no features; add some, such as gk.features.FastRP()")
    labels = task.labels.numpy()
    if task.target.name not in ("multiclass", "binary", "regression") or labels.size != len(labels):
        raise ValueError(
            f"GraphStacking: task {task.name!r} has a {task.target.name} target of {task.num_outputs} columns; "
            "stacking takes classes or one number per node"
        )
    labels = labels.reshape(-1)
    rows = task.split.train.numpy()
    rows = rows[known(labels[rows])]
    chosen = labels[rows] if task.target.name == "regression" else labels[rows].astype(np.int64)
    return Nodes(_dense(data.x), rows, chosen, data.edge_index, data.get("edge_weight"))


def _dense(x: Tensor) -> np.ndarray:
    return (x.to_dense() if x.layout != torch.strided else x).numpy()


def _edge_index(table: Any, edges: Any) -> Tensor:
    if not hasattr(edges, "columns"):
        edge_index = torch.as_tensor(np.asarray(edges))
    elif not {"source", "target"} <= set(edges.columns) or not hasattr(table, "index"):
        raise ValueError(
            "GraphStacking: a frame of edges has columns source and target, and X is a frame with an index"
        )
    else:
        ends = []
        for column in ("source", "target"):
            places = table.index.get_indexer(edges[column])
            if (places < 0).any():
                row = int(np.flatnonzero(places < 0)[0])
                unknown = edges[column].iloc[row]
                raise ValueError(f"GraphStacking: edge {row} has the {column} {unknown!r}, not in the index of X")
            ends.append(places)
        edge_index = torch.from_numpy(np.stack(ends))
    check_edge_index(edge_index, len(table), "GraphStacking")
    return edge_index.long()
