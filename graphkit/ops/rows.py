"""Operations on rows: of features, and of sparse matrices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphkit.ops import backend
from graphkit.ops.pattern import SparsityPattern
from graphkit.ops.segment import reduce_groups, softmax_groups
from graphkit.ops.traced import tracing


def l2_normalize(x: Tensor, eps: float = 1e-12) -> Tensor:
    r"""Divide each row by its length: :math:`y_i = x_i / \max(\|x_i\|_2, \epsilon)`.

    The same as ``torch.nn.functional.normalize`` with a backward pass in closed form, :math:`(g - (g \cdot y) \, y) /
    \|x\|`. Differentiable once.

    Args:
        x: Rows.
        eps: :math:`\epsilon` (default: 1e-12).

    Shapes:
        - **x, output:** :math:`(N, F)`

    Raises:
        ValueError: If ``eps`` is negative.
        TypeError: If ``x`` is no dense tensor of floating point numbers.

    Example:
        >>> l2_normalize(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([[0.6000, 0.8000],
                [0.0000, 0.0000]])
    """
    if not eps >= 0:
        raise ValueError(f"l2_normalize: eps={eps}, must be at least 0")
    if tracing():
        return torch.nn.functional.normalize(x, dim=1, eps=eps)
    if not (isinstance(x, Tensor) and x.is_floating_point() and x.layout == torch.strided):
        given = f"of {x.dtype}, {x.layout}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
        raise TypeError(f"l2_normalize: x is {given}, must be a dense tensor of floating point numbers")
    return _Normalize.apply(x, eps)


def row_softmax(pattern: SparsityPattern, values: Tensor) -> Tensor:
    """The softmax over each row's values ``[num_edges, *]``, in CSR order.

    Args:
        pattern: The sparsity pattern.
        values: The values of its entries.
    """
    return cast(Any, pattern).row_softmax(values) if pattern.traced else softmax_groups(values, pattern.groups)


def row_sum(pattern: SparsityPattern, values: Tensor) -> Tensor:
    """The sum of each row's values ``[num_edges, *]``, in CSR order.

    Args:
        pattern: The sparsity pattern.
        values: The values of its entries.
    """
    return cast(Any, pattern).row_sum(values) if pattern.traced else reduce_groups(values, pattern.groups, "sum")


def row_products(states: Iterable[Tensor], count: int, a: Tensor, b: Tensor) -> Tensor:
    r"""The products :math:`x_i \cdot a_i`, :math:`x_i \cdot b_i` and :math:`x_i \cdot x_i` of rows, ``[count, 3, N]``.

    On the CPU each state is read once, as soon as it is made.

    Args:
        states: Rows ``[N, F]``, some after another.
        count: How many states there are.
        a: Other rows ``[N, F]``.
        b: And others.
    """
    if backend.compiled(a, count * a.numel()):
        from graphkit.ops import product_kernels

        return torch.stack([product_kernels.row_products(x, a, b) for x in states])
    return torch.stack([torch.stack([(x * other).sum(1) for other in (a, b, x)]) for x in states])


class _Normalize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=1, keepdim=True).clamp_(min=eps)
        ctx.save_for_backward(x, length)  # what made x often keeps it, too; nothing else would keep the result
        return x / length

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, length = ctx.saved_tensors
        along = (grad * x).sum(1, keepdim=True).div_(length.square())
        return torch.addcmul(grad, x, along, value=-1).div_(length), None
