"""The spectral gap."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from graphkit.algorithms.graph import SimpleGraph
from graphkit.algorithms.spectral.eigenpairs import smallest_eigenpairs
from graphkit.core.constraints import NonNegativeInt, Seed, checked

DENSE_NODES = 500


@checked
def spectral_gap(
    edge_index: Tensor, edge_weight: Tensor | None = None, num_nodes: NonNegativeInt | None = None, seed: Seed = 0
) -> float:
    r"""The second smallest eigenvalue of the normalised Laplacian :math:`I - D^{-1/2} A D^{-1/2}`.

    It is 0 for a graph that is not connected, isolated nodes included, and at most :math:`n / (n-1)`. Up to 500 nodes
    all eigenvalues are computed; beyond, the one wanted by LOBPCG with the preconditioner of
    :class:`~graphkit.algorithms.spectral.laplacian.LaplacianSolver`, to a residual of 1e-6.

    Args:
        edge_index: Edges ``[2, num_edges]``; directions, duplicates and self-loops do not count.
        edge_weight: Weights ``[num_edges]`` (default: ones).
        num_nodes: The number of nodes (default: the largest id plus one).
        seed: The seed of the iteration's start (default: 0).

    Example:
        >>> import torch
        >>> round(spectral_gap(torch.tensor([[0, 1], [1, 2]])), 9)
        1.0
    """
    return gap(SimpleGraph.from_edges(edge_index, num_nodes, edge_weight, "spectral_gap"), seed)


def gap(graph: SimpleGraph, seed: int = 0) -> float:
    """:func:`spectral_gap` of a graph that is already a simple one; 0 for one of fewer than two nodes."""
    n = graph.num_nodes
    if n < 2 or graph.component_size.size > 1:
        return 0.0
    if n <= DENSE_NODES:
        root = 1 / np.sqrt(graph.weighted_degree)
        matrix = np.eye(n) - root[:, None] * graph.adjacency.toarray() * root
        return float(np.linalg.eigvalsh(matrix)[1])
    return float(smallest_eigenpairs(graph, 2, 1e-6, seed)[0][1])
