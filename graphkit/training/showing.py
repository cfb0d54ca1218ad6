"""What a trained model predicts, as pictures: ``plot`` of results and runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from scipy.sparse.csgraph import shortest_path
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import to_scipy_sparse_matrix

from graphkit.core.figures import save_figure
from graphkit.tasks import GraphTask, NodeTask, Task
from graphkit.training.plots import plot_calibration, plot_confusion, plot_edges, plot_embeddings, plot_results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NEAREST, LARGEST = 30, 100  # nodes around the one that is explained; nodes of a graph that is


def picture(
    place: str,
    kind: str,
    result: Any,
    source: tuple[Any, Task] | str,
    stage: str,
    path: str | os.PathLike[str] | None,
    index: int | None,
) -> Figure:
    """What ``plot`` of a result or a run returns.

    Args:
        place: The class that has the method.
        kind: The name of the picture.
        result: The result.
        source: Trainer and task; or why they are not at hand.
        stage: The part of the task.
        path: Where to save it.
        index: The node or graph that is explained.

    Raises:
        ValueError: If there is none of this task.
    """
    if index is not None and kind != "edges":
        raise ValueError(f"{place}.plot: index={index} is of kind='edges'; leave it out for kind={kind!r}")
    if kind == "curves":
        return plot_results([result], path)
    if isinstance(source, str):
        raise ValueError(f"{place}.plot: kind={kind!r} is of the model's predictions, {source}")
    figure = _Shown(place, kind, *source, stage).figure(index)
    save_figure(figure, path)
    return figure


class _Shown:
    """A part of a task as a trainer predicts it."""

    def __init__(self, place: str, kind: str, trainer: Any, task: Task, stage: str) -> None:
        self.place, self.kind, self.trainer, self.task, self.stage = f"{place}.plot", kind, trainer, task, stage

    def figure(self, index: int | None) -> Figure:
        """The picture."""
        if self.kind == "edges":
            return self._edges(index)
        prediction, label = self.trainer.predict(self.task, self.stage)
        shares, label = self._shares(prediction), label.view(-1).long()
        if self.kind == "confusion":
            return plot_confusion(shares, label, self._names(shares))
        if self.kind == "calibration":
            return plot_calibration(shares, label)
        states = self.trainer.embed(self.task, self.stage)
        if len(states) != len(label):
            raise ValueError(f"{self.place}: kind={self.kind!r} is of nodes with labels, {self.task.name} has none")
        return plot_embeddings(states, label, self._names(shares), umap=self.kind == "umap")

    def _shares(self, prediction: Tensor) -> Tensor:
        """Probabilities of classes."""
        if self.task.target.name == "multiclass":
            return prediction.softmax(1)
        if self.task.target.name in ("binary", "link") and prediction.size(1) == 1:
            return torch.cat([1 - prediction.sigmoid(), prediction.sigmoid()], dim=1)
        raise ValueError(
            f"{self.place}: {self.task.name} has {self.task.target.name} targets, must be classes, one each"
        )

    def _names(self, shares: Tensor) -> Sequence[Any]:
        return self.task.classes or range(shares.size(1))

    def _edges(self, index: int | None) -> Figure:
        """One prediction, and what becomes of it without each edge."""
        if not isinstance(self.task, NodeTask | GraphTask):
            raise ValueError(
                f"{self.place}: kind='edges' is of a node or a graph, {self.task.name} has {self.task.kind}s"
            )
        of_node, count = isinstance(self.task, NodeTask), len(self.task.labels)
        index = int(getattr(self.task.split, self.stage)[0]) if index is None else index
        if not 0 <= index < count:
            raise ValueError(f"{self.place}: index={index}, must be from 0 to {count - 1}")
        graph = self.task.graphs[0 if of_node else index]
        row = index if of_node else 0
        ends = pairs_around(graph, index) if of_node else pairs_around(graph)
        if not ends.numel():
            raise ValueError(
                f"{self.place}: kind='edges': {self.task.kind} {index} has no edges, must have one; give index="
            )
        shares = self._shares(self.trainer.predict(graph))[row]
        chosen = int(shares.argmax())
        without = [self._shares(self.trainer.predict(without_pair(graph, pair)))[row, chosen] for pair in ends.T]
        title = f"{self.task.kind} {index}: class {self._names(shares[None])[chosen]}, probability {shares[chosen]:.2f}"
        return plot_edges(ends, shares[chosen] - torch.stack(without), index if of_node else None, title)


def pairs_around(graph: Data, node: int | None = None) -> Tensor:
    """The joined pairs of a graph of up to :data:`LARGEST` nodes, or of the :data:`NEAREST` ones to a node ``[2, n]``.

    Raises:
        ValueError: If the graph is larger.
    """
    source, target = graph.edge_index
    kept = source != target
    if node is None and int(graph.num_nodes or 0) > LARGEST:
        raise ValueError(
            f"plot: kind='edges': a graph of {graph.num_nodes} nodes, must be of at most {LARGEST}; give another index"
        )
    if node is not None:
        adjacency = to_scipy_sparse_matrix(graph.edge_index, num_nodes=graph.num_nodes)
        steps = torch.from_numpy(shortest_path(adjacency, directed=False, unweighted=True, indices=node))
        near = torch.zeros(len(steps), dtype=torch.bool)
        near[steps.argsort(stable=True)[:NEAREST]] = True
        near &= steps.isfinite()
        kept = kept & near[source] & near[target]
    pairs = graph.edge_index[:, kept].sort(dim=0).values
    return torch.unique(pairs, dim=1)


def without_pair(graph: Data, pair: Tensor) -> Data:
    """The graph without the edges between two nodes, in both directions."""
    return graph.edge_subgraph((graph.edge_index.sort(dim=0).values != pair.view(2, 1)).any(0))
