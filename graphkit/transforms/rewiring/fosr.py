"""First-order spectral rewiring."""

from __future__ import annotations

import numpy as np

from graphkit.algorithms.graph import SimpleGraph
from graphkit.core.checks import Checks
from graphkit.core.constraints import NonNegativeInt, Seed
from graphkit.transforms.rewiring.base import Budget, EdgeChange, PairRewiring, budget


class FoSR(PairRewiring):
    r"""First-order spectral rewiring: adds the edges that raise the spectral gap most, to first order.

    From `"FoSR: First-order spectral rewiring for addressing oversquashing in GNNs" <https://arxiv.org/abs/2210.11790>`_
    (Karhadkar, Banerjee, Montúfar, ICLR 2023).

    A vector :math:`x`, drawn from :math:`[-1, 1]^n`, approximates the second eigenvector of
    :math:`D^{-1/2} A D^{-1/2}` by steps of power iteration. The pair not joined with the smallest

    .. math::
        \frac{x_u x_v}{\sqrt{(1 + d_u)(1 + d_v)}}

    is added (equal ones: the smallest pair), one more power step follows, and so on. The same edges as those of the
    official code, without its product of all pairs: the smallest product is one of extremes.

    Isolated nodes, on which the official code divides by zero, are left alone; a graph without free pairs ends the
    sequence early, where the official code adds self-loops. Edge weights do not count.

    Args:
        initial_steps: Power steps before the first edge (default: 5).
        seed: The seed of the first vector (default: 0).

    Raises:
        ValueError: If ``num_edges`` or ``initial_steps`` is negative.

    Complexity: :math:`O(|V| + |E|)` per edge.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> path = Data(edge_index=torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]]), num_nodes=5)
        >>> before, after = FoSR(num_edges=1)(path).spectral_gap[0].tolist()
        >>> after > before
        True
    """

    checks = Checks(
        [{"num_edges": 3}, {"num_edges": 0.5, "report": False}],
        expected_failures={"permutation": "the power iteration starts from a vector drawn by node number"},
    )

    nested = True

    def __init__(
        self,
        num_edges: Budget = 10,
        initial_steps: NonNegativeInt = 5,
        seed: Seed = 0,
        report: bool = True,
    ) -> None:
        self.num_edges = num_edges
        self.initial_steps, self.seed, self.report = initial_steps, seed, report

    def choose(self, graph: SimpleGraph) -> EdgeChange:
        start = np.random.default_rng(self.seed).uniform(-1, 1, graph.num_nodes)
        return EdgeChange(self.sequence(graph, start)[0])

    def sequence(self, graph: SimpleGraph, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The pairs chosen from a given first vector, and the last vector."""
        from graphkit.algorithms.kernels.fosr import fosr

        num_edges = budget(self.num_edges, graph)
        return fosr(*graph.neighbours(), start, num_edges, self.initial_steps)
