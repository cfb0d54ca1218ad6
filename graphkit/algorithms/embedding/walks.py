"""Random walks on a graph, and how often they bring two nodes together."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphkit.algorithms.embedding.adjacency import adjacency, out_degree
from graphkit.core.constraints import Count, NonNegativeInt, Positive, Seed, checked


class Walker:
    """Draws walks from some nodes of a graph.

    Args:
        matrix: The matrix of :func:`~graphkit.algorithms.embedding.adjacency.adjacency`.
        length: The number of nodes of a walk.
        p: The return parameter.
        q: The in-out parameter.
        seed: The seed.
    """

    def __init__(self, matrix: Any, length: int, p: float, q: float, seed: int) -> None:
        from graphkit.algorithms.kernels.alias import alias_tables

        self.num_nodes, self.length, self.p, self.q, self.seed = matrix.shape[0], length, p, q, seed
        self.rowptr, self.col = matrix.indptr, matrix.indices
        if (matrix.data == matrix.data[:1]).all():
            self.tables: tuple[np.ndarray, np.ndarray] = np.empty(0), np.empty(0, np.int32)
        else:
            self.tables = alias_tables(self.rowptr, matrix.data)

    def __call__(self, starts: np.ndarray, first: int, dtype: Any = np.int32) -> np.ndarray:
        """Walks ``[num_starts, length]``; those of the same number, counted from ``first``, are the same."""
        from graphkit.algorithms.kernels.walks import walks

        out = np.empty((starts.size, self.length), dtype)
        walks(self.rowptr, self.col, *self.tables, starts, self.p, self.q, self.seed, first, out)
        return out


@checked
def random_walks(
    edge_index: Tensor,
    edge_weight: Tensor | None = None,
    num_nodes: NonNegativeInt | None = None,
    starts: Tensor | None = None,
    walk_length: Count = 40,
    p: Positive = 1.0,
    q: Positive = 1.0,
    seed: Seed = 0,
) -> Tensor:
    r"""Random walks along edges, in proportion to their weights.

    A step from :math:`v` that came from :math:`t` goes to :math:`x` with a probability in proportion to
    :math:`w_{vx}` times :math:`1/p` for :math:`x = t`, 1 for neighbours of :math:`t` and :math:`1/q` for all others
    (`"node2vec" <https://arxiv.org/abs/1607.00653>`_, Grover, Leskovec, KDD 2016); ``p = q = 1`` forgets :math:`t`.

    Args:
        edge_index: Edges ``[2, num_edges]``.
        edge_weight: Weights ``[num_edges]``, not negative; repeated edges add up (default: ones).
        num_nodes: The number of nodes (default: the largest id plus one).
        starts: The first node of each walk (default: every node once).
        walk_length: The number of nodes of a walk (default: 40).
        p: The return parameter: large to seldom go straight back (default: 1).
        q: The in-out parameter: large to stay near, small to go far (default: 1).
        seed: The seed (default: 0).

    Shapes:
        - **output:** ``[num_walks, walk_length]``; where a walk has come to a node without outgoing edges it stops, and
          -1 follows

    Raises:
        IndexError: If a start is no node.

    Example:
        >>> random_walks(torch.tensor([[0, 1], [1, 2]]), walk_length=4)
        tensor([[ 0,  1,  2, -1],
                [ 1,  2, -1, -1],
                [ 2, -1, -1, -1]])
    """
    matrix = adjacency(edge_index, edge_weight, num_nodes, "random_walks")
    n = matrix.shape[0]
    nodes = np.arange(n) if starts is None else starts.detach().cpu().numpy().astype(np.int64).reshape(-1)
    wrong = nodes[(nodes < 0) | (nodes >= n)]
    if wrong.size:
        raise IndexError(f"random_walks: starts has node {wrong[0]}, must be in 0..{n - 1}")
    return torch.from_numpy(Walker(matrix, walk_length, p, q, seed)(nodes, 0, np.int64)).to(edge_index.device)


@checked
def expected_pair_counts(
    edge_index: Tensor,
    edge_weight: Tensor | None = None,
    num_nodes: NonNegativeInt | None = None,
    walk_length: Count = 40,
    window: Count = 5,
) -> Tensor:
    r"""How often nodes are expected to be within a window of one another in one walk from every node.

    .. math::
        C = \sum_{d=1}^{w} \sum_{i=0}^{t-1-d} \mathrm{diag}(1^\top P^i) P^d, \qquad
        \text{the result is } C + C^\top, \quad P = D^{-1} A

    A closed form to which samples can be compared; it takes memory in proportion to the square of nodes.

    Args:
        edge_index: Edges ``[2, num_edges]``.
        edge_weight: Weights ``[num_edges]``, not negative; repeated edges add up (default: ones).
        num_nodes: The number of nodes (default: the largest id plus one).
        walk_length: The number of nodes :math:`t` of a walk (default: 40).
        window: The largest distance :math:`w` within a walk (default: 5).

    Shapes:
        - **output:** ``[num_nodes, num_nodes]``, in double precision

    Example:
        >>> expected_pair_counts(torch.tensor([[0, 1], [1, 0]]), walk_length=3, window=1)
        tensor([[0., 4.],
                [4., 0.]], dtype=torch.float64)
    """
    matrix = adjacency(edge_index, edge_weight, num_nodes, "expected_pair_counts")
    degree = out_degree(matrix)
    matrix.data /= np.repeat(degree, np.diff(matrix.indptr))
    here, arrivals = np.ones(matrix.shape[0]), []
    for _ in range(walk_length):
        arrivals.append(here)
        here = matrix.T @ here
    total, step = np.zeros(matrix.shape), np.eye(matrix.shape[0])
    for distance in range(1, min(window, walk_length - 1) + 1):
        step = matrix @ step
        total += np.sum(arrivals[: walk_length - distance], axis=0)[:, None] * step
    return torch.from_numpy(total + total.T).to(edge_index.device)
