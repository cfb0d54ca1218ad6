r"""Second minimum: which number of a multiset is the second smallest?

The task of `"Learnable Commutative Monoids for Graph Neural Networks" <https://arxiv.org/abs/2212.08541>`_ (LoG 2022),
in the form of PyG's example: small multisets to train on, larger ones to extrapolate to.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from torch_geometric.data import Data

from graphkit.core.constraints import Count, Interval, Seed, checked
from graphkit.datasets.generators.base import Generated, extrapolating


def to_bits(numbers: np.ndarray, num_bits: int) -> np.ndarray:
    """The bits of whole numbers, most significant first, in a new last dimension."""
    return (numbers[..., None] >> np.arange(num_bits - 1, -1, -1)) & 1


@checked
def second_minimum(
    *,
    num_bits: Count = 8,
    num_train: Count = 65536,
    num_val: Count = 1024,
    num_test: Count = 1024,
    num_extrapolation: Count = 1024,
    min_size: Annotated[int, Interval(2)] = 2,
    max_size: Annotated[int, Interval(2)] = 16,
    extrapolation_size: Annotated[int, Interval(2)] = 32,
    seed: Seed = 0,
) -> Generated:
    """Multisets of uniform numbers, each number a node with its bits as features; the label is the answer's bits.

    The second smallest counts with multiplicity: of two copies of the minimum it is the minimum.

    Args:
        num_bits: The number of bits of a number (default: 8).
        num_train: Training sets (default: 65536).
        num_val: Validation sets (default: 1024).
        num_test: Test sets of the same sizes (default: 1024).
        num_extrapolation: Larger test sets (default: 1024).
        min_size: The smallest set to train, validate and test on (default: 2).
        max_size: The largest one; sizes are uniform in between (default: 16).
        extrapolation_size: The size of the larger sets (default: 32).
        seed: The seed (default: 0).
    """
    if max_size < min_size:
        raise ValueError(f"second_minimum: max_size={max_size}, must be at least min_size={min_size}")
    rng = np.random.default_rng(seed)
    small = rng.integers(min_size, max_size + 1, num_train + num_val + num_test)
    sizes = np.concatenate([small, np.full(num_extrapolation, extrapolation_size)])
    numbers = rng.integers(0, 2**num_bits, sizes.sum())
    owner = np.repeat(np.arange(sizes.size), sizes)
    ranked = numbers[np.lexsort((numbers, owner))]
    answers = ranked[np.cumsum(sizes) - sizes + 1]
    features = torch.from_numpy(to_bits(numbers, num_bits)).float().split(sizes.tolist())
    labels = torch.from_numpy(to_bits(answers, num_bits)).float().split(1)
    no_edges = torch.empty(2, 0, dtype=torch.long)
    graphs = [Data(x=x, edge_index=no_edges, y=y) for x, y in zip(features, labels)]
    return Generated(graphs, extrapolating([num_train, num_val, num_test, num_extrapolation]))
