"""Features averaged over hops, each node by its own weights."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import scatter, to_scipy_sparse_matrix

from graphkit.core.checks import Checks
from graphkit.core.constraints import Count, Positive
from graphkit.core.reads import Reads
from graphkit.ops import SparseMatrix, gcn_norm
from graphkit.ops.polynomial import column_blocks, powers
from graphkit.ops.rows import row_products
from graphkit.transforms.base import Precompute, float_dtype

_TINY = 1e-10  # the norm of a vector of zeros


class NodeAdaptiveCombination(Precompute):
    r"""Adds ``combined_x``: features averaged over hops, with weights that each node takes from how smooth they are.

    The preprocessing of `"Evaluating Deep Graph Neural Networks" <https://arxiv.org/abs/2108.00955>`_ (Zhang et al.,
    2021); it has no parameters.

    .. math::
        X_k = P^k X, \qquad s_{i, k} = \cos(x_{k, i}, x_{0, i}) \, (1 - \cos(x_{k, i}, x_{\infty, i})), \qquad
        x'_i = \sum_{k = 0}^K \operatorname{softmax}_k(s_{i, k} / T) \, x_{k, i}

    with :math:`P` as in :class:`~graphkit.nn.GCNConv`, and :math:`x_\infty` the mean of a node's connected component by
    degrees with self-loops, where a random walk ends. Directions make no difference to components. A vector of zeros
    has cosine 0. Hops are made twice rather than kept, so memory does not grow with :math:`K`.

    Args:
        K: The number of hops (default: 10).
        temperature: The temperature :math:`T` (default: 1).

    Shapes:
        - **combined_x:** ``[num_nodes, num_features]``

    Raises:
        ValueError: If the graph has no features.

    Example:
        >>> data = Data(x=torch.eye(2), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> NodeAdaptiveCombination(K=1)(data).combined_x.sum(1)
        tensor([1., 1.])
    """

    checks = Checks([{"K": 1}, {"K": 4, "temperature": 0.5}])
    expensive = True
    reads = Reads(edge_weight=True)

    def __init__(self, K: Count = 10, temperature: Positive = 1.0) -> None:
        self.K = K
        self.temperature = temperature

    @torch.no_grad()
    def forward(self, data: Data) -> Data:
        """Add the combination to ``data`` (a shallow copy when called through ``transform(data)``)."""
        if data.x is None:
            raise ValueError("NodeAdaptiveCombination averages node features, but the graph has no x")
        x = (data.x.to_dense() if data.x.is_sparse_csr else data.x).to(float_dtype(data))
        graph = {"size": x.size(0), "dtype": x.dtype}
        matrix = gcn_norm(data.edge_index, data.get("edge_weight"), **graph)
        degree = gcn_norm(data.edge_index, data.get("edge_weight"), norm=None, **graph).matmul(x.new_ones(len(x), 1))
        data.combined_x = self._combine(matrix, x, stationary_features(x, data.edge_index, degree))
        return data

    def _combine(self, matrix: SparseMatrix, x: Tensor, limit: Tensor) -> Tensor:
        """The average: hops are made twice, for their weights and for their sum, some columns at a time."""
        weights = (self.scores(matrix, x, limit) / self.temperature).softmax(0).unsqueeze(2)
        blocks = []
        for columns in column_blocks(x):
            block = torch.zeros_like(columns)
            for weight, h in zip(weights, powers(matrix, columns, self.K), strict=True):
                block.addcmul_(weight, h)
            blocks.append(block)
        return torch.cat(blocks, dim=1)

    def scores(self, matrix: SparseMatrix, x: Tensor, limit: Tensor) -> Tensor:
        """How near features of each hop still are to those of the node, and how far from the component's."""
        products = x.new_zeros(self.K + 1, 3, len(x))
        for columns, mean in zip(column_blocks(x), column_blocks(limit), strict=True):
            products += row_products(powers(matrix, columns, self.K), self.K + 1, columns, mean)
        to_input, to_limit, squares = products.unbind(1)
        norms = squares.sqrt().clamp_min(_TINY)
        return to_input / (norms * norms[0]) * (1 - to_limit / (norms * limit.norm(dim=1).clamp_min(_TINY)))


def stationary_features(x: Tensor, edge_index: Tensor, degree: Tensor) -> Tensor:
    """The mean of the features of a node's connected component, by degree ``[num_nodes, 1]``."""
    from scipy.sparse.csgraph import connected_components

    count, labels = connected_components(to_scipy_sparse_matrix(edge_index, num_nodes=len(x)), directed=False)
    component = torch.from_numpy(labels).long()
    sums = [scatter(value, component, dim_size=count) for value in (degree * x, degree)]
    return (sums[0] / sums[1])[component]
