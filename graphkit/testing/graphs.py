"""Small graphs for checks, and relabelling them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.attributes import attributes_of

NUM_FEATURES = 5
EDGE_DIM = 3


def random_graph(
    num_nodes: int = 8,
    num_edges: int = 20,
    *,
    num_isolated: int = 0,
    weighted: bool = False,
    edge_dim: int | None = EDGE_DIM,
    seed: int = 0,
) -> Data:
    """A directed graph without repeated edges and self-loops, with features in double precision.

    Args:
        num_nodes: The number of nodes (default: 8).
        num_edges: The number of directed edges (default: 20), fewer where a graph has no room for them.
        num_isolated: How many of the last nodes have no edge (default: 0).
        weighted: Whether there is an ``edge_weight`` in [0.5, 1.5] (default: ``False``).
        edge_dim: The number of edge features; ``None`` for no ``edge_attr`` (default: 3).
        seed: The seed (default: 0).

    Example:
        >>> random_graph(4, 6)
        Data(x=[4, 5], edge_index=[2, 6], edge_attr=[6, 3])
    """
    generator = torch.Generator().manual_seed(seed)
    joined = num_nodes - num_isolated
    pairs = (~torch.eye(joined, dtype=torch.bool)).nonzero()
    edge_index = pairs[torch.randperm(pairs.size(0), generator=generator)[:num_edges]].t().contiguous()
    data = Data(x=torch.randn(num_nodes, NUM_FEATURES, generator=generator, dtype=torch.float64), edge_index=edge_index)
    count = edge_index.size(1)
    if edge_dim is not None:
        data.edge_attr = torch.randn(count, edge_dim, generator=generator, dtype=torch.float64)
    if weighted:
        data.edge_weight = 0.5 + torch.rand(count, generator=generator, dtype=torch.float64)
    return data


def relabelled(data: Data, order: Tensor, edge_order: Tensor | None = None) -> Data:
    """The same graph with other node numbers: new node ``i`` is the old node ``order[i]``.

    Args:
        data: The graph.
        order: A permutation of the nodes.
        edge_order: A permutation of the edges, too (default: as they were).
    """
    edge_order = torch.arange(data.num_edges) if edge_order is None else edge_order
    new_name = torch.empty_like(order)
    new_name[order] = torch.arange(order.numel())
    out = data.clone()
    out.edge_index = new_name[data.edge_index[:, edge_order]]
    for kind, new_order in (("node", order), ("edge", edge_order)):
        for key in attributes_of(kind, data, "relabelled"):
            out[key] = data[key][new_order]
    return out
