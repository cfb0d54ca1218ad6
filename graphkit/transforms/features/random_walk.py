"""Random-walk positional encodings."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import coalesce

from graphkit.core.checks import Checks
from graphkit.core.constraints import Count
from graphkit.core.reads import Reads
from graphkit.ops import SparseMatrix
from graphkit.transforms.features.base import NodeFeatures

_DENSE_NODES = 64
_BLOCK = 2**20  # entries of a block of columns


class RandomWalkPE(NodeFeatures):
    r"""Adds the probabilities that a random walk is back at its start after 1, ..., K steps.

    From `"Graph Neural Networks with Learnable Structural and Positional Representations"
    <https://arxiv.org/abs/2110.07875>`_ (Dwivedi et al., ICLR 2022).

    .. math::
        p_v = (M_{vv}, (M^2)_{vv}, \dots, (M^K)_{vv}), \qquad M = A D^{-1}

    as PyG's ``AddRandomWalkPE``, in double precision, then rounded to that of ``x``: graphs alone and as parts of
    larger ones differ by the rounding of doubles at most. Powers are computed for some columns at a time, in memory of
    a few times 8 MiB. An isolated node gets zeros; a repeated edge counts once, and a self-loop is a step that stays.

    Args:
        walk_length: The number of steps :math:`K` (default: 8).

    Shapes:
        ``x``: ``[num_nodes, F]`` becomes ``[num_nodes, F + walk_length]``.

    Complexity: :math:`O(K |V| |E|)` for more than 64 nodes.

    Example:
        >>> data = Data(x=torch.ones(2, 1), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> RandomWalkPE(walk_length=2)(data).x.tolist()
        [[1.0, 0.0, 1.0], [1.0, 0.0, 1.0]]
    """

    checks = Checks([{"walk_length": 3}])
    reads = Reads()

    def __init__(self, walk_length: Count = 8) -> None:
        self.walk_length = walk_length

    def columns(self, data: Data) -> Tensor:
        """The probabilities ``[num_nodes, walk_length]``."""
        n, device = int(data.num_nodes or 0), data.edge_index.device
        matrix = _walk(data.edge_index, n)
        out = torch.zeros(n, self.walk_length, dtype=torch.double, device=device)
        width = max(1, _BLOCK // max(n, 1))
        for start in range(0, n, width):
            power = torch.zeros(n, min(width, n - start), dtype=torch.double, device=device)
            power.diagonal(-start).fill_(1.0)
            for step in range(self.walk_length):
                power = matrix @ power
                out[start : start + width, step] = power.diagonal(-start)
        return out


def _walk(edge_index: Tensor, n: int) -> Tensor | SparseMatrix:
    """The matrix :math:`M` of the simple graph."""
    if n > _DENSE_NODES:
        edge_index = coalesce(edge_index, num_nodes=n)
        degree = torch.bincount(edge_index[0], minlength=n)
        return SparseMatrix.from_edges(edge_index, degree.double().reciprocal()[edge_index[0]], n)
    adjacency = torch.zeros(n, n, dtype=torch.double, device=edge_index.device)
    adjacency[edge_index[1], edge_index[0]] = 1.0
    return adjacency / adjacency.sum(0).clamp(min=1)
