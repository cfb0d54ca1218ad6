"""Pairs of nodes by distance."""

from __future__ import annotations

from torch_geometric.data import Data

from graphkit.algorithms import hop_pairs
from graphkit.core.checks import Checks
from graphkit.core.constraints import Count
from graphkit.transforms.base import Precompute


class Hops(Precompute):
    r"""Adds ``hop_index`` and ``hop_distance``: all pairs of nodes up to some distance, and how far apart they are.

    Models that read farther nodes ask for this transform by themselves; see :func:`~graphkit.algorithms.hop_pairs`. The
    number of pairs can grow with the square of the number of nodes, so it is counted before memory is taken. PyG's
    ``Batch`` puts the pairs of several graphs together as it does with edges.

    Args:
        max_hop: The largest distance (default: 2).
        max_pairs: The largest number of pairs of one graph, 9 bytes each (default: 100 million).

    Shapes:
        - **hop_index:** ``[2, num_pairs]``, ``torch.int32``
        - **hop_distance:** ``[num_pairs]``, ``torch.uint8`` (``torch.int16`` from ``max_hop`` 256 on)

    Raises:
        ValueError: If a graph has more than ``max_pairs`` pairs.

    Example:
        >>> import torch
        >>> data = Hops(2)(Data(edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3))
        >>> data.hop_index.tolist(), data.hop_distance.tolist()
        ([[1, 2, 0, 2, 0, 1], [0, 0, 1, 1, 2, 2]], [1, 2, 1, 1, 2, 1])
    """

    checks = Checks([{"max_hop": 3}])

    expensive = True

    def __init__(self, max_hop: Count = 2, max_pairs: Count = 10**8) -> None:
        self.max_hop = max_hop
        self.max_pairs = max_pairs

    def forward(self, data: Data) -> Data:
        """Add the pairs to ``data`` (a shallow copy when called through ``transform(data)``)."""
        n = int(data.num_nodes or 0)
        data.hop_index, data.hop_distance = hop_pairs(data.edge_index, n, self.max_hop, self.max_pairs)
        return data
