"""Random extra edges: the baseline of every rewiring."""

from __future__ import annotations

import numpy as np

from graphkit.algorithms.graph import SimpleGraph
from graphkit.core.checks import Checks
from graphkit.core.constraints import Seed
from graphkit.transforms.rewiring.base import Budget, EdgeChange, PairRewiring, budget


class RandomEdges(PairRewiring):
    r"""Adds undirected edges between node pairs drawn uniformly from those not yet joined.

    Pairs joined in one direction count as joined, and self-loops are never drawn. If fewer free pairs exist than were
    asked for, all of them are added. What the result holds is listed at :class:`Rewiring`.

    Args:
        seed: The seed of the draw (default: 0).

    Raises:
        ValueError: If ``num_edges`` is negative.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> data = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=3)
        >>> RandomEdges(num_edges=2)(data).edge_index.tolist()
        [[0, 0, 1, 1, 2, 2], [1, 2, 0, 2, 0, 1]]
    """

    checks = Checks(
        [{"num_edges": 3}, {"num_edges": 0.5}],
        expected_failures={"permutation": "edges are drawn by node number, so a relabelled graph gets other edges"},
    )

    nested = True

    def __init__(self, num_edges: Budget = 10, seed: Seed = 0, report: bool = True) -> None:
        self.num_edges = num_edges
        self.seed, self.report = seed, report

    def choose(self, graph: SimpleGraph) -> EdgeChange:
        n = graph.num_nodes
        taken = graph.pairs() @ np.array([n, 1])
        free = n * (n - 1) // 2 - taken.size
        return EdgeChange(self._draw(n, taken, min(budget(self.num_edges, graph), free)))

    def _draw(self, n: int, taken: np.ndarray, count: int) -> np.ndarray:
        generator = np.random.default_rng(self.seed)
        if n * (n - 1) // 2 <= max(1000, 4 * taken.size):  # few or dense: list the free pairs
            rows, columns = np.triu_indices(n, 1)
            free = np.setdiff1d(rows * n + columns, taken, assume_unique=True)
            chosen = generator.permutation(free)[:count]
        else:  # draw and reject, always in the same order, so that budgets are nested
            chosen = np.empty(0, dtype=np.int64)
            while chosen.size < count:
                ends = np.sort(generator.integers(n, size=(2, 4096)), axis=0)
                keys = np.concatenate([chosen, ends[0] * n + ends[1]])
                keys = keys[np.sort(np.unique(keys, return_index=True)[1])]
                chosen = keys[(keys // n != keys % n) & ~np.isin(keys, taken)]
            chosen = chosen[:count]
        return np.stack([chosen // max(n, 1), chosen % max(n, 1)], axis=1)
