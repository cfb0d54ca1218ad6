"""Stochastic discrete Ricci flow."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from graphkit.algorithms.graph import SimpleGraph
from graphkit.core.checks import Checks
from graphkit.core.constraints import Interval, Seed
from graphkit.transforms.rewiring.base import Budget, EdgeChange, PairRewiring, budget, net_change


class SDRF(PairRewiring):
    r"""Stochastic discrete Ricci flow: supports the most negatively curved edge, again and again.

    From `"Understanding over-squashing and bottlenecks on graphs via curvature" <https://arxiv.org/abs/2111.14522>`_
    (Topping et al., ICLR 2022).

    In every round the edge :math:`(x, y)` of the smallest balanced Forman curvature gets an edge between a node of
    :math:`N(x) \cup \{x\}` and one of :math:`N(y) \cup \{y\}`, drawn with probabilities
    :math:`\mathrm{softmax}(\tau \delta)`, where :math:`\delta` is what it adds to the curvature of :math:`(x, y)`. Then
    the edge of the largest curvature is removed if that exceeds ``removal_bound``. Both look at the curvature at the
    start of the round.

    The curvature is that of the authors' code for GPUs (``definition="official"`` of
    :func:`~graphkit.algorithms.balanced_forman_curvature`), a new edge is judged in one direction, as there, and only
    joined pairs are candidates for the smallest and the largest curvature. Not copied: leaving rows early (the code for
    processors), an overflow for large :math:`\tau`, and relations given to wrong edges. Edge weights do not count.

    Args:
        num_edges: The number of rounds, each adding a pair at most: an ``int``, or a ``float`` for a share of the pairs
            joined (default: 10).
        tau: The inverse temperature :math:`\tau`; ``math.inf`` takes the largest gain (default: 1).
        removal_bound: Remove an edge of a larger curvature, the paper's :math:`C^+`; ``None`` removes nothing (default:
            0.5).
        seed: The seed of the draws (default: 0).

    Raises:
        ValueError: If ``num_edges`` is negative or ``tau`` not positive.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> barbell = torch.tensor([[0, 0, 1, 2, 3, 3, 4], [1, 2, 2, 3, 4, 5, 5]])
        >>> out = SDRF(num_edges=1, removal_bound=None)(Data(edge_index=barbell, num_nodes=6))
        >>> bool(out.spectral_gap[0, 1] > out.spectral_gap[0, 0])
        True
    """

    checks = Checks(
        [{"num_edges": 3}, {"num_edges": 0.5, "tau": float("inf"), "removal_bound": None}],
        expected_failures={"permutation": "equal curvatures are told apart by node number"},
    )

    expensive = True

    def __init__(
        self,
        num_edges: Budget = 10,
        tau: Annotated[float, Interval(0, closed="right")] = 1.0,
        removal_bound: Annotated[float, Interval(-2)] | None = 0.5,
        seed: Seed = 0,
        report: bool = True,
    ) -> None:
        self.num_edges = num_edges
        self.tau, self.removal_bound = tau, removal_bound
        self.seed, self.report = seed, report

    def choose(self, graph: SimpleGraph) -> EdgeChange:
        return net_change(*self.sequence(graph))

    def sequence(self, graph: SimpleGraph) -> tuple[np.ndarray, np.ndarray]:
        """The pairs added and removed in each round, -1 for none."""
        from graphkit.algorithms.kernels.sdrf import sdrf

        rounds = budget(self.num_edges, graph)
        uniform = np.random.default_rng(self.seed).random(rounds)
        bound = math.inf if self.removal_bound is None else float(self.removal_bound)
        return sdrf(*graph.neighbours(), uniform, float(self.tau), bound)
