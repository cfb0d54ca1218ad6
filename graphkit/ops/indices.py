"""Index arithmetic: stretches of different lengths one after the other, and inverse permutations."""

from __future__ import annotations

import torch
from torch import Tensor


def starts(lengths: Tensor) -> Tensor:
    """Where each stretch begins, then the sum of lengths: ``[n]`` to ``[n + 1]``."""
    return torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])


def ragged(first: Tensor, lengths: Tensor) -> Tensor:
    """The numbers ``first[i], ..., first[i] + lengths[i] - 1``, stretch after stretch."""
    shift = (first - starts(lengths)[:-1]).repeat_interleave(lengths)
    return shift + torch.arange(shift.numel(), device=shift.device)


def invert(permutation: Tensor) -> Tensor:
    """The permutation that undoes another."""
    out = torch.empty_like(permutation)
    out[permutation] = torch.arange(permutation.numel(), device=permutation.device)
    return out
