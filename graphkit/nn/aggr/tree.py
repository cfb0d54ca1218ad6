"""Reduce many sets of different sizes at once by balanced binary trees over their real elements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from graphkit.core.devices import moved
from graphkit.nn.aggr.sets import Sets
from graphkit.ops.indices import invert, permute, ragged

BinaryOperator = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Level:
    r"""One level of all trees.

    Its rows come in four blocks: left operands, right operands, those without a partner, results of finished trees.

    Attributes:
        blocks: The sizes of the four blocks.
        take: Which row of the level below each row is; there the results come first, then those without a partner.
    """

    blocks: tuple[int, int, int, int]
    take: Tensor


@dataclass(frozen=True)
class Tree:
    r"""The index arithmetic of a reduction, a function of the sizes of the sets alone.

    Attributes:
        levels: From the leaves upwards.
        take: Which result each set has, in the order in which trees finish; the results of empty sets come last.
        num_empty: The number of empty sets.
    """

    levels: list[Level]
    take: Tensor
    num_empty: int

    @classmethod
    def of(cls, sets: Sets) -> Tree:
        """The trees of a partition, planned when first asked for: on the host, which waits for the sizes alone."""
        return sets.cached("tree", lambda: moved(cls._plan(sets.sizes.cpu()), sets.sizes.device))

    @classmethod
    def _plan(cls, all_sizes: Tensor) -> Tree:
        number = all_sizes.nonzero().squeeze(1)
        sizes = all_sizes[number]
        rows = torch.arange(int(sizes.sum()), device=sizes.device)  # of the level below, set by set
        levels, finished = [], []
        while rows.numel() > 0:
            position = ragged(torch.zeros_like(sizes), sizes)
            size = sizes.repeat_interleave(sizes)
            even = position % 2 == 0
            alone = size == 1
            left, last = even & (position + 1 < size), even & (position + 1 == size) & ~alone
            blocks = [block.nonzero().squeeze(1) for block in (left, ~even, last, alone)]
            pairs, _, rest, done = (block.numel() for block in blocks)
            chosen = torch.cat(blocks)
            levels.append(Level((pairs, pairs, rest, done), rows[chosen]))
            finished.append(number[sizes == 1])
            target = invert(chosen)
            survivors = left | last
            rows = torch.where(left, target, target - pairs)[survivors]  # results come first, then the rest
            number, sizes = number[sizes > 1], (sizes[sizes > 1] + 1) // 2
        empty = (all_sizes == 0).nonzero().squeeze(1)
        return cls(levels, invert(torch.cat([*finished, empty])), empty.numel())


def reduce(operator: BinaryOperator, leaves: Tensor, tree: Tree, order: Tensor, identity: Tensor) -> Tensor:
    r"""Reduce each set of leaves by its tree.

    Args:
        operator: Combines two matrices ``[n, channels]`` row by row.
        leaves: The elements ``[num_elements, channels]``.
        tree: The plan for their sets.
        order: The elements set by set, in the order of the leaves.
        identity: The result of an empty set ``[channels]``.
    """
    results, rows = [], leaves
    for depth, level in enumerate(tree.levels):
        take = order[level.take] if depth == 0 else level.take
        left, right, rest, done = permute(rows, take).split(level.blocks)
        results.append(done)
        if left.size(0) > 0:
            rows = torch.cat([operator(left, right), rest])
    return permute(torch.cat([*results, identity.expand(tree.num_empty, -1)]), tree.take)
