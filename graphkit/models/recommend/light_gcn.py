"""Light graph convolution, and matrix factorisation, which is the same without layers."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.constraints import Count, NonNegative
from graphkit.core.reads import Reads
from graphkit.models.base import State
from graphkit.models.recommend.node_embeddings import NodeEmbeddings
from graphkit.ops import gcn_norm


class LightGCN(NodeEmbeddings):
    r"""Light graph convolution: averages of embeddings, without weights or activations in between.

    From `"LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation"
    <https://arxiv.org/abs/2002.02126>`_ (He et al., SIGIR 2020).

    .. math::
        E^{(l+1)} = D^{-1/2} A D^{-1/2} E^{(l)}, \qquad H = \frac{1}{L + 1} \sum_{l = 0}^L E^{(l)}

    Outputs are those of PyG's ``LightGCN.get_embedding`` for the same embeddings; products with the cached normalised
    matrix replace its messages.

    Args:
        num_layers: The number :math:`L` of averages (default: 3).
        regularization: :math:`\lambda` as in :class:`NodeEmbeddings`, here twice PyG's ``lambda_reg``, as that sums
            without the half (default: 1e-4).

    Cost: :math:`O(L |E| F)` with :math:`F` channels.

    Example:
        >>> edge_index = torch.tensor([[0, 0, 1, 2, 3, 3], [2, 3, 3, 0, 0, 1]])
        >>> LightGCN(4, 8)(Data(edge_index=edge_index, num_nodes=4)).shape
        torch.Size([4, 8])
    """

    reads = Reads(x=False, edge_weight=True)
    uses_history = False

    def __init__(
        self, num_nodes: Count, hidden_channels: Count = 64, num_layers: Count = 3, regularization: NonNegative = 1e-4
    ) -> None:
        super().__init__(num_nodes, hidden_channels, regularization)
        self.num_layers = num_layers
        self.layers = nn.ModuleList(nn.Identity() for _ in range(num_layers))
        self.reset_parameters()

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        h = cast(Tensor, history[-1])  # all states so far, side by side
        weight = batch.get("edge_weight")
        matrix = gcn_norm(batch.edge_index, weight, add_self_loops=False, size=self.num_nodes, dtype=h.dtype)
        return torch.cat([h, matrix @ h[:, -self.hidden_channels :]], dim=1)

    def decode(self, h: Tensor, batch: Data) -> Tensor:
        return h.view(self.num_nodes, -1, self.hidden_channels).mean(1)

    def reset_parameters(self) -> None:
        """Draw embeddings by Glorot's rule."""
        nn.init.xavier_uniform_(self.embedding.weight)


class MatrixFactorization(NodeEmbeddings):
    r"""Matrix factorisation: an embedding per user and item, and nothing of the graph.

    From `"Matrix Factorization Techniques for Recommender Systems" <https://doi.org/10.1109/MC.2009.263>`_ (Koren,
    Bell, Volinsky, Computer 2009), here trained by the task's loss; the scores are :math:`\langle e_u, e_i \rangle`.

    Args:
        regularization: :math:`\lambda` as in :class:`NodeEmbeddings` (default: 1e-4).

    Example:
        >>> MatrixFactorization(4, 8)(Data(edge_index=torch.tensor([[0], [2]]), num_nodes=4)).shape
        torch.Size([4, 8])
    """

    reads = Reads(x=False, edge_index=False, direction=False)
    uses_history = False

    def __init__(self, num_nodes: Count, hidden_channels: Count = 64, regularization: NonNegative = 1e-4) -> None:
        super().__init__(num_nodes, hidden_channels, regularization)
        self.reset_parameters()

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        return cast(Tensor, history[-1])

    def reset_parameters(self) -> None:
        """Draw embeddings of the standard deviation 0.1."""
        nn.init.normal_(self.embedding.weight, std=0.1)
