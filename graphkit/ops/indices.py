"""Index arithmetic: stretches of different lengths one after the other, permutations, and keys that occur again."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def starts(lengths: Tensor) -> Tensor:
    """Where each stretch begins, then the sum of lengths: ``[n]`` to ``[n + 1]``."""
    return torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])


def ragged(first: Tensor, lengths: Tensor, total: int | None = None) -> Tensor:
    """The numbers ``first[i], ..., first[i] + lengths[i] - 1``, stretch after stretch; ``total`` is how many."""
    shift = (first - starts(lengths)[:-1]).repeat_interleave(lengths, output_size=total)
    return shift + torch.arange(shift.numel(), device=shift.device)


def count(ids: Tensor, size: int) -> Tensor:
    """How often each number below ``size`` occurs."""
    if ids.device.type == "cpu":
        return torch.bincount(ids, minlength=size)
    return ids.new_zeros(size).index_add_(0, ids, torch.ones_like(ids))  # bincount would look for the largest


def invert(permutation: Tensor) -> Tensor:
    """The permutation that undoes another."""
    out = torch.empty_like(permutation)
    out[permutation] = torch.arange(permutation.numel(), device=permutation.device)
    return out


def permute(values: Tensor, permutation: Tensor, inverse: Tensor | None = None) -> Tensor:
    """``values[permutation]``, whose gradient is gathered as well, where torch would add it up row by row."""
    return _Permute.apply(values, permutation, inverse)


class _Permute(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, permutation: Tensor, inverse: Tensor | None) -> Tensor:
        ctx.permutation, ctx.inverse = permutation, inverse
        return values.index_select(0, permutation)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        inverse = invert(ctx.permutation) if ctx.inverse is None else ctx.inverse
        return permute(grad, inverse, ctx.permutation), None, None


def look_up(keys: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Where each of ``wanted`` stands in sorted ``keys``, and whether it does; some place where it does not."""
    if not keys.numel():
        return torch.zeros_like(wanted), torch.zeros_like(wanted, dtype=torch.bool)
    place = torch.searchsorted(keys, wanted).clamp_(max=keys.numel() - 1)
    return place, keys[place] == wanted


def occurrence(keys: Tensor) -> Tensor:
    """How many equal ones stand before each key ``[n]``."""
    ordered, order = keys.sort(stable=True)
    number = torch.arange(keys.numel(), device=keys.device)
    begins = torch.ones_like(keys, dtype=torch.bool)
    begins[1:] = ordered[1:] != ordered[:-1]
    rank = torch.empty_like(number)
    rank[order] = number - (number * begins).cummax(0).values
    return rank


def last_of_each(keys: Tensor) -> Tensor:
    """Where each key of ``[n]`` stands for the last time."""
    return (occurrence(keys.flip(0)).flip(0) == 0).nonzero().view(-1)


def ascends(ids: Tensor) -> bool:
    """Whether no id is smaller than the one before."""
    return bool((ids[1:] >= ids[:-1]).all())


def sorted_below(ids: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    """Ids below a limit in ascending order, and the stable permutation; small ones sort twice as fast."""
    return (ids.int() if limit < 2**31 else ids).sort(stable=True)
