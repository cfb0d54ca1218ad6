"""Max and min over groups of entries, whose equal extremes share their gradient evenly."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphkit.ops import backend
from graphkit.ops.groups import Groups
from graphkit.ops.pattern import SparsityPattern


class Extreme(torch.autograd.Function):
    """The max or min of each group of the rows ``values * x[col]``; ``None`` stands for all ones and for ``x`` itself.

    The CPU's compiled kernel keeps which entry reaches an extreme, so that its way back compares nothing where no two
    do; that for CUDA keeps how many do.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, values: Tensor | None, pattern: SparsityPattern | None, groups: Groups, reduce: str
    ) -> Tensor:
        winner = ties = None
        col = None if pattern is None else pattern.col
        if pattern is not None and backend.fused(x):
            from graphkit.ops.triton import extreme

            out, ties = extreme.extreme(pattern, values, x, reduce)
        elif backend.compiled(x, (len(x) if col is None else len(col)) * x.size(1)):
            from graphkit.ops import kernels

            ptr, order = groups.by_group
            out, winner = kernels.extreme(ptr, order if col is None else col, values, x, reduce)
        elif x.is_cuda or col is None:  # torch has no such kernel for CUDA
            out = groups.reduce(_messages(x, values, col), reduce)
        else:
            ones = x.new_ones(col.numel()) if values is None else values
            matrix = backend.csr_tensor(groups.by_group[0], col, ones, (groups.size, x.size(0)))
            out = backend.csr_mm_reduce(matrix, x, reduce)
        ctx.groups, ctx.pattern = groups, pattern
        ctx.save_for_backward(x, values, out, winner, ties, groups.given)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        groups, pattern, (x, values, out, winner, ties, _) = ctx.groups, ctx.pattern, ctx.saved_tensors
        col = None if pattern is None else pattern.col
        if ties is not None and not torch.is_grad_enabled():
            from graphkit.ops.triton import extreme

            needed = ctx.needs_input_grad
            return *extreme.extreme_backward(pattern, (x, values, out), ties, grad, needed), None, None, None
        if winner is not None and not torch.is_grad_enabled():
            from graphkit.ops import kernels

            ptr, order = groups.by_group
            entries = (ptr, order if col is None else col, values)
            return *kernels.extreme_backward(entries, (x, out, winner), grad, ctx.needs_input_grad), None, None, None
        with torch.no_grad():
            reached = (_messages(x, values, col) == groups.gather(out)).to(grad.dtype)
            number = groups.reduce(reached, "sum").clamp_(min=1)
        grad = groups.spread(grad / number) * reached
        if col is None:
            return grad, None, None, None, None
        grad_x = grad_values = None
        if ctx.needs_input_grad[0]:
            carried = grad if values is None else grad * values.unsqueeze(1)
            grad_x = torch.zeros_like(x).index_add(0, col, carried)
        if ctx.needs_input_grad[1]:
            grad_values = (grad * x.index_select(0, col)).sum(1)
        return grad_x, grad_values, None, None, None


def _messages(x: Tensor, values: Tensor | None, col: Tensor | None) -> Tensor:
    if col is None:
        return x
    messages = x.index_select(0, col)
    return messages if values is None else messages.mul_(values.unsqueeze(1))
