"""Turning any graph into an undirected simple one."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import remove_self_loops, scatter

from graphkit.core.attributes import attributes_of, record_kinds
from graphkit.transforms.base import Precompute


class Undirected(Precompute):
    r"""Makes the graph undirected and simple: no self-loops, no duplicates, every edge in both directions.

    Edge attributes of merged edges (a duplicate, or an edge and its reverse) become their mean, the same in both
    directions; of whole numbers, which are codes, the smallest: an edge of the graph keeps its relation where a
    rewiring adds its reverse. A graph that is undirected, simple and has no edge attributes is left as it is.

    Sheaf models ask for this transform by themselves.

    Shapes:
        ``edge_index``: ``[2, num_edges]`` to ``[2, num_new_edges]``; attributes of edges follow.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1, 1], [1, 1, 2]]), num_nodes=3)
        >>> Undirected()(data).edge_index
        tensor([[0, 1, 1, 2],
                [1, 0, 2, 1]])
    """

    def forward(self, data: Data) -> Data:
        """Replace the edges in ``data`` (a shallow copy when called through ``transform(data)``)."""
        edge_index, n = data.edge_index, data.num_nodes
        names = attributes_of("edge", data, "Undirected")
        if not names and _is_simple(edge_index, n):
            return data
        record_kinds(data)
        inner, mask = remove_self_loops(edge_index, torch.arange(edge_index.size(1), device=edge_index.device))
        source, target = torch.cat([inner, inner.flip(0)], dim=1)
        edges, which = (source * n + target).unique(return_inverse=True)
        for name in names:
            value = torch.cat([data[name][mask]] * 2)
            reduce = "mean" if value.is_floating_point() else "min"
            data[name] = scatter(value, which, dim_size=edges.numel(), reduce=reduce)
        data.edge_index = torch.stack([edges // n, edges % n])
        return data


def _is_simple(edge_index: Tensor, n: int) -> bool:
    source, target = edge_index
    if bool((source == target).any()):
        return False
    keys = (source * n + target).sort().values
    return not bool((keys[1:] == keys[:-1]).any()) and torch.equal(keys, (target * n + source).sort().values)
