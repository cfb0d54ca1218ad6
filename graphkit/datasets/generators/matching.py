r"""Tree-NeighborsMatch: can the root find the leaf that carries its key?

From `"On the Bottleneck of Graph Neural Networks" <https://arxiv.org/abs/2006.05205>`_ (ICLR 2021).

The leaves of a complete binary tree of depth :math:`r` carry keys :math:`1, \dots, 2^r` and permuted values
:math:`\pi(k)`; the root carries one key, and its label is the value at the leaf with that key.
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.constraints import Interval, Seed, checked
from graphkit.datasets.generators.base import Generated


def preorder_tree(depth: int) -> tuple[Tensor, Tensor]:
    """Edges child to parent ``[2, 2^(depth+1) - 2]`` and the leaves, left to right, of a tree numbered in preorder."""
    edges: list[tuple[int, int]] = []
    leaves: list[int] = []

    def grow(node: int, height: int) -> None:
        if height == 0:
            leaves.append(node)
            return
        left, right = node + 1, node + (1 << height)
        edges.extend([(left, node), (right, node)])
        grow(left, height - 1)
        grow(right, height - 1)

    grow(0, depth)
    return torch.tensor(edges).t().contiguous(), torch.tensor(leaves)


@checked
def tree_neighbors_match(*, depth: Annotated[int, Interval(2)] = 3, one_hot: bool = True, seed: Seed = 0) -> Generated:
    """The task for one depth, with the authors' numbers of examples (96, 8000, 16000, then 32000).

    Labels are ``value - 1``, so that classes are ``0..2^depth - 1``. The split is stratified: 80 % train as in the
    paper, whose remaining 20 % (there used for selection and test at once) are halved into validation and test.

    Args:
        depth: The depth of the tree and the distance that information must travel (default: 3).
        one_hot: Features are one-hot keys and one-hot values side by side, so that one linear layer is the authors'
            sum of two embeddings; otherwise the two numbers. The one-hot form takes 2 GB at depth 6
            (default: ``True``).
        seed: The seed of the permutations and of the split (default: 0).
    """
    rng = np.random.default_rng(seed)
    edges, leaves = preorder_tree(depth)
    size, num_leaves = int(edges.max()) + 1, leaves.numel()
    loops = torch.arange(size).expand(2, -1)
    edge_index = torch.cat([edges, loops], dim=1)
    mask = torch.zeros(size, dtype=torch.bool)
    mask[0] = True
    graphs = []
    for values in _permutations(num_leaves, depth, rng):
        codes = torch.zeros(size, 2, dtype=torch.int64)
        codes[leaves, 0] = torch.arange(1, num_leaves + 1)
        codes[leaves, 1] = torch.from_numpy(values)
        for key in range(1, num_leaves + 1):
            codes[0, 0] = key
            x = torch.nn.functional.one_hot(codes, num_leaves + 1).flatten(1) if one_hot else codes
            label = torch.tensor([int(values[key - 1]) - 1])
            graphs.append(Data(x=x.float(), edge_index=edge_index, y=label, readout_mask=mask))
    return Generated(graphs, [_stratified(np.array([int(graph.y) for graph in graphs]), rng)])


def _permutations(num_leaves: int, depth: int, rng: np.random.Generator) -> np.ndarray:
    if depth > 3:
        count = min(1000, 32000 // num_leaves)
        return np.stack([rng.permutation(num_leaves) + 1 for _ in range(count)])
    count = min(1000, math.factorial(num_leaves))
    orders: dict[tuple[int, ...], None] = {}
    while len(orders) < count:
        orders.setdefault(tuple((rng.permutation(num_leaves) + 1).tolist()))
    return np.array(list(orders))


def _stratified(labels: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    order = rng.permutation(labels.size)
    order = order[np.argsort(labels[order], kind="stable")]
    # one position in ten goes to validation and one to test, far from each other: all classes keep their shares
    turn = np.arange(labels.size) % 10
    parts = (order[(turn != 2) & (turn != 7)], order[turn == 2], order[turn == 7])
    train, val, test = (torch.from_numpy(np.sort(part)) for part in parts)
    return train, val, test
