"""Neighbours of pairs of nodes by search in sorted lists, on any device; the results of the compiled kernels.

A graph is a pattern whose rows are sorted and hold no node twice. The host waits once for each size of a result.
"""

from __future__ import annotations

import torch
from torch import Tensor

from graphkit.ops import SparsityPattern
from graphkit.ops.indices import count, invert, look_up, ragged, starts


def common(near: SparsityPattern, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Common neighbours of each pair: where each pair's begin, and the nodes, sorted."""
    large, small = _larger_first(near, first, second)
    pair, node = _neighbours(near, small)
    kept = _joined(near, large[pair], node).nonzero().squeeze(1)
    return starts(count(pair[kept], first.numel())), node[kept]


def joint(near: SparsityPattern, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Neighbours of either node of each pair: where each pair's begin, the nodes, sorted, and whose they are."""
    pair, node = _neighbours(near, first)
    side = (~_joined(near, second[pair], node)).to(torch.int8)
    other_pair, other = _neighbours(near, second)
    alone = (~_joined(near, first[other_pair], other)).nonzero().squeeze(1)
    pair, node = torch.cat([pair, other_pair[alone]]), torch.cat([node, other[alone]])
    side = torch.cat([side, torch.full_like(alone, 2, dtype=torch.int8)])
    order = (pair * near.num_cols + node).argsort()
    return starts(count(pair, first.numel())), node[order], side[order]


def distinct(near: SparsityPattern, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each pair once, whatever its direction, grouped by first node, and where each of the given pairs went."""
    n, number = near.num_cols, torch.arange(first.numel(), device=first.device)
    large, small = _larger_first(near, first, second)
    pairs, inverse = (large * n + small).unique(return_inverse=True)
    seen = torch.full_like(pairs, first.numel()).scatter_reduce_(0, inverse, number, "amin")
    order = (pairs // max(n, 1) * first.numel() + seen).argsort()  # in a group as they first come
    pairs = pairs[order]
    return pairs // max(n, 1), pairs % max(n, 1), invert(order)[inverse]


def _larger_first(near: SparsityPattern, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Each pair with the node of more neighbours first; of equally many, the one of the smaller number."""
    more = near.in_degree[second] - near.in_degree[first]
    swapped = (more > 0) | ((more == 0) & (second < first))
    return torch.where(swapped, second, first), torch.where(swapped, first, second)


def _neighbours(near: SparsityPattern, nodes: Tensor) -> tuple[Tensor, Tensor]:
    """The neighbours of each of some nodes, and the position of whose they are."""
    lengths = near.in_degree[nodes]
    total = int(lengths.sum())
    position = torch.arange(nodes.numel(), device=nodes.device).repeat_interleave(lengths, output_size=total)
    return position, near.col[ragged(near.rowptr[nodes], lengths, total)]


def _joined(near: SparsityPattern, node: Tensor, other: Tensor) -> Tensor:
    """Whether two nodes are neighbours."""
    return look_up(near.row * near.num_cols + near.col, node * near.num_cols + other)[1]
