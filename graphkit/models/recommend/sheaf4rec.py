"""Sheaf diffusion on users and items."""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from graphkit.core.constraints import Count, Finite, NonNegative
from graphkit.core.reads import Reads
from graphkit.models.base import State
from graphkit.models.recommend.node_embeddings import NodeEmbeddings
from graphkit.nn.sheaf import SheafLaplacian, SheafLearner, sheaf_graph
from graphkit.transforms import Undirected


class Sheaf4Rec(NodeEmbeddings):
    r"""Steps of learned sheaf diffusion from trained embeddings, all states side by side.

    From `"Sheaf4Rec: Sheaf Neural Networks for Graph-based Recommender Systems" <https://arxiv.org/abs/2304.09097>`_
    (Purificato et al., ACM Transactions on Recommender Systems 2025).

    .. math::
        X^{(l+1)} = X^{(l)} - \eta \, \Delta_l (X^{(l)} W_l^\top + b_l), \qquad
        H = [X^{(0)} \,\|\, \dots \,\|\, X^{(L)}]

    with the Laplacian :math:`\Delta_l` of a sheaf that layer :math:`l` learns from the states of both ends of each edge
    (:class:`~graphkit.nn.sheaf.SheafLearner`), normalised by :math:`(B + I)^{-1/2}` of its diagonal :math:`B`. The
    paper speaks of stalks of several dimensions; the official code has those of dimension 1, which is the default here:
    numbers :math:`\tanh(w_l^\top [x_v \,\|\, x_u])` for maps. With ``stalk_dim`` = :math:`d` the channels of a node are
    :math:`d` coordinates of a stalk with ``hidden_channels / d`` channels each, and maps are diagonal or orthogonal.

    Outputs are :math:`L + 1` times as wide as embeddings: compare with other models at equal width.

    Args:
        num_layers: The number :math:`L` of steps (default: 5).
        stalk_dim: The dimension :math:`d` of stalks (default: 1).
        maps: ``"diag"`` or ``"bundle"``, which needs ``stalk_dim`` of at least 2 (default: ``"diag"``).
        step_size: The number :math:`\eta` (default: 1.0).
        regularization: :math:`\lambda` as in :class:`NodeEmbeddings`; the official code has a constant 1e-4 that it
            does not use (default: 1.0).

    Cost: :math:`O(L (|V| F^2 + |E| F))` with :math:`F` channels.

    Raises:
        ValueError: If ``stalk_dim`` does not divide ``hidden_channels``, bundles have ``stalk_dim`` 1, or a graph is
            not undirected and simple.

    Example:
        >>> edge_index = torch.tensor([[0, 0, 1, 2, 3, 3], [2, 3, 3, 0, 0, 1]])
        >>> Sheaf4Rec(4, 8, num_layers=2)(Data(edge_index=edge_index, num_nodes=4)).shape
        torch.Size([4, 24])
    """

    reads = Reads(x=False, direction=False)
    uses_history = False

    def __init__(
        self,
        num_nodes: Count,
        hidden_channels: Count = 64,
        num_layers: Count = 5,
        stalk_dim: Count = 1,
        maps: Literal["diag", "bundle"] = "diag",
        step_size: Finite = 1.0,
        regularization: NonNegative = 1.0,
    ) -> None:
        super().__init__(num_nodes, hidden_channels, regularization)
        self.keep_arguments(locals())
        if hidden_channels % stalk_dim:
            raise ValueError(f"Sheaf4Rec: hidden_channels={hidden_channels} is no multiple of stalk_dim={stalk_dim}")
        self.layers = nn.ModuleList(
            nn.ModuleDict(
                {
                    "learner": SheafLearner(stalk_dim, stalk_dim, hidden_channels // stalk_dim, maps),
                    "lin": nn.Linear(hidden_channels, hidden_channels),
                }
            )
            for _ in range(num_layers)
        )
        self.reset_parameters()

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        h = cast(Tensor, history[-1])  # all states so far, side by side
        x = h[:, -self.hidden_channels :]
        y = self.layers[i].lin(x).view(self.num_nodes, self.stalk_dim, -1)  # type: ignore[operator]
        return torch.cat([h, x - self.step_size * (self.laplacian(i, h, batch) @ y).flatten(1)], dim=1)

    def laplacian(self, i: int, h: Tensor, batch: Data) -> SheafLaplacian:
        """The Laplacian of layer ``i``, learned from the states so far."""
        graph = sheaf_graph(batch.edge_index, self.num_nodes)
        return self.layers[i].learner(h[:, -self.hidden_channels :], graph)  # type: ignore[operator]

    def required_transform(self) -> BaseTransform | None:
        return Undirected()

    def reset_parameters(self) -> None:
        """Draw embeddings of the standard deviation 0.1, and all other weights as ``torch.nn.Linear`` does."""
        nn.init.normal_(self.embedding.weight, std=0.1)
        for layer in self.layers:
            layer.learner.reset_parameters()  # type: ignore[operator, union-attr]
            layer.lin.reset_parameters()  # type: ignore[operator, union-attr]
