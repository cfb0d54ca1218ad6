"""Small graphs that known methods can or cannot tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import coalesce

from graphkit.core.constraints import Count, Interval, Seed, checked, not_empty
from graphkit.datasets.generators.base import Generated, both_directions

CSL_SKIPS = (2, 3, 4, 5, 6, 9, 11, 12, 13, 16)


def csl_edges(num_nodes: int, skip: int) -> Tensor:
    """A circular skip link graph: node i is linked to i + 1 and i + skip (modulo the number of nodes)."""
    nodes = torch.arange(num_nodes).repeat(2)
    step = torch.tensor([1, skip]).repeat_interleave(num_nodes)
    return coalesce(both_directions(torch.stack([nodes, (nodes + step) % num_nodes])))


@checked
def csl(
    *,
    num_nodes: Annotated[int, Interval(5)] = 41,
    skips: Annotated[Sequence[Count], not_empty] = CSL_SKIPS,
    copies: Count = 15,
    seed: Seed = 0,
) -> Generated:
    """Circular skip link graphs of Murphy et al. (2019), each class one graph under random numberings.

    Args:
        num_nodes: The number of nodes (default: 41).
        skips: One skip length per class (default: the ten of the dataset CSL).
        copies: The number of numberings per class (default: 15).
        seed: The seed of the numberings (default: 0).
    """
    rng = np.random.default_rng(seed)
    graphs = []
    for label, skip in enumerate(skips):
        edges = csl_edges(num_nodes, skip)
        for _ in range(copies):
            renamed = coalesce(torch.from_numpy(rng.permutation(num_nodes))[edges])
            graphs.append(Data(x=torch.ones(num_nodes, 1), edge_index=renamed, y=torch.tensor([label])))
    return Generated(graphs)


def sr16() -> Generated:
    """The two strongly regular graphs with parameters (16, 6, 2, 2): the 4x4 rook's graph and the Shrikhande graph."""
    steps = {
        "rook": [(0, 1), (0, 2), (0, 3), (1, 0), (2, 0), (3, 0)],
        "shrikhande": [(0, 1), (0, 3), (1, 0), (3, 0), (1, 1), (3, 3)],
    }
    row, column = torch.arange(16) // 4, torch.arange(16) % 4
    graphs = []
    for offsets in steps.values():
        targets = [(row + down) % 4 * 4 + (column + right) % 4 for down, right in offsets]
        edges = torch.stack([torch.arange(16).repeat(6), torch.cat(targets)])
        graphs.append(Data(x=torch.ones(16, 1), edge_index=coalesce(edges)))
    return Generated(graphs)


def karate() -> Generated:
    """Zachary's karate club as PyG ships it: one labelled node in each of four communities trains.

    The other 30 nodes are divided here, by seed 0, into 10 for validation and 20 for testing.
    """
    from torch_geometric.datasets import KarateClub

    data = KarateClub()[0]
    train = data.train_mask.nonzero().view(-1)
    others = torch.from_numpy(np.random.default_rng(0).permutation((~data.train_mask).nonzero().view(-1).numpy()))
    split = (train, others[:10].sort().values, others[10:].sort().values)
    return Generated([Data(x=data.x, edge_index=data.edge_index, y=data.y)], [split])
