"""The undirected simple graph that the algorithms work on."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.utils.num_nodes import maybe_num_nodes

from graphkit.core.validate import check_edge_index


class SimpleGraph:
    r"""An undirected graph without self-loops and repeated edges, as a symmetric CSR matrix of conductances.

    Directions and self-loops do not count. Where several edges join the same two nodes (a reverse, a duplicate), the
    weight is their mean. An edge of weight 0 is no edge.

    Args:
        adjacency: A symmetric scipy CSR matrix with sorted indices, a zero diagonal and positive entries.

    Attributes:
        num_nodes: The number of nodes.

    Example:
        >>> graph = SimpleGraph.from_edges(torch.tensor([[0, 1, 1], [1, 0, 1]]), num_nodes=3)
        >>> graph.num_pairs, graph.degree.tolist(), graph.component.tolist()
        (1, [1, 1, 0], [0, 0, 1])
    """

    def __init__(self, adjacency: Any) -> None:
        self.adjacency = adjacency
        self.num_nodes = adjacency.shape[0]

    @classmethod
    def from_edges(
        cls, edge_index: Tensor, num_nodes: int | None = None, edge_weight: Tensor | None = None, where: str = "graph"
    ) -> SimpleGraph:
        """Build the graph from edges.

        Args:
            edge_index: Edges ``[2, num_edges]``.
            num_nodes: The number of nodes (default: the largest id plus one).
            edge_weight: Conductances ``[num_edges]``, not negative (default: ones).
            where: The place named in messages (default: ``"graph"``).

        Raises:
            TypeError, ValueError, IndexError: If edges or weights are not what they should be.
        """
        from scipy.sparse import coo_array

        (source, target), weight, n = checked_edges(edge_index, edge_weight, num_nodes, where)
        apart = source != target
        ends = (np.concatenate([source[apart], target[apart]]), np.concatenate([target[apart], source[apart]]))
        shape = (n, n)
        adjacency = coo_array((np.tile(weight[apart], 2), ends), shape).tocsr()
        if edge_weight is None:
            adjacency.data[:] = 1.0
        else:
            adjacency.data /= coo_array((np.ones(ends[0].size), ends), shape).tocsr().data
            adjacency.eliminate_zeros()
        return cls(adjacency)

    @property
    def num_pairs(self) -> int:
        """The number of joined pairs of nodes."""
        return self.adjacency.nnz // 2

    @cached_property
    def degree(self) -> np.ndarray:
        """The number of neighbours of each node."""
        return np.diff(self.adjacency.indptr)

    @cached_property
    def weighted_degree(self) -> np.ndarray:
        """The sum of the weights of each node's edges."""
        return self.adjacency @ np.ones(self.num_nodes)

    @cached_property
    def component(self) -> np.ndarray:
        """The component of each node, numbered by first node."""
        from scipy.sparse.csgraph import connected_components

        return connected_components(self.adjacency, directed=False)[1].astype(np.int64)

    @cached_property
    def component_size(self) -> np.ndarray:
        """The number of nodes of each component."""
        return np.bincount(self.component)

    def components(self, smallest: int = 1) -> list[np.ndarray]:
        """The sorted nodes of each component of at least ``smallest`` nodes."""
        order = np.argsort(self.component, kind="stable")
        parts = np.split(order, np.cumsum(self.component_size)[:-1])
        return [part for part in parts if part.size >= smallest]

    def induced(self, nodes: np.ndarray) -> SimpleGraph:
        """The graph on some nodes, renumbered in the order given."""
        if nodes.size == self.num_nodes:
            return self
        return SimpleGraph(self.adjacency[nodes][:, nodes].tocsr())

    def pairs(self) -> np.ndarray:
        """The joined pairs ``[num_pairs, 2]`` in row-major order, smaller node first."""
        return np.stack([self._row, self.adjacency.indices], axis=1)[self._upper].astype(np.int64)

    def pair_weights(self) -> np.ndarray:
        """The conductance of each of :meth:`pairs`."""
        return self.adjacency.data[self._upper]

    @cached_property
    def _row(self) -> np.ndarray:
        return np.repeat(np.arange(self.num_nodes), self.degree)

    @cached_property
    def _upper(self) -> np.ndarray:
        return self._row < self.adjacency.indices

    def with_pairs(self, pairs: np.ndarray) -> SimpleGraph:
        """The graph with more pairs ``[num_pairs, 2]`` of weight 1, not joined before."""
        from scipy.sparse import coo_array

        ends = (np.concatenate([pairs[:, 0], pairs[:, 1]]), np.concatenate([pairs[:, 1], pairs[:, 0]]))
        new = coo_array((np.ones(ends[0].size), ends), self.adjacency.shape)
        return SimpleGraph((self.adjacency + new).tocsr())

    def without_pairs(self, pairs: np.ndarray) -> SimpleGraph:
        """The graph without some pairs ``[num_pairs, 2]``."""
        n = max(self.num_nodes, 1)
        low, high = np.minimum(self._row, self.adjacency.indices), np.maximum(self._row, self.adjacency.indices)
        adjacency = self.adjacency.copy()
        adjacency.data[np.isin(low * n + high, pairs.min(axis=1) * n + pairs.max(axis=1))] = 0.0
        adjacency.eliminate_zeros()
        return SimpleGraph(adjacency)

    def laplacian(self) -> Any:
        """The combinatorial Laplacian as a CSR matrix."""
        from scipy.sparse.csgraph import laplacian

        return laplacian(self.adjacency).tocsr()

    def dense_laplacian(self) -> np.ndarray:
        """The combinatorial Laplacian as an array."""
        return np.diag(self.weighted_degree) - self.adjacency.toarray()

    def neighbours(self, room: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Lists of neighbours in one array, with space for ``room`` more in each.

        Returns:
            The array, where each node's list starts, and how many neighbours there are.
        """
        count, nodes = self.degree.astype(np.int64), np.arange(self.num_nodes)
        start = self.adjacency.indptr[:-1].astype(np.int64) + room * nodes
        lists = np.empty(self.adjacency.nnz + room * self.num_nodes, dtype=np.int64)
        lists[np.arange(self._row.size) + room * self._row] = self.adjacency.indices
        return lists, start, count


def checked_edges(
    edge_index: Tensor, edge_weight: Tensor | None, num_nodes: int | None, where: str
) -> tuple[np.ndarray, np.ndarray, int]:
    """Edges ``[2, num_edges]``, their weights in double precision (ones if there are none), and the number of nodes.

    Raises:
        TypeError, ValueError, IndexError: If edges or weights are not what they should be; the message names ``where``.
    """
    num_nodes = maybe_num_nodes(edge_index, num_nodes)
    check_edge_index(edge_index, num_nodes, where)
    ends = edge_index.cpu().numpy().astype(np.int64)
    num_edges = ends.shape[1]
    if edge_weight is None:
        return ends, np.ones(num_edges), num_nodes
    if edge_weight.numel() != num_edges:
        raise ValueError(
            f"{where}: edge_weight has shape {list(edge_weight.shape)}, but there are {num_edges} edges; pass one "
            "weight per edge"
        )
    weight = edge_weight.detach().cpu().double().view(-1).numpy()
    bad = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))
    if bad.size:
        raise ValueError(
            f"{where}: edge {bad[0]} has the weight {weight[bad[0]]:g}, but weights are conductances and must be "
            "finite and not negative"
        )
    return ends, weight, num_nodes


def as_pairs(pairs: np.ndarray) -> Tensor:
    """Pairs ``[num_pairs, 2]`` of an algorithm as a tensor ``[2, num_pairs]``."""
    return torch.from_numpy(np.ascontiguousarray(pairs.reshape(-1, 2).T).astype(np.int64))
