"""The smoothest eigenvectors of a graph's normalised Laplacian, of graphs of any size."""

from __future__ import annotations

import warnings

import numpy as np

from graphkit.algorithms.graph import SimpleGraph
from graphkit.algorithms.spectral.laplacian import LaplacianSolver

_FURTHER = 4  # eigenvectors that are iterated besides those wanted, which converge faster for it
_ITERATIONS = 500


def smallest_eigenpairs(
    graph: SimpleGraph, count: int, tolerance: float = 1e-8, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    r"""The smallest eigenvalues of :math:`I - D^{-1/2} A D^{-1/2}`, ascending, and their eigenvectors.

    The zeros are known: a component's eigenvector is :math:`D^{1/2} 1` there, in the order of components. The others
    come by LOBPCG with the preconditioner of :class:`LaplacianSolver`, nearly linear in the edges.

    Args:
        graph: The graph, of many more nodes than ``count``; a node without edges is a component of its own.
        count: The number of eigenvalues.
        tolerance: The norm of the residual :math:`L u - \lambda u` of an eigenvector (default: 1e-8).
        seed: The seed of the fill and of the iteration's start (default: 0).

    Returns:
        The eigenvalues ``[count]`` and the eigenvectors ``[num_nodes, count]``, of length 1.
    """
    from scipy.sparse import diags_array
    from scipy.sparse.linalg import LinearOperator, lobpcg

    n, components = graph.num_nodes, graph.component_size.size
    degree = graph.weighted_degree
    root = np.sqrt(np.where(degree > 0, degree, 1.0))
    known = min(count, components)
    nulls = np.zeros((n, known))
    chosen = np.flatnonzero(graph.component < known)
    nulls[chosen, graph.component[chosen]] = root[chosen]
    nulls /= np.linalg.norm(nulls, axis=0)
    if known == count:
        return np.zeros(count), nulls

    solver = LaplacianSolver(graph, seed=seed)
    scale = diags_array(1 / root)
    matrix = (scale @ graph.laplacian() @ scale).tocsr()

    def precondition(r: np.ndarray) -> np.ndarray:
        columns = r.reshape(n, -1)
        return (root[:, None] * solver.precondition(root[:, None] * columns)).reshape(r.shape)

    start = np.random.default_rng(seed).standard_normal((n, count - known + _FURTHER))
    inverse = LinearOperator((n, n), matvec=precondition, matmat=precondition, dtype=np.float64)
    with warnings.catch_warnings():  # of residuals of the further ones
        warnings.simplefilter("ignore", UserWarning)
        values, vectors = lobpcg(matrix, start, M=inverse, Y=nulls, tol=tolerance, maxiter=_ITERATIONS, largest=False)
    order = np.argsort(values)[: count - known]
    values, vectors = values[order], vectors[:, order]
    worst = np.linalg.norm(matrix @ vectors - vectors * values, axis=0).max()
    if worst > 10 * tolerance:
        warnings.warn(f"eigenvectors of a graph of {n} nodes have residuals up to {worst:.0e}", stacklevel=2)
    return np.concatenate([np.zeros(known), values]), np.concatenate([nulls, vectors], axis=1)
