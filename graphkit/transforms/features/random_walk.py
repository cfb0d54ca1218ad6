"""Random-walk positional encodings."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import AddRandomWalkPE
from torch_geometric.utils import coalesce

from graphkit.core.checks import Checks
from graphkit.transforms.features.base import NodeFeatures


class RandomWalkPE(NodeFeatures):
    r"""Adds the probabilities that a random walk is back at its start after 1, ..., K steps.

    From `"Graph Neural Networks with Learnable Structural and Positional Representations"
    <https://arxiv.org/abs/2110.07875>`_ (Dwivedi et al., ICLR 2022).

    .. math::
        p_v = (M_{vv}, (M^2)_{vv}, \dots, (M^K)_{vv}), \qquad M = A D^{-1}

    computed by PyG's ``AddRandomWalkPE``. An isolated node gets zeros; a repeated edge counts once.

    Args:
        walk_length: The number of steps :math:`K` (default: 8).

    Shapes:
        ``x``: ``[num_nodes, F]`` becomes ``[num_nodes, F + walk_length]``.

    Raises:
        ValueError: If ``x`` is sparse.

    Example:
        >>> data = Data(x=torch.ones(2, 1), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> RandomWalkPE(walk_length=2)(data).x.tolist()
        [[1.0, 0.0, 1.0], [1.0, 0.0, 1.0]]
    """

    checks = Checks([{"walk_length": 3}])

    def __init__(self, walk_length: int = 8) -> None:
        self.walk_length = walk_length

    def columns(self, data: Data) -> Tensor:
        """The probabilities ``[num_nodes, walk_length]``."""
        if not data.num_edges:
            return torch.zeros(data.num_nodes, self.walk_length)
        edge_index = coalesce(data.edge_index, num_nodes=data.num_nodes)
        if edge_index.size(1) == data.num_edges:
            edge_index = data.edge_index  # in its own order, in which sums are taken
        bare = Data(edge_index=edge_index, num_nodes=data.num_nodes)
        return AddRandomWalkPE(self.walk_length, attr_name="pe")(bare).pe
