"""Partitions of rows into groups: their sums, and what the other reductions are made of."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphkit.core.caching import of_tensor
from graphkit.core.devices import Asked
from graphkit.ops import backend
from graphkit.ops.indices import count, starts


class Groups:
    """A partition of rows into numbered groups, by an index or by pointers, which are what kernels prefer.

    Args:
        size: The number of groups.
        index: The group of each row; ``None``: ``ptr`` tells.
        ptr: Where each group begins, then the number of rows; ``None`` if rows are not sorted by group.
        num_rows: The number of rows (default: that of ``index``; else a device is asked for it).
    """

    def __init__(self, size: int, index: Tensor | None, ptr: Tensor | None, num_rows: int | None = None) -> None:
        self.size, self._index, self.ptr, self._num_rows = size, index, ptr, num_rows
        self._sorted: tuple[Tensor, Tensor] | None = None
        given = index if index is not None else ptr
        assert given is not None
        self.given: Tensor = given

    @property
    def index(self) -> Tensor:
        """The group of each row."""
        if self._index is None:
            groups = torch.arange(self.size, device=self.given.device)
            self._index = groups.repeat_interleave(self.given.diff(), output_size=self._num_rows)
        return self._index

    @property
    def by_group(self) -> tuple[Tensor, Tensor | None]:
        """Where each group begins, then the number of rows, and the rows group by group (``None`` if they are so)."""
        if self.ptr is not None:
            return self.ptr, None
        if self._sorted is None:
            ids = self.given.int() if self.size < 2**31 else self.given  # sorts twice as fast
            ptr = starts(count(self.given, self.size))
            self._sorted = ptr, ids.sort(stable=True).indices
        return self._sorted

    def reduce(self, src: Tensor, how: str) -> Tensor:
        """The sum, max or min of each group's rows of ``src``, without derivatives; 0 for empty groups."""
        if self.ptr is not None:
            return backend.segment(src, self.ptr, how)
        return backend.scatter(src, self.given, self.size, how)

    def sum(self, src: Tensor) -> Tensor:
        """The sum of each group's rows."""
        return _Linear.apply(src, self, True)

    def spread(self, per_group: Tensor) -> Tensor:
        """Each row's number of its group, the transpose of the sum."""
        return _Linear.apply(per_group, self, False)

    def gather(self, per_group: Tensor) -> Tensor:
        """As :meth:`spread`, without derivatives."""
        return per_group.index_select(0, self.index)

    def counts(self, dtype: torch.dtype) -> Tensor:
        """The number of rows of each group."""
        counts = self.ptr.diff() if self.ptr is not None else count(self.given, self.size)
        return counts.to(dtype)


def check_index(index: Tensor, num_rows: int, size: int | None) -> tuple[int, bool]:
    """Check the groups of rows; returns their number, by default the largest index plus one, and whether they ascend.

    Raises:
        TypeError: If they are not int64.
        ValueError: If there is not one per row.
        IndexError: If one is out of range.
    """
    if index.dtype != torch.int64:
        raise TypeError(f"index has dtype {index.dtype}, but groups are numbered in int64; use index.long()")
    if index.dim() != 1 or index.numel() != num_rows:
        raise ValueError(f"index has shape {list(index.shape)}; pass one index per row, shape [{num_rows}]")
    low, high, ascends = (0, -1, 1) if num_rows == 0 else ask_index(index).values
    size = high + 1 if size is None else size
    if low < 0 or high >= size:
        raise IndexError(
            f"index names group {low if low < 0 else high}, but there are {size} groups (0..{size - 1}); "
            "check the index or dim_size"
        )
    return size, bool(ascends)


def ask_index(index: Tensor) -> Asked:
    """What :func:`check_index` reads of one row or more; asked early, it takes no wait of its own."""
    return of_tensor(index, "groups", lambda: Asked([*index.aminmax(), (index[1:] >= index[:-1]).all()]))


def check_ptr(ptr: Tensor, num_rows: int) -> None:
    """Check the beginnings of groups of consecutive rows.

    Raises:
        ValueError: If they are no partition of the rows.
    """
    if ptr.dim() != 1 or ptr.numel() == 0 or ptr.dtype != torch.int64:
        raise ValueError(f"ptr has shape {list(ptr.shape)} and dtype {ptr.dtype}; pass int64 pointers [num_groups + 1]")
    if ask_ptr(ptr).values != [0, num_rows, 0]:
        raise ValueError(f"ptr must rise from 0 to {num_rows}, the number of rows; got {ptr[0]}..{ptr[-1]}")


def ask_ptr(ptr: Tensor) -> Asked:
    """What :func:`check_ptr` reads, asked early."""
    return of_tensor(ptr, "ends", lambda: Asked([ptr[0], ptr[-1], (ptr[1:] < ptr[:-1]).any()]))


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, groups: Groups, summed: bool) -> Tensor:
        ctx.groups, ctx.summed = groups, summed
        ctx.save_for_backward(groups.given)  # notices edits in place
        return groups.reduce(x, "sum") if summed else groups.gather(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        _ = ctx.saved_tensors
        return _Linear.apply(grad, ctx.groups, not ctx.summed), None, None
