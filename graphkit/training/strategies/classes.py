"""Labels as a part of the input: columns of features, and virtual nodes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.attributes import attributes_of, take
from graphkit.tasks import Task
from graphkit.training.engine import Engine
from graphkit.training.strategies.layerwise import Layerwise, normalize_rows

APPEND = ("none", "input", "all")


class LabelInput(Layerwise):
    """Layer-wise training on states of length 1, in which labels are a part of the input; pairs of nodes need none.

    What is drawn once stays with the weights: the features of virtual nodes (``virtual_x``), and what subclasses add.
    """

    for_pairs = True
    about_classes: tuple[str, ...] = ()  # arguments that mean nothing where pairs are judged
    append_label: str

    def configure_model(self, model: nn.Module, task: Task, engine: Engine) -> None:
        self.num_classes = self._count_classes(task)
        super().configure_model(model, task, engine)

    def setup(self, model: nn.Module, task: Task, engine: Engine) -> None:
        super().setup(model, task, engine)
        self._drawn: dict[str, Tensor] = {}

    def extra_channels(self, batch: Data) -> list[int]:
        later = self.num_classes if self.append_label == "all" else 0
        first = later if self.append_label == "none" else self.num_classes
        return [first] + [later] * (self.num_layers - 1)

    def normalize_input(self, h: Any) -> Any:
        return normalize_rows(h)

    def state_dict(self) -> dict[str, Any]:
        return dict(self._drawn)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if any(not torch.equal(state[name], value) for name, value in self._drawn.items()):
            self._drawn = {name: state[name].to(value) for name, value in self._drawn.items()}
            self._cache.clear()

    def classes(self, batch: Data) -> Tensor:
        """The classes of all nodes or graphs, -1 where hidden."""
        return self.task.target.class_ids(batch.y)

    def draw_virtual_nodes(self) -> None:
        """Draw the features of a node per class."""
        x = self._example().x
        self._drawn["virtual_x"] = torch.randn(self.num_classes, x.size(1)).to(x)

    def _count_classes(self, task: Task) -> int:
        """The number of classes that are shown to layers; 0 where pairs of nodes are judged."""
        name = type(self).__name__
        if task.num_classes > 1 and task.num_features == 0:
            raise ValueError(
                f"{name} shows labels beside the features of nodes, but task {task.name!r} has none (no data.x); add "
                "some, e.g. task.transform(torch_geometric.transforms.Constant())"
            )
        if task.num_classes > 1:
            return task.num_classes
        if task.num_classes == 1:
            raise ValueError(f"{name} compares classes with one another, but task {task.name!r} has a single one")
        if not task.judges_pairs:
            raise ValueError(
                f"{name} compares classes with one another, but task {task.name!r} is a {task.target} task; use "
                "Backprop, TargetProjection, or ScalableFF(goodness='linear')"
            )
        known = inspect.signature(type(self).__init__).parameters
        for option in self.about_classes:
            if option in known and getattr(self, option) != known[option].default:
                raise ValueError(
                    f"{name}({option}={getattr(self, option)!r}) is about classes of nodes, but task {task.name!r} is "
                    f"a {task.kind} task, whose negatives are pairs of nodes; leave {option} at its default"
                )
        return 0


def label_features(classes: Tensor, ids: Tensor, n: int, k: int, dtype: torch.dtype) -> Tensor:
    """``[n, k]``: the one-hot class of each node of ``ids``, and the uniform distribution for all others."""
    out = torch.full((n, k), 1 / k, dtype=dtype, device=classes.device)
    out[ids] = F.one_hot(classes, k).to(dtype)
    return out


def with_columns(batch: Data, columns: Tensor) -> Data:
    """The graph with further feature columns."""
    graph = batch.clone()  # shallow: tensors are shared
    graph.x = joined(batch.x, columns, dim=1)
    return graph


def with_virtual_nodes(batch: Data, x: Tensor, classes: Tensor, ids: Tensor, bidirectional: bool) -> Data:
    """The graph with a node per class, which the nodes of that class are linked to.

    Virtual nodes come after the others. The edges are the graph's own, then those from nodes to their class, then those
    back.

    Args:
        batch: The graph.
        x: The features of all nodes, the virtual ones last, ``[num_nodes + K, ...]``.
        classes: The class of each node of ``ids``.
        ids: The nodes that are linked.
        bidirectional: Whether there are edges back.
    """
    n = batch.num_nodes
    links = torch.stack([ids, n + classes])
    edges = [batch.edge_index, links, links.flip(0)] if bidirectional else [batch.edge_index, links]
    graph = Data(x=x, edge_index=torch.cat(edges, dim=1))
    old = torch.arange(graph.num_edges, device=links.device)
    old[batch.num_edges :] = -1
    for key in attributes_of("edge", batch, "virtual nodes"):
        graph[key] = take(batch[key], old, key)
    degree = batch.get("full_degree")
    if degree is not None:
        new = graph.edge_index[1, batch.num_edges :]
        padded = torch.cat([degree, degree.new_zeros(x.size(0) - n)])
        graph.full_degree = padded.index_add(0, new, degree.new_ones(new.numel()))
    return graph


def joined(x: Tensor, more: Tensor, dim: int) -> Tensor:
    """Features with further rows or columns; sparse ones stay sparse."""
    if not x.is_sparse_csr:
        return torch.cat([x, more], dim=dim)
    return torch.cat([x.to_sparse_coo(), more.to_sparse_coo()], dim=dim).coalesce().to_sparse_csr()


def prepared(graph: Data, transform: Callable[[Data], Data] | None) -> Data:
    """A graph made here, with the structure that the model wants precomputed."""
    return graph if transform is None else transform(graph)
