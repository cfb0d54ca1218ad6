"""Locality-aware sequential rewiring."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from graphkit.algorithms.graph import SimpleGraph
from graphkit.core.checks import Checks
from graphkit.core.constraints import Count, Interval, NonNegativeInt, Seed
from graphkit.transforms.rewiring.base import EdgeChange, PairRewiring

_BLOCK = 256  # rows of the connectivity matrix at a time
_WALK = 8


class LASER(PairRewiring):
    r"""Locality-aware sequential rewiring: one relation per distance, among the worst connected pairs of it.

    From `"Locality-Aware Graph-Rewiring in GNNs" <https://arxiv.org/abs/2310.01668>`_ (Barbero et al., ICLR 2024).

    For :math:`r = 2, \dots, L` and every node :math:`v`, edges to the share :math:`\rho` of the nodes at distance
    exactly :math:`r` with the smallest connectivity

    .. math::
        \mu(v, u) = \big((A + I)^8\big)_{vu}

    are added with relation :math:`r - 1`. Equal connectivities are ordered at random.

    Distances are those of the graph, and a pair chosen from one end is joined in both directions. The official code's
    default works on the matrix that it changes, so that later snapshots mix distances, and it looks from the node of
    the larger number only.

    Args:
        num_snapshots: The number :math:`L` of graphs, the original included (default: 3).
        rho: The share :math:`\rho` (default: 0.25).
        minimum_additions: The number of edges per node and distance at least, if there are as many nodes (default: 1).
        seed: The seed that orders equal connectivities (default: 0).

    Raises:
        ValueError: If ``num_snapshots`` is below 1, ``rho`` outside [0, 1] or ``minimum_additions`` negative.

    Complexity: :math:`O(|V| |E|)`, in memory of a few hundred rows.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> path = Data(edge_index=torch.tensor([[0, 1, 2], [1, 2, 3]]), num_nodes=4)
        >>> out = LASER(num_snapshots=3)(path)
        >>> out.edge_index[:, out.edge_type == 2].tolist()
        [[0, 3], [3, 0]]
    """

    checks = Checks([{"num_snapshots": 3}, {"num_snapshots": 4, "rho": 1.0}])

    expensive = True

    def __init__(
        self,
        num_snapshots: Count = 3,
        rho: Annotated[float, Interval(0, 1, "right")] = 0.25,
        minimum_additions: NonNegativeInt = 1,
        seed: Seed = 0,
        report: bool = True,
    ) -> None:
        self.num_snapshots, self.rho, self.minimum_additions = num_snapshots, rho, minimum_additions
        self.seed, self.report = seed, report

    def choose(self, graph: SimpleGraph) -> EdgeChange:
        from scipy.sparse import eye_array

        n, generator = graph.num_nodes, np.random.default_rng(self.seed)
        joined = graph.adjacency.copy()
        joined.data[:] = 1.0
        walk = (joined + eye_array(n)).tocsr()
        chosen: list[list[np.ndarray]] = [[] for _ in range(self.num_snapshots + 1)]  # by distance
        for start in range(0, n, _BLOCK):
            rows = np.arange(start, min(start + _BLOCK, n))
            connectivity = np.zeros((rows.size, n))
            connectivity[np.arange(rows.size), rows] = 1.0
            front = reached = connectivity > 0
            for _ in range(_WALK):
                connectivity = connectivity @ walk
            for distance in range(1, self.num_snapshots + 1):
                front = (front @ joined > 0) & ~reached
                reached = reached | front
                if distance > 1:
                    for row, orbit, weight in zip(rows, front, connectivity):
                        others = self._weakest(np.flatnonzero(orbit), weight, generator)
                        chosen[distance].append(np.stack([np.full(others.size, row), others], axis=1))
        pairs = [np.unique(np.sort(np.concatenate(parts), axis=1), axis=0) for parts in chosen if parts]
        relation = [np.full(both.shape[0], r, dtype=np.int64) for r, both in enumerate(pairs, start=1)]
        none = np.empty((0, 2), dtype=np.int64)
        return EdgeChange(np.concatenate([none, *pairs]), relation=np.concatenate([none[:, 0], *relation]))

    def _weakest(self, orbit: np.ndarray, connectivity: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """The nodes of an orbit with the smallest connectivity."""
        orbit = generator.permutation(orbit)
        count = max(self.minimum_additions, round(self.rho * orbit.size))
        return orbit[np.argsort(connectivity[orbit], kind="stable")[:count]]
