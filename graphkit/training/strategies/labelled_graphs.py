"""Graphs that show labels, as columns of features or by virtual nodes; the same graph with other labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.attributes import attributes_of, take
from graphkit.core.caching import Caching
from graphkit.ops import SparseMatrix

Histories = list[list[Any]]


@dataclass
class LabelledGraphs(Caching):
    """Graphs that differ only in the labels that they show; the first shows the right ones while training.

    Attributes:
        count: The number of graphs :math:`V`.
        graph: Makes one of them.
        rows: The nodes that are judged (``None``: all, averaged per graph or multiplied per pair).
        columns: The label features that were appended, ``[V, num_nodes, K]``; ``None`` without.
        extra: Label features for the inputs of later layers, made by number, or ``None``.
        shared: Whether all graphs read the states of the first one.
    """

    count: int
    graph: Callable[[int], Data]
    rows: Tensor | None
    columns: Tensor | None
    extra: Callable[[int], Tensor] | None = None
    shared: bool = False

    def judged_rows(self, matrix: SparseMatrix) -> SparseMatrix:
        """The rows of a constant matrix that belong to the nodes that are judged."""

        def select(rows: Tensor, values: Tensor | None) -> SparseMatrix:
            return SparseMatrix(matrix.pattern, values).select_rows(rows)

        return self.cached(("rows", matrix.pattern), select, self.rows, matrix.values)


class LazyHistories:
    """A list of histories that are made when asked for."""

    def __init__(self, count: int, make: Callable[[int], list[Any]]) -> None:
        self.count, self.make = count, cache(make)

    def __getitem__(self, v: int) -> list[Any]:
        if v >= self.count:
            raise IndexError(v)
        return self.make(v)


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
