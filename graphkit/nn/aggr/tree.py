"""Reduce many sets of different sizes at once by balanced binary trees over their real elements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from graphkit.nn.aggr.sets import Sets

BinaryOperator = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Level:
    r"""One level of all trees.

    Its rows come in four blocks: left operands, right operands, those without a partner, results of finished trees.

    Attributes:
        blocks: The sizes of the four blocks.
        place: Where each row of the level below goes: first its results, then its rows without a partner.
    """

    blocks: tuple[int, int, int, int]
    place: Tensor


@dataclass(frozen=True)
class Tree:
    r"""The index arithmetic of a reduction, a function of the sizes of the sets alone.

    Attributes:
        levels: From the leaves upwards.
        result: For each set the position of its result among all results in the order in which trees finish; that of
            an empty set is the last one plus one.
    """

    levels: list[Level]
    result: Tensor

    @classmethod
    def of(cls, sets: Sets) -> Tree:
        """The trees of a partition, planned when first asked for."""
        return sets.get("tree", lambda: cls._plan(sets.sizes))

    @classmethod
    def _plan(cls, all_sizes: Tensor) -> Tree:
        number = all_sizes.nonzero().squeeze(1)
        sizes = all_sizes[number]
        rows = torch.arange(int(sizes.sum()), device=sizes.device)  # of the level below, set by set
        levels, finished = [], []
        while rows.numel() > 0:
            position = _ramp(sizes)
            size = sizes.repeat_interleave(sizes)
            even = position % 2 == 0
            alone = size == 1
            left, last = even & (position + 1 < size), even & (position + 1 == size) & ~alone
            pairs, rest, done = (int(block.sum()) for block in (left, last, alone))
            target = torch.empty_like(rows)
            target[left] = torch.arange(pairs, device=rows.device)
            target[~even] = torch.arange(pairs, 2 * pairs, device=rows.device)
            target[last] = torch.arange(2 * pairs, 2 * pairs + rest, device=rows.device)
            target[alone] = torch.arange(2 * pairs + rest, rows.numel(), device=rows.device)
            levels.append(Level((pairs, pairs, rest, done), torch.empty_like(rows).index_copy_(0, rows, target)))
            finished.append(number[sizes == 1])
            survivors = left | last
            rows = torch.where(left, target, target - pairs)[survivors]  # results come first, then the rest
            number, sizes = number[sizes > 1], (sizes[sizes > 1] + 1) // 2
        order = torch.cat([*finished, number])
        result = torch.full_like(all_sizes, order.numel())
        result[order] = torch.arange(order.numel(), device=order.device)
        return cls(levels, result)


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
        place = torch.empty_like(order).index_copy_(0, order, level.place) if depth == 0 else level.place
        left, right, rest, done = torch.empty_like(rows).index_copy_(0, place, rows).split(level.blocks)
        results.append(done)
        if left.size(0) > 0:
            rows = torch.cat([operator(left, right), rest])
    return torch.cat([*results, identity.unsqueeze(0)]).index_select(0, tree.result)


def _ramp(sizes: Tensor) -> Tensor:
    """``0 .. size - 1`` for each size."""
    ends = sizes.cumsum(0)
    return torch.arange(int(ends[-1]), device=sizes.device) - (ends - sizes).repeat_interleave(sizes)
