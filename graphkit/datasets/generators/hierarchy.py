"""Classes in a hierarchy, some of which are seen: what do the others look like?"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from torch_geometric.data import Data
from torch_geometric.utils import coalesce

from graphkit.core.constraints import Count, Interval, NonNegative, Probability, Seed, checked
from graphkit.datasets.generators.base import Generated


@checked
def zero_shot(
    *,
    depth: Annotated[int, Interval(2)] = 4,
    branching: Annotated[int, Interval(2)] = 4,
    second_parent: Probability = 0.2,
    num_weights: Count = 32,
    num_features: Count = 32,
    spread: NonNegative = 1.0,
    noise: NonNegative = 2.0,
    seed: Seed = 0,
) -> Generated:
    """A hierarchy of classes: a node's label is the classifier of its class, its features are a vector of its name.

    A class looks like the mean of its parents but for some noise, and a linear map of what it looks like, with more
    noise, stands for the vector of its name.

    Args:
        depth: The number of levels below the root (default: 4).
        branching: The number of children of each class (default: 4).
        second_parent: The probability that a class below the first level has another parent in the level above
            (default: 0.2).
        num_weights: The size of a classifier (default: 32).
        num_features: The size of a name's vector (default: 32).
        spread: How far classes look from their parents, in lengths of a classifier (default: 1).
        noise: The noise of names, likewise (default: 2).
        seed: The seed of everything (default: 0).
    """
    rng = np.random.default_rng(seed)
    looks, edges = [_units(rng.standard_normal((1, num_weights)))], []
    first = 0  # of the level above
    for level in range(1, depth + 1):
        above, below = branching ** (level - 1), branching**level
        parents = np.stack([np.repeat(np.arange(above), branching), rng.integers(above, size=below)])
        has_both = (rng.random(below) < second_parent) & (parents[0] != parents[1])
        mean = looks[-1][parents[0]] + has_both[:, None] * looks[-1][parents[1]]
        looks.append(_units(_units(mean) + spread * _units(rng.standard_normal((below, num_weights)))))
        child = first + above + np.arange(below)
        edges += [np.stack([first + parents[0], child]), np.stack([first + parents[1], child])[:, has_both]]
        first += above
    y = np.concatenate(looks)
    names = y @ rng.standard_normal((num_weights, num_features)) * num_features**-0.5
    names = names + noise * _units(rng.standard_normal(names.shape))
    data = Data(
        x=F.normalize(torch.from_numpy(names).float()),
        edge_index=coalesce(torch.from_numpy(np.concatenate(edges, axis=1))),
        y=torch.from_numpy(y).float(),
    )
    order = torch.from_numpy(rng.permutation(len(y)))
    train, val, test = order.split([len(y) - 2 * (len(y) // 4), len(y) // 4, len(y) // 4])
    return Generated([data], [(train, val, test)])


def _units(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
