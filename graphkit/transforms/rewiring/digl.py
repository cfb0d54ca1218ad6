"""Diffusion in place of adjacency."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.algorithms.graph import SimpleGraph
from graphkit.algorithms.spectral.laplacian import BLOCK, LaplacianSolver
from graphkit.algorithms.spectral.resistance import DENSE_NODES
from graphkit.core.checks import Checks
from graphkit.core.constraints import Count, Interval
from graphkit.core.reads import Reads
from graphkit.transforms.rewiring.base import Rewiring, last_relation, replace_edges


class DIGL(Rewiring):
    r"""Replaces the graph by a sparsified personalised PageRank diffusion (graph diffusion convolution).

    From `"Diffusion Improves Graph Learning" <https://arxiv.org/abs/1911.05485>`_ (Gasteiger, Weißenberger, Günnemann,
    NeurIPS 2019), as PyG's ``GDC``.

    .. math::
        S = \alpha \big(I - (1 - \alpha) T\big)^{-1}, \qquad T = \tilde D^{-1/2} (A + I) \tilde D^{-1/2}

    of which the entries of at least :math:`\varepsilon`, or the :math:`k` largest of each column, stay and are
    normalised by columns. The result is directed and weighted (``edge_weight``) and has self-loops; old edges that are
    not in it are gone. Where there was no edge, ``edge_type`` is the next number and other attributes are 0. Existing
    weights count. A graph of one node stays as it is.

    Args:
        alpha: The teleport probability :math:`\alpha` (default: 0.1).
        eps: The threshold :math:`\varepsilon` (default: 0.05).
        k: Keep the ``k`` largest entries per column instead (default: ``None``).
        weighted: Whether the result has the diffusion's weights; without, the weight of every edge is 1, which some
            comparisons call DIGL (default: ``True``).
        report: Whether to measure total resistance and spectral gap before and after, with these weights (default:
            ``True``).

    Raises:
        ValueError: If ``alpha`` is not in (0, 1), ``eps`` not in (0, 1] or ``k`` below 1.

    Complexity: :math:`O(n^3)` up to 2000 nodes; beyond, near-linear in the edges for each node, in memory of some
    columns of :math:`S` and the result.

    Example:
        >>> path = Data(edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3)
        >>> out = DIGL(eps=0.3)(path)
        >>> out.edge_index.tolist(), out.edge_type.tolist()
        ([[0, 0, 1, 1, 1, 2, 2], [0, 1, 0, 1, 2, 1, 2]], [1, 0, 0, 1, 0, 0, 1])
    """

    checks = Checks([{"eps": 0.05}, {"alpha": 0.3, "eps": 0.1, "weighted": False}])

    expensive = True
    reads = Reads(direction=False, edge_weight=True)

    def __init__(
        self,
        alpha: Annotated[float, Interval(0, 1, "neither")] = 0.1,
        eps: Annotated[float, Interval(0, 1, "right")] = 0.05,
        k: Count | None = None,
        weighted: bool = True,
        report: bool = True,
    ) -> None:
        self.alpha, self.eps, self.k = alpha, eps, k
        self.weighted, self.report = weighted, report

    def rewire(self, data: Data, graph: SimpleGraph) -> None:
        n, before = graph.num_nodes, data.edge_index
        weight = data.get("edge_weight")
        relation = last_relation(data) + 1
        if n > 1:
            edge_index, diffused = (part.to(before.device) for part in self._diffuse(graph))
            old_keys, old_order = (before[0] * n + before[1]).sort(stable=True)
            keys = edge_index[0] * n + edge_index[1]
            old = torch.full_like(keys, -1)
            known = torch.isin(keys, old_keys)
            old[known] = old_order[torch.searchsorted(old_keys, keys[known])]
            replace_edges(data, edge_index, old, "DIGL", {"edge_type": keys.new_full((int((~known).sum()),), relation)})
            diffused = diffused[keys.argsort()]
        else:
            diffused = torch.ones(data.num_edges, device=before.device)
        dtype = torch.get_default_dtype() if weight is None else weight.dtype
        data.edge_weight = diffused.to(dtype) if self.weighted else torch.ones_like(diffused, dtype=dtype)

    def _diffuse(self, graph: SimpleGraph) -> tuple[Tensor, Tensor]:
        """The edges of the result and their weights."""
        rows, columns, values = [], [], []
        for nodes, diffused in _pagerank(graph, self.alpha):
            if self.k is None:
                row, column = np.nonzero(diffused >= self.eps)
            else:
                row = np.argsort(-diffused.round(12), axis=0, kind="stable")[: self.k].ravel()
                column = np.tile(np.arange(nodes.size), min(self.k, graph.num_nodes))
            rows.append(row)
            columns.append(nodes[column])
            values.append(diffused[row, column])
        edge_index, weight = np.stack([np.concatenate(rows), np.concatenate(columns)]), np.concatenate(values)
        weight /= np.bincount(edge_index[1], weight, graph.num_nodes)[edge_index[1]]
        return torch.from_numpy(edge_index), torch.from_numpy(weight)


def _pagerank(graph: SimpleGraph, alpha: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    r"""Some nodes at a time, and their columns of :math:`S = \alpha \tilde D^{1/2} K^{-1} \tilde D^{1/2}`.

    :math:`K = (1 - \alpha) L + \alpha \tilde D` is the Laplacian of a graph in which each node is also joined to the
    ground, a further node, by :math:`\alpha \tilde d_v`.
    """
    from scipy.sparse import block_array, coo_array

    n = graph.num_nodes
    degree = graph.weighted_degree + 1.0
    root = np.sqrt(degree)
    if n <= DENSE_NODES:
        inverse = np.linalg.inv((1 - alpha) * graph.dense_laplacian() + np.diag(alpha * degree))
        yield np.arange(n), alpha * root[:, None] * inverse * root
        return
    ground = coo_array(alpha * degree[:, None])
    grounded = SimpleGraph(block_array([[(1 - alpha) * graph.adjacency, ground], [ground.T, None]]).tocsr())
    solver = LaplacianSolver(grounded)
    for nodes in np.split(np.arange(n), range(BLOCK, n, BLOCK)):
        b = np.zeros((n + 1, nodes.size))
        b[nodes, np.arange(nodes.size)], b[n] = root[nodes], -root[nodes]
        x = solver.solve(b)
        yield nodes, alpha * root[:, None] * (x[:n] - x[n])
