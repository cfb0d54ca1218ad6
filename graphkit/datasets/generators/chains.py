"""Chains: what stands at one place has to be known everywhere."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import coalesce

from graphkit.core.constraints import Count, Interval, Seed, UnitInterval, checked
from graphkit.datasets.generators.base import Generated, both_directions
from graphkit.datasets.parsed import Ids


@checked
def chains(
    *,
    num_classes: Annotated[int, Interval(2)] = 2,
    chains_per_class: Annotated[int, Interval(4)] = 20,
    length: Annotated[int, Interval(2)] = 20,
    num_features: Count = 10,
    seed: Seed = 0,
) -> Generated:
    """Chains of nodes whose class stands at one end alone; every node has to tell it.

    Args:
        num_classes: The number of classes (default: 2).
        chains_per_class: The number of chains of each class: half for training, a quarter each for the other parts
            (default: 20).
        length: The number of nodes of a chain (default: 20).
        num_features: The width of features, of which the first ``num_classes`` are used at the end that tells, and none
            elsewhere (default: 10).
        seed: The seed of the order of chains (default: 0).
    """
    if num_features < num_classes:
        raise ValueError(f"chains: num_features={num_features}, must be at least num_classes={num_classes}")
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(num_classes), chains_per_class))
    label, sizes = torch.from_numpy(labels), [length] * labels.size
    x = torch.zeros(labels.size, length, num_features)
    x[torch.arange(labels.size), 0, label] = 1.0
    data = Data(x=x.flatten(0, 1), edge_index=_paths(sizes), y=label.repeat_interleave(length))
    return Generated([data], [_by_chain(sizes)])


@checked
def count(
    *,
    num_chains: Annotated[int, Interval(4)] = 200,
    min_length: Annotated[int, Interval(2)] = 2,
    max_length: Annotated[int, Interval(2)] = 20,
    marked: UnitInterval = 0.5,
    seed: Seed = 0,
) -> Generated:
    """Chains of nodes of which some are marked; every node has to tell how many these are.

    Args:
        num_chains: The number of chains: half for training, a quarter each for the other parts (default: 200).
        min_length: The smallest number of nodes of a chain (default: 2).
        max_length: The largest (default: 20).
        marked: The probability that a node is marked (default: 0.5).
        seed: The seed (default: 0).
    """
    if max_length < min_length:
        raise ValueError(f"count: max_length={max_length}, must be at least min_length={min_length}")
    rng = np.random.default_rng(seed)
    sizes = rng.integers(min_length, max_length + 1, num_chains).tolist()
    marks = torch.from_numpy(rng.random(sum(sizes)) < marked).float()
    totals = torch.stack([part.sum() for part in marks.split(sizes)])
    x = torch.stack([marks, 1 - marks], dim=1)
    y = totals.repeat_interleave(torch.tensor(sizes))[:, None]
    return Generated([Data(x=x, edge_index=_paths(sizes), y=y)], [_by_chain(sizes)])


def _paths(sizes: list[int]) -> Tensor:
    """The edges of disjoint chains in both directions."""
    node = torch.arange(sum(sizes))
    last = torch.tensor(sizes).cumsum(0) - 1
    joined = ~torch.isin(node, last)
    return coalesce(both_directions(torch.stack([node[joined], node[joined] + 1])))


def _by_chain(sizes: list[int]) -> Ids:
    """Whole chains: the first half to train on, then a quarter each."""
    half, three_quarters = sum(sizes[: len(sizes) // 2]), sum(sizes[: 3 * len(sizes) // 4])
    node = torch.arange(sum(sizes))
    return node[:half], node[half:three_quarters], node[three_quarters:]
