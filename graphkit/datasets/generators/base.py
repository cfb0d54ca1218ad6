"""What the generators share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.datasets.parsed import Ids


@dataclass
class Generated:
    """Computed graphs.

    Attributes:
        graphs: The graphs with features and labels.
        splits: The splits that belong to them, as (train, validation, test) ids.
    """

    graphs: list[Data]
    splits: list[Ids] = field(default_factory=list)


def extrapolating(sizes: Sequence[int]) -> list[Ids]:
    """Consecutive parts to train, validate and test on; one more split per further test part."""
    train, val, *tests = torch.arange(sum(sizes)).split(list(sizes))
    return [(train, val, test) for test in tests]


def both_directions(edges: Tensor) -> Tensor:
    """The edges ``[2, m]`` followed by their reverses."""
    return torch.cat([edges, edges.flip(0)], dim=1)
