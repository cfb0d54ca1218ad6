"""Reductions and softmax over groups of rows, with first and second derivatives of their own."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor

from graphkit.core.validate import check_choice
from graphkit.ops import backend

REDUCTIONS = ("sum", "mean", "max", "min", "logsumexp")


def scatter(src: Tensor, index: Tensor, dim_size: int | None = None, reduce: str = "sum") -> Tensor:
    r"""Reduce the rows of ``src`` that share an index: :math:`y_i = \bigoplus_{k:\, \mathrm{index}_k = i} x_k`.

    Empty groups give 0 for every reduction (also logsumexp, whose mathematical value :math:`-\infty` would poison what
    follows). Equal extremes share their gradient evenly. First and second derivatives do not depend on the backend.

    Args:
        src: Rows to reduce.
        index: Group of each row.
        dim_size: Number of groups (default: the largest index plus one).
        reduce: ``"sum"``, ``"mean"``, ``"max"``, ``"min"`` or ``"logsumexp"`` (default: ``"sum"``).

    Shapes:
        - **src:** :math:`(E, *)`
        - **index:** :math:`(E)`
        - **output:** :math:`(N, *)`

    Raises:
        ValueError: If a shape does not fit or ``reduce`` is unknown.
        IndexError: If an index is out of range.

    Example:
        >>> scatter(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0, 2, 0]), dim_size=4).tolist()
        [4.0, 0.0, 2.0, 0.0]
    """
    return _reduce(src, _by_index(src, index, dim_size), reduce)


def segment(src: Tensor, ptr: Tensor, reduce: str = "sum") -> Tensor:
    r"""Reduce consecutive rows of ``src``: :math:`y_i = \bigoplus_{k=\mathrm{ptr}_i}^{\mathrm{ptr}_{i+1}-1} x_k`.

    Same conventions as :func:`scatter`, which it beats where rows come sorted by group.

    Args:
        src: Rows to reduce.
        ptr: Start of each group, then the number of rows.
        reduce: ``"sum"``, ``"mean"``, ``"max"``, ``"min"`` or ``"logsumexp"`` (default: ``"sum"``).

    Shapes:
        - **src:** :math:`(E, *)`
        - **ptr:** :math:`(N + 1)`
        - **output:** :math:`(N, *)`

    Raises:
        ValueError: If ``ptr`` is not a partition of the rows or ``reduce`` is unknown.

    Example:
        >>> segment(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0, 2, 2, 3]), reduce="mean").tolist()
        [1.5, 0.0, 3.0]
    """
    return _reduce(src, _by_ptr(src, ptr), reduce)


def softmax(src: Tensor, index: Tensor | None = None, ptr: Tensor | None = None, dim_size: int | None = None) -> Tensor:
    r"""Softmax within groups of rows: :math:`y_k = e^{x_k} / \sum_{l \in \mathrm{group}(k)} e^{x_l}`.

    Stable for large values; a group whose values are all :math:`-\infty` gives 0. Differentiable any number of times.

    Args:
        src: Values, e.g. attention logits per edge and head.
        index: Group of each row (default: ``ptr`` tells).
        ptr: Start of each group of consecutive rows, then the number of rows (default: ``index`` tells).
        dim_size: Number of groups (default: the largest index plus one).

    Shapes:
        - **src, output:** :math:`(E, *)`
        - **index:** :math:`(E)`
        - **ptr:** :math:`(N + 1)`

    Raises:
        ValueError: If not exactly one of ``index`` and ``ptr`` is given, or a shape does not fit.

    Example:
        >>> softmax(torch.tensor([0.0, 0.0, 5.0]), torch.tensor([1, 1, 0])).tolist()
        [0.5, 0.5, 1.0]
    """
    if (index is None) == (ptr is None):
        raise ValueError("softmax needs exactly one of index and ptr")
    groups = _by_index(src, index, dim_size) if index is not None else _by_ptr(src, cast(Tensor, ptr))
    _check_floating(src, "softmax")
    return _Softmax.apply(_flat(src), groups).view(src.shape)


class Groups:
    """A partition of rows into numbered groups, by an index or by pointers, which are what kernels prefer.

    Args:
        size: The number of groups.
        index: The group of each row; ``None``: ``ptr`` tells.
        ptr: Where each group begins, then the number of rows; ``None`` if rows are not sorted by group.
    """

    def __init__(self, size: int, index: Tensor | None, ptr: Tensor | None) -> None:
        self.size, self._index, self.ptr = size, index, ptr
        given = index if index is not None else ptr
        assert given is not None
        self.given: Tensor = given

    @property
    def index(self) -> Tensor:
        """The group of each row."""
        if self._index is None:
            self._index = torch.arange(self.size, device=self.given.device).repeat_interleave(self.given.diff())
        return self._index

    def reduce(self, src: Tensor, how: str) -> Tensor:
        """The sum, max or min of each group's rows of ``src``, without derivatives; 0 for empty groups."""
        if self.ptr is not None:
            return backend.segment(src, self.ptr, how)
        return backend.scatter(src, self.given, self.size, how)

    def gather(self, per_group: Tensor) -> Tensor:
        """Each row's row of ``per_group``."""
        return per_group.index_select(0, self.index)

    def counts(self, dtype: torch.dtype) -> Tensor:
        """The number of rows of each group."""
        counts = self.ptr.diff() if self.ptr is not None else torch.bincount(self.given, minlength=self.size)
        return counts.to(dtype)


def check_index(index: Tensor, num_rows: int, size: int | None) -> int:
    """Check the groups of rows; returns their number, by default the largest index plus one.

    Raises:
        TypeError: If they are not int64.
        ValueError: If there is not one per row.
        IndexError: If one is out of range.
    """
    if index.dtype != torch.int64:
        raise TypeError(f"index has dtype {index.dtype}, but groups are numbered in int64; use index.long()")
    if index.dim() != 1 or index.numel() != num_rows:
        raise ValueError(f"index has shape {list(index.shape)}; pass one index per row, shape [{num_rows}]")
    low, high = (0, -1) if num_rows == 0 else (int(i) for i in torch.aminmax(index))
    size = high + 1 if size is None else size
    if low < 0 or high >= size:
        raise IndexError(
            f"index names group {low if low < 0 else high}, but there are {size} groups (0..{size - 1}); "
            "check the index or dim_size"
        )
    return size


def check_ptr(ptr: Tensor, num_rows: int) -> None:
    """Check the beginnings of groups of consecutive rows.

    Raises:
        ValueError: If they are no partition of the rows.
    """
    if ptr.dim() != 1 or ptr.numel() == 0 or ptr.dtype != torch.int64:
        raise ValueError(f"ptr has shape {list(ptr.shape)} and dtype {ptr.dtype}; pass int64 pointers [num_groups + 1]")
    if int(ptr[0]) != 0 or int(ptr[-1]) != num_rows or bool((ptr[1:] < ptr[:-1]).any()):
        raise ValueError(f"ptr must rise from 0 to {num_rows}, the number of rows; got {ptr[0]}..{ptr[-1]}")


def _by_index(src: Tensor, index: Tensor, dim_size: int | None) -> Groups:
    if src.dim() == 0:
        raise ValueError("src has shape []; pass one row per index")
    size = check_index(index, len(src), dim_size)
    ptr, index = None, index.contiguous()  # torch's conversion to CSR ignores strides
    if not index.is_cuda and bool((index[1:] >= index[:-1]).all()):
        ptr = torch._convert_indices_from_coo_to_csr(index, size)
    return Groups(size, index, ptr)


def _by_ptr(src: Tensor, ptr: Tensor) -> Groups:
    check_ptr(ptr, len(src))
    return Groups(ptr.numel() - 1, None, ptr.contiguous())


def _flat(src: Tensor) -> Tensor:
    return src.reshape(src.size(0), src[:1].numel() if src.size(0) > 0 else src.new_empty(1, *src.shape[1:]).numel())


def _check_floating(src: Tensor, what: str) -> None:
    if not src.is_floating_point():
        raise TypeError(f"{what} needs floating point, got {src.dtype}; use src.float()")


def _reduce(src: Tensor, groups: Groups, reduce: str) -> Tensor:
    check_choice(reduce, REDUCTIONS, "reduce")
    flat = _flat(src)
    if reduce == "sum":
        out = _sum(flat, groups)
    elif reduce == "mean":
        _check_floating(src, "mean")
        out = _sum(flat, groups) / groups.counts(flat.dtype).clamp_(min=1).unsqueeze(1)
    elif reduce == "logsumexp":
        _check_floating(src, "logsumexp")
        out = _LogSumExp.apply(flat, groups)
    else:
        out = _Extreme.apply(flat, groups, reduce)
    return out.view(groups.size, *src.shape[1:])


def _sum(src: Tensor, groups: Groups) -> Tensor:
    """The sum over each group."""
    return _Linear.apply(src, groups, True)


def _gather(per_group: Tensor, groups: Groups) -> Tensor:
    """Each row's number of its group, the transpose of the sum."""
    return _Linear.apply(per_group, groups, False)


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


class _Extreme(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, src: Tensor, groups: Groups, reduce: str) -> Tensor:
        out = groups.reduce(src, reduce)
        ctx.groups = groups
        ctx.save_for_backward(src, out, groups.given)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        src, out, _ = ctx.saved_tensors
        groups = ctx.groups
        if groups.ptr is not None and not torch.is_grad_enabled() and not grad.is_cuda:
            return _share_in_blocks(src, out, grad, groups), None, None
        with torch.no_grad():
            reached = (src == groups.gather(out)).to(grad.dtype)
            ties = groups.reduce(reached, "sum").clamp_(min=1)
        return _gather(grad / ties, groups) * reached, None, None


def _share_in_blocks(src: Tensor, out: Tensor, grad: Tensor, groups: Groups) -> Tensor:
    """The gradient of max and min, a cache-sized block of groups at a time."""
    shared = torch.empty_like(src)
    for some_groups, rows, ptr in backend.blocks(cast(Tensor, groups.ptr), src.size(1)):
        local = Groups(ptr.numel() - 1, None, ptr)
        block = shared[rows]
        torch.eq(src[rows], local.gather(out[some_groups]), out=block)
        ties = backend.segment(block, ptr, "sum").clamp_(min=1)
        block *= local.gather(grad[some_groups] / ties)
    return shared


class _LogSumExp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, src: Tensor, groups: Groups) -> Tensor:
        top = groups.reduce(src, "max")
        top.masked_fill_(~top.isfinite(), 0.0)
        total = groups.reduce((src - groups.gather(top)).exp_(), "sum")
        out = total.log_().add_(top)
        out.masked_fill_((groups.counts(src.dtype) == 0).unsqueeze(1), 0.0)
        ctx.groups = groups
        ctx.save_for_backward(src, out, groups.given)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        src, out, _ = ctx.saved_tensors
        share = (src - _gather(out, ctx.groups)).exp()
        return _gather(grad, ctx.groups) * share, None


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, src: Tensor, groups: Groups) -> Tensor:
        out = _shifted(src, groups).exp_()
        total = groups.reduce(out, "sum")
        out /= groups.gather(total.masked_fill_(total == 0, 1.0))
        ctx.groups = groups
        ctx.save_for_backward(out, groups.given)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        out, _ = ctx.saved_tensors
        weighted = out * grad
        return torch.addcmul(weighted, out, _gather(_sum(weighted, ctx.groups), ctx.groups), value=-1), None


def _shifted(src: Tensor, groups: Groups) -> Tensor:
    """``src`` minus a number per group that keeps the exponentials in range: the global maximum where it does."""
    if src.numel() > 0 and not src.is_cuda:
        low, high = (float(bound) for bound in torch.aminmax(src))
        if high - low < -0.5 * math.log(torch.finfo(src.dtype).tiny):
            return src - high
    top = groups.reduce(src, "max")
    return src - groups.gather(top.masked_fill_(~top.isfinite(), 0.0))
