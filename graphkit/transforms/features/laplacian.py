"""Laplacian positional encodings."""

from __future__ import annotations

import copy

from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.checks import Checks
from graphkit.core.constraints import Count
from graphkit.core.reads import Reads
from graphkit.transforms.features.base import NodeFeatures
from graphkit.transforms.laplacian import LaplacianEigenvectors


class LaplacianPE(NodeFeatures):
    r"""Adds the smoothest eigenvectors of the normalised Laplacian but the first.

    From `"Benchmarking Graph Neural Networks" <https://arxiv.org/abs/2003.00982>`_ (Dwivedi et al., JMLR 2023); the
    matrix and the rule for signs are those of :class:`~graphkit.transforms.LaplacianEigenvectors`:

    .. math::
        p_v = (u_{v, 2}, \dots, u_{v, K + 1}), \qquad I - D^{-1/2} A D^{-1/2} = U \Lambda U^\top

    Signs and, where eigenvalues repeat, directions are arbitrary; equal graphs in equal numbering get equal features.
    Columns that a small graph does not have hold zeros, and a graph without nodes has no rows. A graph of several
    components has an eigenvector of eigenvalue 0 for each, all but the first of which are among the columns. PyG's
    ``AddLaplacianEigenvectorPE`` draws signs at random and gives small graphs fewer columns.

    Args:
        num_vectors: The number of eigenvectors :math:`K` (default: 8).

    Shapes:
        ``x``: ``[num_nodes, F]`` becomes ``[num_nodes, F + num_vectors]``.

    Example:
        >>> import torch
        >>> data = Data(x=torch.ones(2, 1), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> LaplacianPE(2)(data).x.round(decimals=3).tolist()
        [[1.0, 0.707..., 0.0], [1.0, -0.707..., 0.0]]
    """

    checks = Checks(
        [{"num_vectors": 3}],
        expected_failures={
            "permutation": "where eigenvalues repeat, directions of eigenvectors depend on node numbers"
        },
    )

    reads = Reads(direction=False)

    def __init__(self, num_vectors: Count = 8) -> None:
        self.num_vectors = num_vectors

    def columns(self, data: Data) -> Tensor:
        """The eigenvectors ``[num_nodes, num_vectors]``."""
        found = LaplacianEigenvectors(self.num_vectors + 1).forward(copy.copy(data))
        return found.laplacian_vectors[:, 1:].nan_to_num(nan=0.0)
