"""Random extra edges: the baseline of every rewiring."""

from __future__ import annotations

import torch
from torch_geometric.data import Data
from torch_geometric.utils import coalesce

from graphkit.transforms.base import Precompute


class RandomEdges(Precompute):
    r"""Adds undirected edges between node pairs drawn uniformly from those not yet joined.

    Both directions of a drawn pair are added; pairs joined in one direction count as joined, and self-loops are never
    drawn. If fewer free pairs exist than were asked for, all of them are added.

    New edges get weight 1 where ``edge_weight`` is present and zeros where ``edge_attr`` is.

    Args:
        num_edges: The number of pairs: an ``int``, or a ``float`` for a share of the edges present (default: 10).
        seed: The seed of the draw (default: 0).

    Raises:
        ValueError: If ``num_edges`` is negative.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=3)
        >>> RandomEdges(num_edges=2)(data).edge_index.tolist()
        [[0, 0, 1, 1, 2, 2], [1, 2, 0, 2, 0, 1]]
    """

    def __init__(self, num_edges: int | float = 10, seed: int = 0) -> None:
        if num_edges < 0:
            raise ValueError(f"RandomEdges: num_edges={num_edges}, must not be negative")
        self.num_edges = num_edges
        self.seed = seed

    def forward(self, data: Data) -> Data:
        """Add the edges to ``data`` (a shallow copy when called through ``transform(data)``)."""
        n = data.num_nodes
        pairs = data.edge_index.sort(dim=0).values
        pairs = coalesce(pairs[:, pairs[0] != pairs[1]])
        wanted = self.num_edges if isinstance(self.num_edges, int) else round(self.num_edges * pairs.size(1))
        new = self._draw(n, pairs[0] * n + pairs[1], min(wanted, n * (n - 1) // 2 - pairs.size(1)))
        new = torch.cat([new, new.flip(0)], dim=1).to(data.edge_index)
        attributes = {}
        for key, fill in (("edge_weight", 1.0), ("edge_attr", 0.0)):
            if data.get(key) is not None:
                value = data[key]
                attributes[key] = torch.cat([value, value.new_full((new.size(1), *value.shape[1:]), fill)])
        edge_index = torch.cat([data.edge_index, new], dim=1)
        order = (edge_index[0] * n + edge_index[1]).argsort(stable=True)
        data.edge_index = edge_index[:, order]
        for key, value in attributes.items():
            data[key] = value[order]
        return data

    def _draw(self, n: int, taken: torch.Tensor, count: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        taken = taken.cpu()
        if n * (n - 1) // 2 <= 4 * (taken.numel() + count):  # dense: list the free pairs
            rows, columns = torch.triu_indices(n, n, 1)
            free = rows * n + columns
            free = free[~torch.isin(free, taken)]
            chosen = free[torch.randperm(free.numel(), generator=generator)[:count]]
        else:  # sparse: draw and reject
            chosen = taken.new_empty(0)
            while chosen.numel() < count:
                ends = torch.randint(n, (2, 2 * (count - chosen.numel())), generator=generator).sort(dim=0).values
                keys = ends[0] * n + ends[1]
                keys = keys[(ends[0] != ends[1]) & ~torch.isin(keys, taken) & ~torch.isin(keys, chosen)]
                # unique() sorts, which would favour small ids at the cut: shuffle what is new
                keys = keys.unique()
                keys = keys[torch.randperm(keys.numel(), generator=generator)]
                chosen = torch.cat([chosen, keys[: count - chosen.numel()]])
        return torch.stack([chosen // n, chosen % n])
