"""Reductions and softmax over groups of rows, with first and second derivatives of their own."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor

from graphkit.core.validate import check_choice
from graphkit.ops import backend
from graphkit.ops.extreme import Extreme
from graphkit.ops.groups import Groups, check_index, check_ptr

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
    return reduce_groups(src, _by_index(src, index, dim_size), reduce)


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
    return reduce_groups(src, _by_ptr(src, ptr), reduce)


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
    return softmax_groups(
        src, _by_index(src, index, dim_size) if index is not None else _by_ptr(src, cast(Tensor, ptr))
    )


def softmax_groups(src: Tensor, groups: Groups) -> Tensor:
    """:func:`softmax` within groups that are known to fit."""
    _check_floating(src, "softmax")
    return _Softmax.apply(_flat(src), groups).view(src.shape)


def _by_index(src: Tensor, index: Tensor, dim_size: int | None) -> Groups:
    if src.dim() == 0:
        raise ValueError("src has shape []; pass one row per index")
    return group_rows(index, len(src), dim_size)


def group_rows(index: Tensor, num_rows: int, size: int | None) -> Groups:
    """Rows by the number of their group, which is checked; by default there are as many as the largest index says."""
    size, ascends = check_index(index, num_rows, size)
    index = index.contiguous()  # torch's conversion to CSR ignores strides
    ptr = torch._convert_indices_from_coo_to_csr(index, size) if ascends else None
    return Groups(size, index, ptr)


def _by_ptr(src: Tensor, ptr: Tensor) -> Groups:
    check_ptr(ptr, len(src))
    return Groups(ptr.numel() - 1, None, ptr.contiguous(), len(src))


def _flat(src: Tensor) -> Tensor:
    return src.reshape(src.size(0), src[:1].numel() if src.size(0) > 0 else src.new_empty(1, *src.shape[1:]).numel())


def _check_floating(src: Tensor, what: str) -> None:
    if not src.is_floating_point():
        raise TypeError(f"{what} needs floating point, got {src.dtype}; use src.float()")


def reduce_groups(src: Tensor, groups: Groups, reduce: str) -> Tensor:
    """:func:`segment` over groups that are known to fit."""
    check_choice(reduce, REDUCTIONS, "reduce")
    flat = _flat(src)
    if reduce == "sum":
        out = groups.sum(flat)
    elif reduce == "mean":
        _check_floating(src, "mean")
        out = groups.sum(flat) / groups.counts(flat.dtype).clamp_(min=1).unsqueeze(1)
    elif reduce == "logsumexp":
        _check_floating(src, "logsumexp")
        out = _LogSumExp.apply(flat, groups)
    else:
        out = Extreme.apply(flat, None, None, groups, reduce)
    return out.view(groups.size, *src.shape[1:])


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
        share = (src - ctx.groups.spread(out)).exp()
        return ctx.groups.spread(grad) * share, None


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, src: Tensor, groups: Groups) -> Tensor:
        out = _shifted(src, groups).exp_()
        if backend.compiled(out, out.numel()):
            from graphkit.ops import softmax_kernels

            softmax_kernels.normalize(groups.index, groups.size, out)
        else:
            total = groups.reduce(out, "sum")
            out /= groups.gather(total.masked_fill_(total == 0, 1.0))
        ctx.groups = groups
        ctx.save_for_backward(out, groups.given)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        groups, (out, _) = ctx.groups, ctx.saved_tensors
        if backend.compiled(out, out.numel()) and not torch.is_grad_enabled():
            from graphkit.ops import softmax_kernels

            return softmax_kernels.softmax_backward(groups.index, groups.size, out, grad), None
        weighted = out * grad
        return torch.addcmul(weighted, out, groups.spread(groups.sum(weighted)), value=-1), None


def _shifted(src: Tensor, groups: Groups) -> Tensor:
    """``src`` minus a number per group that keeps the exponentials in range: the global maximum where it does."""
    if src.numel() > 0 and not src.is_cuda:
        low, high = (float(bound) for bound in torch.aminmax(src))
        if high - low < -0.5 * math.log(torch.finfo(src.dtype).tiny):
            return src - high
    top = groups.reduce(src, "max")
    return src - groups.gather(top.masked_fill_(~top.isfinite(), 0.0))
