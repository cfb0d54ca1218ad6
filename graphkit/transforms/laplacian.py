"""Eigenvectors of the graph Laplacian."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.algorithms.graph import SimpleGraph
from graphkit.algorithms.spectral.eigenpairs import smallest_eigenpairs
from graphkit.core.checks import Checks
from graphkit.core.constraints import Count
from graphkit.core.validate import check_edge_index
from graphkit.transforms.base import Precompute, float_dtype

_DENSE_NODES = 1000


class LaplacianEigenvectors(Precompute):
    r"""Adds ``laplacian_vectors`` and ``laplacian_values``: the smoothest eigenvectors and their eigenvalues.

    From `"Recipe for a General, Powerful, Scalable Graph Transformer" <https://arxiv.org/abs/2205.12454>`_ (Rampášek et
    al., NeurIPS 2022), whose encoder is :class:`~graphkit.nn.encoders.LaplacianEncoder`.

    .. math::
        L = I - D^{-1/2} A D^{-1/2} = U \Lambda U^\top

    with the adjacency matrix :math:`A` of the graph without directions, weights and self-loops. Eigenvalues ascend, the
    constant eigenvector included; eigenvectors have length 1 and a positive largest entry (of equally large ones the
    first), but their signs and, where eigenvalues repeat, their directions are arbitrary. Columns that a small graph
    does not have hold NaN in both.

    Args:
        num_vectors: The number of eigenvectors (default: 10).
        of: The attribute that holds the edges: ``"edge_index"``, or ``"hop_index"`` for the graph of all pairs that
            :class:`Hops` adds (default: ``"edge_index"``).

    Shapes:
        ``laplacian_vectors``, ``laplacian_values``: ``[num_nodes, num_vectors]``; all rows of the latter are equal.

    Cost: :math:`O(n^3)` up to 1000 nodes; beyond, nearly linear in the edges, by
    :func:`~graphkit.algorithms.spectral.eigenpairs.smallest_eigenpairs` to residuals of 1e-8.

    Example:
        >>> data = Data(x=torch.ones(2, 1), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> LaplacianEigenvectors(2)(data).laplacian_values[0].tolist()
        [0.0, 2.0]
    """

    checks = Checks([{"num_vectors": 3}])

    expensive = True

    def __init__(self, num_vectors: Count = 10, of: str = "edge_index") -> None:
        self.num_vectors = num_vectors
        self.of = of

    def forward(self, data: Data) -> Data:
        """Add the eigenvectors to ``data`` (a shallow copy when called through ``transform(data)``)."""
        n = int(data.num_nodes or 0)
        edge_index = data[self.of].long().cpu()
        check_edge_index(edge_index, n, "LaplacianEigenvectors")
        count, dtype = min(n, self.num_vectors), float_dtype(data)
        if n > max(_DENSE_NODES, 4 * count):
            graph = SimpleGraph.from_edges(edge_index, n)
            values, vectors = map(torch.from_numpy, smallest_eigenpairs(graph, count))
        else:
            values, vectors = torch.linalg.eigh(_laplacian(edge_index, n))
        values, vectors = values[:count].round(decimals=12).clamp_(min=0.0), vectors[:, :count]
        if n:
            largest = vectors.gather(0, vectors.abs().round(decimals=9).argmax(0, keepdim=True))
            vectors = vectors * torch.where(largest < 0, -1.0, 1.0)
        for name, columns in (("laplacian_vectors", vectors), ("laplacian_values", values.expand(n, -1))):
            padded = torch.full((n, self.num_vectors), torch.nan, dtype=dtype)
            padded[:, :count] = columns.to(dtype)
            data[name] = padded.to(data.edge_index.device)
        return data


def _laplacian(edge_index: Tensor, n: int) -> Tensor:
    """The dense matrix, made in place: it is all that there is space for."""
    matrix = torch.zeros(n, n, dtype=torch.float64)
    matrix[edge_index[0], edge_index[1]] = matrix[edge_index[1], edge_index[0]] = 1.0
    degree = matrix.fill_diagonal_(0.0).sum(1)
    scale = degree.clamp(min=1).rsqrt()
    matrix.mul_(scale[:, None]).mul_(scale).neg_().add_(0.0)  # no negative zeros
    matrix.diagonal()[:] = (degree > 0).double()
    return matrix
