"""Pairs of ancestors and descendants in a hierarchy, by distance."""

from __future__ import annotations

import torch
from torch_geometric.data import Data

from graphkit.algorithms import hop_pairs
from graphkit.core.checks import Checks
from graphkit.core.constraints import Count
from graphkit.core.reads import Reads
from graphkit.transforms.base import Precompute

_FARTHEST = 2**15 - 1


class AncestorGroups(Precompute):
    r"""Adds ``ancestor_index`` and ``ancestor_group``: who is reached from whom along the edges, and how far away.

    Edges lead from a parent to a child. Group 0 joins each node to itself, group :math:`k` the pairs whose shortest
    path has :math:`k` edges, and the last group all that are farther, too. :class:`~graphkit.models.DGP` asks for this
    transform by itself.

    Args:
        num_groups: The number of groups (default: 5, distances up to 3 and all beyond).
        max_pairs: The largest number of pairs of one graph, 9 bytes each (default: 100 million).

    Shapes:
        - **ancestor_index:** ``[2, num_pairs]``, ancestors and descendants, sorted by descendant and group 0 last
        - **ancestor_group:** ``[num_pairs]``

    Raises:
        ValueError: If a graph has more than ``max_pairs`` pairs.

    Example:
        >>> data = AncestorGroups(3)(Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=3))
        >>> data.ancestor_index.tolist(), data.ancestor_group.tolist()
        ([[0, 0, 1, 0, 1, 2], [1, 2, 2, 0, 1, 2]], [1, 2, 1, 0, 0, 0])
    """

    checks = Checks([{"num_groups": 3}])
    expensive = True
    reads = Reads(x=False)

    def __init__(self, num_groups: Count = 5, max_pairs: Count = 10**8) -> None:
        self.num_groups, self.max_pairs = num_groups, max_pairs

    def forward(self, data: Data) -> Data:
        """Add the pairs to ``data`` (a shallow copy when called through ``transform(data)``)."""
        n, last = int(data.num_nodes or 0), self.num_groups - 1
        pairs, distance = hop_pairs(data.edge_index, n, _FARTHEST, self.max_pairs)
        nodes = torch.arange(n, device=pairs.device).repeat(2, 1)
        data.ancestor_index = torch.cat([pairs.long(), nodes], dim=1)
        data.ancestor_group = torch.cat([distance.long().clamp(max=last), nodes[0] * 0])
        return data
