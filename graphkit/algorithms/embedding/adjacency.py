"""The weighted directed graph that walks and projections go along."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from graphkit.algorithms.graph import checked_edges


def adjacency(edge_index: Tensor, edge_weight: Tensor | None, num_nodes: int | None, where: str) -> Any:
    """The matrix in scipy's CSR form, in double precision, whose entry ``[u, v]`` is the weight of edges from u to v.

    Repeated edges add up, and edges of weight 0 are none.

    Args:
        edge_index: Edges ``[2, num_edges]``.
        edge_weight: Weights ``[num_edges]``, not negative; ``None`` for ones.
        num_nodes: The number of nodes; ``None`` for the largest id plus one.
        where: The place named in messages.

    Raises:
        TypeError, ValueError, IndexError: If edges or weights are not what they should be.
    """
    from scipy.sparse import coo_array

    ends, weight, n = checked_edges(edge_index, edge_weight, num_nodes, where)
    matrix = coo_array((weight, tuple(ends.astype(np.int32))), (n, n)).tocsr()
    matrix.eliminate_zeros()
    return matrix


def out_degree(matrix: Any) -> np.ndarray:
    """The sum of each row."""
    return np.asarray(matrix.sum(axis=1), dtype=np.float64).reshape(-1)
