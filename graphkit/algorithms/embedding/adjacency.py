"""The weighted directed graph that walks and projections go along."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor
from torch_geometric.utils.num_nodes import maybe_num_nodes

from graphkit.algorithms.graph import checked_conductances
from graphkit.core.validate import check_edge_index


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

    num_nodes = maybe_num_nodes(edge_index, num_nodes)
    check_edge_index(edge_index, num_nodes, where)
    source, target = edge_index.cpu().numpy().astype(np.int32)
    weight = checked_conductances(edge_weight, source.size, where)
    matrix = coo_array((weight, (source, target)), (num_nodes, num_nodes)).tocsr()
    matrix.eliminate_zeros()
    return matrix


def out_degree(matrix: Any) -> np.ndarray:
    """The sum of each row."""
    return np.asarray(matrix.sum(axis=1), dtype=np.float64).reshape(-1)
