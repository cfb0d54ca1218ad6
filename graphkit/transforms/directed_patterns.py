"""Features propagated along the directed patterns of first and second order."""

from __future__ import annotations

import math

from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.checks import Checks
from graphkit.core.constraints import Count, UnitInterval
from graphkit.ops import SparseMatrix
from graphkit.transforms.base import Precompute, float_dtype

# Factors from the left: "out" gathers from the nodes that a node points to, "in" from those that point to it.
PATTERNS = {
    "a": ("out",),
    "at": ("in",),
    "aa": ("out", "out"),
    "aat": ("out", "in"),
    "ata": ("in", "out"),
    "atat": ("in", "in"),
}


class DirectedPatterns(Precompute):
    r"""Adds ``pattern_x``: features propagated along each directed pattern of first and second order.

    The preprocessing of :class:`~graphkit.models.ADPA`, as in its official code.

    With :math:`A_{uv} = 1` for an edge :math:`u \to v`, the patterns are
    :math:`M \in \{A + I, A^\top + I, A A, A A^\top, A^\top A, A^\top A^\top\}`, in this order. With the row sums
    :math:`d` of :math:`M`, for the columns, too,

    .. math::
        X_0 = X, \qquad X_{k + 1} = g_k \, d^{r - 1} M d^{-r} X_k, \qquad
        g_k = 1 + \ln \frac{1}{k + 1} + 10^{-6}

    where rows of :math:`M` without entries give 0. The factor :math:`g_k` is in the official code alone, and negative
    from :math:`k = 2` on. Products are never formed: :math:`A A^\top X` is :math:`A (A^\top X)`, and so with row sums;
    memory grows with the number of edges, however many neighbours a node has. Repeated edges count as often as
    they occur.

    Args:
        K: The number of steps (default: 2).
        r: The exponent :math:`r`; 1/2 is the symmetric normalisation (default: 0.5).

    Shapes:
        - **pattern_x:** ``[num_nodes, 6, K, num_features]``

    Raises:
        ValueError: If the graph has no features.

    Example:
        >>> import torch
        >>> data = Data(x=torch.eye(2), edge_index=torch.tensor([[0], [1]]))
        >>> DirectedPatterns(K=1, r=0)(data).pattern_x[:, 0, 0]  # each node and those that it points to
        tensor([[0.5000, 0.5000],
                [0.0000, 1.0000]])
    """

    checks = Checks([{"K": 1}, {"K": 3, "r": 0.2}])
    expensive = True

    def __init__(self, K: Count = 2, r: UnitInterval = 0.5) -> None:
        self.K = K
        self.r = r

    def forward(self, data: Data) -> Data:
        """Add the features to ``data`` (a shallow copy when called through ``transform(data)``)."""
        if data.x is None:
            raise ValueError("DirectedPatterns propagates node features, but the graph has no x")
        x = (data.x.to_dense() if data.x.is_sparse_csr else data.x).to(float_dtype(data))
        factors = pattern_factors(data.edge_index, len(x))
        out = x.new_empty(len(x), len(PATTERNS), self.K, x.size(1))
        for i, pattern in enumerate(factors):
            degree = multiply(pattern, x.new_ones(len(x), 1))
            left, right = (degree.pow(e).masked_fill(degree == 0, 0.0) for e in (self.r - 1, -self.r))
            h = x
            for k in range(self.K):
                decay = 1 + math.log(1 / (k + 1)) + 1e-6
                h = out[:, i, k] = multiply(pattern, h * right).mul_(decay * left)
        data.pattern_x = out
        return data


def pattern_factors(edge_index: Tensor, size: int) -> list[list[SparseMatrix]]:
    """The factors of each pattern, from the left; those of first order have one, without self-loops."""
    into = SparseMatrix.from_edges(edge_index, size=size)
    sides = {"in": into, "out": into.T}
    return [[sides[side] for side in names] for names in PATTERNS.values()]


def multiply(pattern: list[SparseMatrix], h: Tensor) -> Tensor:
    """The product with a pattern, which has self-loops where it is of first order."""
    out = h
    for factor in reversed(pattern):
        out = factor.matmul(out)
    return out + h if len(pattern) == 1 else out
