"""Recommendations that need no training."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, cast

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.checks import Checks
from graphkit.core.constraints import Count
from graphkit.core.reads import Reads
from graphkit.models.base import LayeredModel, State


class _Counting(LayeredModel):
    """Scores of all items for all users, from the interactions of a :class:`~graphkit.RankingTask`.

    Shapes:
        - **input:** the graph of a :class:`~graphkit.RankingTask`
        - **output:** ``[num_users, num_items]``
    """

    checks = Checks(skip="it reads users and items; see tests/models/test_recommend.py")
    reads = Reads(x=False)

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList()

    @classmethod
    def check_task(cls, task: Any) -> None:
        if not task.ranks:
            raise ValueError(
                f"{cls.__name__} counts interactions of users with items, but task {task.name!r} is a {task.kind} "
                "task; use a RankingTask"
            )

    def encode(self, batch: Data) -> State:
        source, target = batch.node_type[batch.edge_index]
        users, items = batch.edge_index[:, source < target]  # neither reverses nor what a rewiring has added
        num_users = int((batch.node_type == 0).sum())
        return self.scores(users, items - num_users, num_users, batch.num_nodes - num_users)

    @abstractmethod
    def scores(self, users: Tensor, items: Tensor, num_users: int, num_items: int) -> Tensor:
        """The table of scores, ``[num_users, num_items]``."""

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        return cast(Tensor, history[-1])


class Popularity(_Counting):
    """Every user gets the items in the order of how many users have chosen them; what other models should beat.

    There are no weights: the trainer evaluates it in one epoch.

    Example:
        >>> edge_index = torch.tensor([[0, 0, 1, 2, 3, 3], [2, 3, 3, 0, 0, 1]])
        >>> Popularity()(Data(edge_index=edge_index, node_type=torch.tensor([0, 0, 1, 1])))
        tensor([[1., 2.],
                [1., 2.]])
    """

    def scores(self, users: Tensor, items: Tensor, num_users: int, num_items: int) -> Tensor:
        counts = torch.zeros(num_items, device=items.device).index_add_(0, items, torch.ones_like(items).float())
        return counts.expand(num_users, -1)


class ItemKNN(_Counting):
    r"""The items that are most similar to those which a user has chosen.

    From `"Item-based Collaborative Filtering Recommendation Algorithms" <https://doi.org/10.1145/371920.372071>`_
    (Sarwar et al., WWW 2001).

    .. math::
        s_{ui} = \sum_{j \in N_k(i), \, j \text{ chosen by } u} \mathrm{sim}(i, j), \qquad
        \mathrm{sim}(i, j) = \frac{|U_i \cap U_j|}{\sqrt{|U_i| |U_j|}}

    with the users :math:`U_i` who have chosen item :math:`i` and the :math:`k` items :math:`N_k(i)` most similar to it.
    There are no weights: the trainer evaluates it in one epoch.

    Args:
        num_neighbors: The number :math:`k` (default: 100).

    Example:
        >>> edge_index = torch.tensor([[0, 0, 1, 2, 3, 3], [2, 3, 3, 0, 0, 1]])
        >>> ItemKNN()(Data(edge_index=edge_index, node_type=torch.tensor([0, 0, 1, 1])))
        tensor([[0.7071, 0.7071],
                [0.7071, 0.0000]])
    """

    def __init__(self, num_neighbors: Count = 100) -> None:
        super().__init__()
        self.num_neighbors = num_neighbors

    def scores(self, users: Tensor, items: Tensor, num_users: int, num_items: int) -> Tensor:
        ends = (users.cpu().numpy(), items.cpu().numpy())
        chosen = csr_array((np.ones(len(ends[0]), dtype=np.float32), ends), shape=(num_users, num_items))
        counts = np.maximum(np.bincount(ends[1], minlength=num_items), 1).astype(np.float32)
        similar = (chosen.T @ chosen).toarray() / np.sqrt(np.outer(counts, counts))
        np.fill_diagonal(similar, 0)
        if self.num_neighbors < num_items:
            least = np.partition(similar, -self.num_neighbors, axis=1)[:, -self.num_neighbors]
            similar[similar < least[:, None]] = 0
        return torch.from_numpy((chosen @ csr_array(similar.T)).toarray()).to(users.device)
