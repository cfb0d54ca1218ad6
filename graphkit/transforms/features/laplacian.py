"""Laplacian positional encodings."""

from __future__ import annotations

import torch
from torch_geometric.data import Data

from graphkit.transforms.base import Precompute
from graphkit.transforms.laplacian import LaplacianEigenvectors


class LaplacianPE(Precompute):
    r"""Adds the smoothest eigenvectors of the normalised Laplacian but the first.

    From `"Benchmarking Graph Neural Networks" <https://arxiv.org/abs/2003.00982>`_ (Dwivedi et al., JMLR 2023); the
    matrix and the rule for signs are those of :class:`~graphkit.transforms.LaplacianEigenvectors`:

    .. math::
        p_v = (u_{v, 2}, \dots, u_{v, K + 1}), \qquad I - D^{-1/2} A D^{-1/2} = U \Lambda U^\top

    Signs and, where eigenvalues repeat, directions are arbitrary; equal graphs in equal numbering get equal features.
    Columns that a small graph does not have hold zeros.

    Args:
        num_vectors: The number of eigenvectors :math:`K` (default: 8).

    Shapes:
        ``x``: ``[num_nodes, F]`` becomes ``[num_nodes, F + num_vectors]``.

    Raises:
        ValueError: If a graph has more than 10,000 nodes: a dense matrix is decomposed.

    Example:
        >>> data = Data(x=torch.ones(2, 1), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> LaplacianPE(2)(data).x.round(decimals=3).tolist()
        [[1.0, 0.707..., 0.0], [1.0, -0.707..., 0.0]]
    """

    expensive = True

    def __init__(self, num_vectors: int = 8) -> None:
        self.num_vectors = num_vectors

    def forward(self, data: Data) -> Data:
        """Append the columns to ``data.x`` (a shallow copy when called through ``transform(data)``)."""
        if data.x is not None and data.x.layout != torch.strided:
            raise ValueError("LaplacianPE: x is sparse; add features before SparseFeatures")
        n = int(data.num_nodes or 0)
        x = torch.zeros(n, 0, device=data.edge_index.device) if data.x is None else data.x
        found = LaplacianEigenvectors(self.num_vectors + 1)(Data(x=x, edge_index=data.edge_index, num_nodes=n))
        data.x = torch.cat([x, found.laplacian_vectors[:, 1:].nan_to_num(nan=0.0)], dim=1)
        return data
