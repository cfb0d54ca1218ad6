"""Which element belongs to which set: grouping, orders within a set, and a small cache of both."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from graphkit.core.caching import Caching, Snapshot
from graphkit.ops.groups import Groups, check_index, check_ptr
from graphkit.ops.indices import count, starts

_CACHED = 8  # a model sees few different partitions at a time: the graphs of training and evaluation


class Sets(Caching, Groups):
    r"""A partition of elements into numbered sets, some of which may be empty.

    Args:
        index: The set of each element ``[num_elements]``.
        num_sets: The number of sets.

    Attributes:
        rows: The elements set by set, in the given order within each: ``[num_elements]``.
        sizes: The number of elements of each set ``[num_sets]``.
        starts: Where each set begins among ``rows``, then their number ``[num_sets + 1]``.
    """

    def __init__(self, index: Tensor, num_sets: int) -> None:
        self.num_sets = num_sets
        self.sizes = count(index, num_sets)
        is_sorted = index.device.type == "cpu" and bool((index[1:] >= index[:-1]).all())  # else the host would wait
        self.starts = starts(self.sizes)
        super().__init__(num_sets, index, self.starts if is_sorted else None)
        self.rows = torch.arange(index.numel(), device=index.device) if is_sorted else index.sort(stable=True).indices

    def copies(self, number: int) -> Sets:
        """Each set as often, of elements that are there as often: those of an element stand together."""
        index = self.index.unsqueeze(1) * number + torch.arange(number, device=self.index.device)
        return Sets(index.view(-1), self.num_sets * number)

    def log_sizes(self, dtype: torch.dtype) -> Tensor:
        """The logarithm of the number of elements of each set, 0 for empty ones ``[num_sets, 1]``."""
        return self.cached(("log_sizes", dtype), lambda: self.sizes.clamp(min=1).to(dtype).log_().unsqueeze(1))

    def shuffled(self) -> Tensor:
        """The elements set by set, in random order within each."""
        return ((self.index << 31) + torch.randint(2**31, self.index.shape, device=self.index.device)).argsort()

    @torch.no_grad()
    def canonical(self, x: Tensor) -> Tensor:
        """The elements set by set, sorted by their values within each: channel by channel until no ties are left.

        Only elements with equal values stay in the given order, so what is computed from the ordered values does not
        depend on it.
        """
        rank = self.starts[self.index]  # how many elements come before, as far as it is decided
        tied = self.rows
        for channel in x.unbind(1):
            tied = tied[channel[tied].sort(stable=True).indices]
            tied = tied[rank[tied].sort(stable=True).indices]
            old, value = rank[tied], channel[tied]
            begins = torch.ones_like(tied, dtype=torch.bool)
            begins[1:] = (old[1:] != old[:-1]) | (value[1:] != value[:-1])
            place = torch.arange(tied.numel(), device=tied.device)
            run = place.where(begins, 0).cummax(0).values
            opens = torch.ones_like(begins)
            opens[1:] = old[1:] != old[:-1]
            rank[tied] = old + run - place.where(opens, 0).cummax(0).values
            alone = begins.clone()
            alone[:-1] &= begins[1:]
            tied = tied[~alone]
            if tied.numel() == 0:
                break
        return rank.sort(stable=True).indices


def find_sets(index: Tensor | None, ptr: Tensor | None, num_sets: int, num_elements: int) -> Sets:
    """The partition that ``ptr`` (preferred) or ``index`` describes, from the cache if one with this content is there.

    On a device the cache knows tensors alone: comparing contents with each partition in it would be a wait for each.

    Raises:
        TypeError: If the ids are not integers.
        ValueError: If a shape does not fit the elements, or ``ptr`` is not a partition of them.
        IndexError: If an index is out of range.
    """
    is_ptr = ptr is not None
    given = ptr if ptr is not None else index
    assert given is not None
    for contents, was_ptr, sets in _recent:
        same_kind = is_ptr == was_ptr and sets.num_sets == num_sets and sets.index.numel() == num_elements
        if same_kind and contents.is_of((given,)):
            return sets
    contents = Snapshot((given,))
    with torch.inference_mode(False), torch.no_grad():
        copy = cast(Tensor, contents.copies[0])
        ids = copy.long() if copy.dtype == torch.int32 else copy
        if is_ptr:
            check_ptr(ids, num_elements)
            ids = Groups(num_sets, None, ids, num_elements).index
        else:
            check_index(given if given.dtype == ids.dtype else ids, num_elements, num_sets)
        sets = Sets(ids, num_sets)
    _recent[:] = [(contents, is_ptr, sets), *_recent][:_CACHED]
    return sets


def forget_sets() -> None:
    """Begin with an empty cache."""
    _recent.clear()


_recent: list[tuple[Snapshot, bool, Sets]] = []
