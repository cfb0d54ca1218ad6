"""Products with the pseudo-inverse of a graph's Laplacian: dense for small components, iterative for any size."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from graphkit.algorithms.graph import SimpleGraph

BLOCK = 64  # right-hand sides that are solved together


def pseudo_inverse(graph: SimpleGraph) -> np.ndarray:
    r"""The dense pseudo-inverse :math:`L^+` of the Laplacian of a connected graph, in :math:`O(n^3)`.

    :math:`L^+ = (L + \tfrac{c}{n} J)^{-1} - \tfrac{1}{cn} J` with the matrix of ones :math:`J` and the mean degree
    :math:`c`, by Cholesky factors: unlike singular values below a threshold, nothing is cut off.
    """
    from scipy.linalg.lapack import dpotrf, dpotri

    n = graph.num_nodes
    if n == 1:
        return np.zeros((1, 1))
    matrix = graph.dense_laplacian()
    scale = matrix.trace() / n
    matrix += scale / n
    factor, failed = dpotrf(matrix.T, lower=1, overwrite_a=1, clean=0)
    if failed:
        raise ValueError(f"the Laplacian of a graph of {n} nodes is not positive: the graph is not connected")
    inverse, _ = dpotri(factor, lower=1, overwrite_c=1)
    inverse = np.tril(inverse)
    inverse += np.tril(inverse, -1).T
    inverse -= 1 / (scale * n)
    return inverse


class LaplacianSolver:
    r"""Solves :math:`L x = b` for many right-hand sides by conjugate gradients, near-linearly in the edges.

    The preconditioner is an approximate Cholesky factor with random tree-like fill (Kyng, Sachdeva: `"Approximate
    Gaussian Elimination for Laplacians" <https://arxiv.org/abs/1605.02353>`_, FOCS 2016), exact on trees. A solution
    has mean 0 in every component; the mean of ``b`` in a component does not count.

    Args:
        graph: The graph, of any number of components.
        tolerance: The residual's norm over that of the right-hand side (default: 1e-10).
        seed: The seed of the fill (default: 0).
    """

    def __init__(self, graph: SimpleGraph, tolerance: float = 1e-10, seed: int = 0) -> None:
        from graphkit.algorithms.kernels.cholesky import factorize

        self.graph, self.tolerance = graph, tolerance
        self._laplacian = graph.laplacian()
        a = graph.adjacency
        self._factors = factorize(a.indptr.astype(np.int64), a.indices.astype(np.int64), a.data, seed)

    def precondition(self, r: np.ndarray) -> np.ndarray:
        """Approximately :math:`L^+ r` for ``r`` ``[num_nodes, k]``."""
        from graphkit.algorithms.kernels.cholesky import substitute

        out = np.array(r, dtype=np.float64, order="C")
        substitute(*self._factors, out)
        return self.center(out)

    def solve(self, b: np.ndarray) -> np.ndarray:
        """:math:`L^+ b` for ``b`` ``[num_nodes, k]``.

        Raises:
            ArithmeticError: If the tolerance is not reached.
        """
        residual = self.center(np.array(b, dtype=np.float64, order="C"))
        goal = self.tolerance * np.maximum(np.linalg.norm(residual, axis=0), np.finfo(float).tiny)
        x = np.zeros_like(residual)
        z = self.precondition(residual)
        direction, rho = z, np.einsum("ij,ij->j", residual, z)
        for _ in range(1000):
            if (np.linalg.norm(residual, axis=0) <= goal).all():
                return self.center(x)
            product = self._laplacian @ direction
            curvature = np.einsum("ij,ij->j", direction, product)
            step = np.divide(rho, curvature, out=np.zeros_like(rho), where=curvature > 0)
            x += step * direction
            product *= step
            residual -= product
            z = self.precondition(residual)
            before, rho = rho, np.einsum("ij,ij->j", residual, z)
            direction = z + np.divide(rho, before, out=np.zeros_like(rho), where=before > 0) * direction
        worst = (np.linalg.norm(residual, axis=0) / goal).max() * self.tolerance
        raise ArithmeticError(f"conjugate gradients stopped at a relative residual of {worst:.1e}")

    @cached_property
    def _by_component(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Nodes sorted by component and where each component starts; ``None`` for a connected graph."""
        if self.graph.component_size.size <= 1:
            return None
        ends = np.cumsum(self.graph.component_size)
        return np.argsort(self.graph.component, kind="stable"), np.concatenate([[0], ends[:-1]])

    def center(self, x: np.ndarray) -> np.ndarray:
        """Subtract, in place, the mean of each component."""
        if self._by_component is None:
            x -= x.mean(axis=0)
            return x
        order, start = self._by_component
        mean = np.add.reduceat(x[order], start, axis=0) / self.graph.component_size[:, None]
        x -= mean[self.graph.component]
        return x
