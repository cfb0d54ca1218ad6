"""Subsets of nodes that lie near one another."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from graphkit.algorithms.paths.hops import hop_pairs
from graphkit.core.constraints import Count, NonNegativeInt, checked
from graphkit.core.validate import check_edge_index

_MAX_NODES = 20_000


@checked
def node_subsets(
    edge_index: Tensor,
    num_nodes: NonNegativeInt,
    size: Count,
    max_distance: Count | None = None,
    cluster: Tensor | None = None,
    max_subsets: Count = 10_000_000,
) -> Tensor:
    r"""All sets of ``size`` nodes of a graph, or those of nodes near one another, in lexicographic order.

    Args:
        edge_index: Edges ``[2, num_edges]``; directions do not count here.
        num_nodes: The number of nodes.
        size: The number of nodes of a set.
        max_distance: How many edges any two nodes of a set may be apart (default: any number, or no path at all).
        cluster: A number per node; only nodes of equal number come together (default: all do).
        max_subsets: How many there may be (default: 10 million).

    Returns:
        The sets ``[size, num_subsets]``, int32, each in ascending order.

    Raises:
        ValueError: If ``size`` is not positive, ``max_distance`` is not at least 1, there are too many sets, or the
            graph has more than 20,000 nodes and ``size`` is not 1.
        TypeError, IndexError: If ``edge_index`` does not hold ids of nodes.

    Example:
        >>> path = torch.tensor([[0, 1, 2], [1, 2, 3]])
        >>> node_subsets(path, 4, size=2, max_distance=1).tolist()
        [[0, 1, 2], [1, 2, 3]]
    """
    check_edge_index(edge_index, num_nodes, "node_subsets")
    if size == 1:
        return torch.arange(num_nodes, dtype=torch.int32, device=edge_index.device).unsqueeze(0)
    if num_nodes > _MAX_NODES:
        raise ValueError(
            f"node_subsets keeps a dense matrix of pairs; {num_nodes} nodes are more than {_MAX_NODES}; use size=1 or "
            "smaller graphs"
        )
    allowed = np.ones((num_nodes, num_nodes), dtype=bool)
    if max_distance is not None:
        both = torch.cat([edge_index, edge_index.flip(0)], dim=1)
        near = hop_pairs(both, num_nodes, max_distance)[0].cpu().numpy()
        allowed[:] = False
        allowed[near[0], near[1]] = True
    if cluster is not None:
        group = cluster.cpu().numpy()
        allowed &= group[:, None] == group
    np.fill_diagonal(allowed, False)

    from graphkit.algorithms.kernels import subsets as kernels

    count = kernels.cliques(allowed, size, max_subsets, np.empty((size, 0), dtype=np.int32))
    if count > max_subsets:
        raise ValueError(
            f"the graph ({num_nodes} nodes) has more than max_subsets={max_subsets} sets of {size} nodes; use smaller "
            "sets, a smaller max_distance, or a larger max_subsets"
        )
    subsets = np.empty((size, count), dtype=np.int32)
    kernels.cliques(allowed, size, max_subsets, subsets)
    return torch.from_numpy(subsets).to(edge_index.device)
