"""Minesweeper on a grid, after `Platonov et al. (2023) <https://arxiv.org/abs/2302.11640>`_."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import coalesce

from graphkit.core.constraints import Interval, Seed, UnitInterval, checked
from graphkit.datasets.generators.base import Generated, both_directions


def grid_edges(rows: int, columns: int) -> Tensor:
    """Each undirected edge of a grid with eight neighbours once; node ``r * columns + c`` lies at row r, column c."""
    node = torch.arange(rows * columns).view(rows, columns)
    pairs = [
        (node[:, :-1], node[:, 1:]),
        (node[:-1], node[1:]),
        (node[:-1, :-1], node[1:, 1:]),
        (node[:-1, 1:], node[1:, :-1]),
    ]
    return torch.cat([torch.stack([a.reshape(-1), b.reshape(-1)]) for a, b in pairs], dim=1)


def minesweeper_features(edge_index: Tensor, mines: Tensor, unknown: Tensor) -> Tensor:
    """The seven features: unknown, then the number of mines around (0, 1, 2, 3, 4, at least 5), zero where unknown.

    Args:
        edge_index: The grid's edges in both directions, ``[2, num_edges]``.
        mines: 1 at mines, ``[num_nodes]``.
        unknown: Whether a node's count is hidden, ``[num_nodes]``.
    """
    around = torch.zeros_like(mines).scatter_add_(0, edge_index[1], mines[edge_index[0]]).clamp(max=5)
    counts = torch.nn.functional.one_hot(around, 6) * ~unknown.view(-1, 1)
    return torch.cat([unknown.view(-1, 1).long(), counts], dim=1).float()


@checked
def minesweeper(
    *,
    rows: Annotated[int, Interval(2)] = 100,
    columns: Annotated[int, Interval(2)] = 100,
    mines: UnitInterval = 0.2,
    unknown: UnitInterval = 0.5,
    seed: Seed = 0,
) -> Generated:
    """A fresh field: which nodes are mines?

    Args:
        rows: The height of the grid (default: 100).
        columns: The width of the grid (default: 100).
        mines: The share of mines, met exactly (default: 0.2).
        unknown: The share of nodes whose count is hidden, met exactly (default: 0.5).
        seed: The seed of both draws (default: 0).
    """
    size = rows * columns
    rng = np.random.default_rng(seed)
    y = torch.zeros(size, dtype=torch.int64)
    y[rng.permutation(size)[: round(size * mines)]] = 1
    hidden = torch.zeros(size, dtype=torch.bool)
    hidden[rng.permutation(size)[: round(size * unknown)]] = True
    edge_index = coalesce(both_directions(grid_edges(rows, columns)))
    return Generated([Data(x=minesweeper_features(edge_index, y, hidden), edge_index=edge_index, y=y)])
