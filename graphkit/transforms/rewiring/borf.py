"""Batch Ollivier-Ricci flow."""

from __future__ import annotations

import numpy as np

from graphkit.algorithms.graph import SimpleGraph
from graphkit.core.checks import Checks
from graphkit.core.constraints import Count, NonNegativeInt
from graphkit.transforms.rewiring.base import Budget, EdgeChange, PairRewiring, budget, net_change


class BORF(PairRewiring):
    r"""Batch Ollivier-Ricci flow: supports the most negative edges and removes the most positive ones, in batches.

    From `"Revisiting Over-smoothing and Over-squashing Using Ollivier-Ricci Curvature"
    <https://arxiv.org/abs/2211.15779>`_ (Nguyen et al., ICML 2023).

    In each batch, curvature :math:`\kappa(u, v) = 1 - W_1(\mu_u, \mu_v)` (see
    :func:`~graphkit.algorithms.ollivier_ricci_curvature`) is computed once. Each of the :math:`h` edges of smallest
    curvature gets an edge between the pair :math:`(p, q)` that contributes most to the cost of its transport plan, if
    they are not joined; then the :math:`k` edges of largest curvature are removed. Equal ones: the smallest pair first.

    The official code removes *all* edges for :math:`k = 0`, adds edges in one direction and forgets their relation;
    neither is copied. Where several plans are best, which pair is taken is a matter of the solver. Edge weights do not
    count.

    Args:
        num_edges: The number of pairs to add in all batches together, :math:`h` times the number of batches, at most:
            an ``int``, or a ``float`` for a share of the pairs joined (default: 9).
        num_removed: The number :math:`k` of pairs to remove per batch (default: 0).
        num_batches: The number of batches; :math:`h` is rounded up and the last batch smaller if it does not divide the
            budget (default: 3).

    Raises:
        ValueError: If a number is negative or there is no batch.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> barbell = torch.tensor([[0, 0, 1, 2, 3, 3, 4], [1, 2, 2, 3, 4, 5, 5]])
        >>> out = BORF(num_edges=1)(Data(edge_index=barbell, num_nodes=6))
        >>> out.edge_index[:, out.edge_type == 1].tolist()
        [[1, 5], [5, 1]]
    """

    checks = Checks(
        [{"num_edges": 4, "num_removed": 2}, {"num_edges": 2, "num_removed": 1, "num_batches": 2}],
        expected_failures={
            "permutation": "equal curvatures and equally good transport plans are told apart by node number"
        },
    )

    expensive = True

    def __init__(
        self,
        num_edges: Budget = 9,
        num_removed: NonNegativeInt = 0,
        num_batches: Count = 3,
        report: bool = True,
    ) -> None:
        self.num_edges = num_edges
        self.num_removed, self.num_batches, self.report = num_removed, num_batches, report

    def choose(self, graph: SimpleGraph) -> EdgeChange:
        wanted = budget(self.num_edges, graph)
        per_batch = -(-wanted // self.num_batches)
        none = np.full((1, 2), -1, dtype=np.int64)
        added, removed = [none[:0]], [none[:0]]
        for batch in range(self.num_batches):
            h = min(per_batch, wanted - batch * per_batch)
            new, gone = _batch(graph, max(h, 0), self.num_removed)
            added += [new, np.repeat(none, gone.shape[0], axis=0)]
            removed += [np.repeat(none, new.shape[0], axis=0), gone]
            graph = graph.with_pairs(new).without_pairs(gone)
        return net_change(np.concatenate(added), np.concatenate(removed))


def _batch(graph: SimpleGraph, num_added: int, num_removed: int) -> tuple[np.ndarray, np.ndarray]:
    """The pairs to add and to remove."""
    from graphkit.algorithms.kernels.curvature import ollivier_ricci

    pairs = graph.pairs()
    curvature, dearest = ollivier_ricci(*graph.neighbours(), pairs)
    order = np.argsort(curvature.round(12), kind="stable")
    joined = set(map(tuple, pairs.tolist()))
    new: dict[tuple[int, int], None] = {}
    for p, q in np.sort(dearest[order[:num_added]], axis=1).tolist():
        if p >= 0 and p != q and (p, q) not in joined:
            new[p, q] = None
    gone = pairs[np.argsort(-curvature.round(12), kind="stable")[:num_removed]]
    return np.array(list(new), dtype=np.int64).reshape(-1, 2), gone
