"""Bag-of-words features as a sparse matrix."""

from __future__ import annotations

from torch_geometric.data import Data

from graphkit.core.checks import Checks
from graphkit.core.constraints import NonNegativeInt, UnitInterval
from graphkit.core.reads import Reads
from graphkit.transforms.base import Precompute


class SparseFeatures(Precompute):
    r"""Stores ``data.x`` as a ``torch.sparse_csr`` tensor where that pays, and leaves it dense elsewhere.

    Bag-of-words features are mostly zeros (1.3 % dense on Cora), and the first product ``X W`` of a network over them
    is where a dense model spends its time. graphkit's models ask for this transform by themselves; their first layer
    and its dropout then work on the non-zeros.

    Args:
        max_density: The largest share of non-zeros that is stored sparse (default: 0.1).
        min_channels: The smallest number of features that is stored sparse (default: 128).

    Shapes:
        ``x``: ``[num_nodes, num_features]`` before and after.

    Example:
        >>> import torch
        >>> data = SparseFeatures(min_channels=2)(Data(x=torch.eye(20)))
        >>> data.x.layout
        torch.sparse_csr
    """

    checks = Checks([{}, {"min_channels": 2, "max_density": 1.0}])

    reads = Reads(edge_index=False)

    def __init__(self, max_density: UnitInterval = 0.1, min_channels: NonNegativeInt = 128) -> None:
        self.max_density = max_density
        self.min_channels = min_channels

    def forward(self, data: Data) -> Data:
        """Replace ``x`` in ``data`` (a shallow copy when called through ``transform(data)``)."""
        x = data.x
        if x is None:
            raise ValueError("SparseFeatures stores node features, but the graph has no x")
        if x.is_sparse_csr or x.size(1) < self.min_channels:
            return data
        if x.count_nonzero().item() <= self.max_density * x.numel():
            data.x = x.to_sparse_csr()
        return data
