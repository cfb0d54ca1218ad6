"""Dividing a graph into parts of equal size with few edges between them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from graphkit.algorithms.graph import SimpleGraph
from graphkit.core.constraints import Count, NonNegativeInt, checked
from graphkit.core.devices import on_cpu


@checked
@on_cpu
def partition(edge_index: Tensor, num_nodes: NonNegativeInt, num_parts: Count, passes: NonNegativeInt = 20) -> Tensor:
    r"""Divide the nodes into parts of nearly equal size with few edges between them.

    Nodes are read in breadth-first order, and each goes to the part that maximises

    .. math::
        |N(v) \cap P_i| \, \bigl(1 - |P_i| / C\bigr), \qquad C = \lceil 1.05\, n / k \rceil

    From `"Streaming Graph Partitioning for Large Distributed Graphs" <https://doi.org/10.1145/2339530.2339722>`_
    (Stanton and Kliot, KDD 2012), read again and again as in `"Restreaming Graph Partitioning"
    <https://doi.org/10.1145/2487575.2487696>`_ (Nishimura and Ugander, KDD 2013). No part is larger than :math:`C`.

    Args:
        edge_index: Edges ``[2, E]``; directions, duplicates and self-loops do not matter.
        num_nodes: The number of nodes :math:`n`.
        num_parts: The number of parts :math:`k`, at most :math:`n`.
        passes: How often the nodes are read (default: 20).

    Returns:
        The part of each node ``[num_nodes]``.

    Raises:
        ValueError: If ``num_parts`` is not in ``1..num_nodes``.

    Example:
        >>> two_triangles = torch.tensor([[0, 1, 2, 3, 4, 5, 2], [1, 2, 0, 4, 5, 3, 3]])
        >>> partition(two_triangles, 6, 2).tolist()
        [0, 0, 0, 1, 1, 1]
    """
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    from graphkit.algorithms.kernels.partition import greedy

    if not 1 <= num_parts <= num_nodes:
        raise ValueError(f"partition: num_parts={num_parts}, must be in 1..{num_nodes}, the number of nodes")
    adjacency = SimpleGraph.from_edges(edge_index, num_nodes, where="partition").adjacency
    order = reverse_cuthill_mckee(adjacency, symmetric_mode=True)
    capacity = -(-105 * num_nodes // (100 * num_parts))
    parts = greedy(adjacency.indptr, adjacency.indices, order, num_parts, capacity, passes)
    _, first, part = np.unique(parts, return_index=True, return_inverse=True)
    return torch.from_numpy(first.argsort().argsort()[part.reshape(-1)])  # numbered by first node
