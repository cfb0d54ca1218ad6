r"""Products along a list of edges as operators of torch, which ``torch.compile`` takes as they are.

``torch.ops.graphkit.edge_product(row, col, values, x, num_rows)`` is :math:`Y_{\mathrm{row}_e} \mathrel{+}= v_e
X_{\mathrm{col}_e}` for all edges, ``torch.ops.graphkit.edge_dot(row, col, a, b)`` the inner products
:math:`\langle A_{\mathrm{row}_e}, B_{\mathrm{col}_e} \rangle`. Each is in the other's derivative, so that there are
derivatives of any order. Neither keeps a row per edge.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


@torch.library.custom_op(
    "graphkit::edge_product",
    mutates_args=(),
    schema="(Tensor row, Tensor col, Tensor? values, Tensor x, SymInt num_rows) -> Tensor",
)
def edge_product(row: Tensor, col: Tensor, values: Tensor | None, x: Tensor, num_rows: int) -> Tensor:
    """The sums ``[num_rows, channels]`` of rows of ``x [num_cols, channels]`` by ``values [num_edges]``."""
    if _is_compiled(x):
        from graphkit.ops import edge_list_kernels as kernels

        out = x.new_zeros(num_rows, x.size(1))
        kernels.product(*_arrays(row, col, x.new_empty(0) if values is None else values, x, out))
        return out
    messages = x.index_select(0, col)
    messages = messages if values is None else values.unsqueeze(1) * messages
    return x.new_zeros(num_rows, x.size(1)).index_add(0, row, messages)


@torch.library.custom_op(
    "graphkit::edge_dot", mutates_args=(), schema="(Tensor row, Tensor col, Tensor a, Tensor b) -> Tensor"
)
def edge_dot(row: Tensor, col: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The inner products ``[num_edges]`` of rows of ``a`` and ``b``."""
    if _is_compiled(a):
        from graphkit.ops import edge_list_kernels as kernels

        out = a.new_empty(row.size(0))
        kernels.dot(*_arrays(row, col, a, b, out))
        return out
    return (a.index_select(0, row) * b.index_select(0, col)).sum(1)


def _is_compiled(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)


def _arrays(*tensors: Tensor) -> list[Any]:
    return [tensor.detach().contiguous().numpy() for tensor in tensors]


@edge_product.register_fake
def _(row: Tensor, col: Tensor, values: Tensor | None, x: Tensor, num_rows: int) -> Tensor:
    return x.new_empty(num_rows, x.size(1))


@edge_dot.register_fake
def _(row: Tensor, col: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return a.new_empty(row.size(0))


def _product_context(ctx: Any, inputs: Any, output: Tensor) -> None:
    row, col, values, x, _ = inputs
    ctx.save_for_backward(row, col, values, x)


def _product_backward(ctx: Any, grad: Tensor) -> Any:
    row, col, values, x = ctx.saved_tensors
    grad_values = edge_dot(row, col, grad, x) if ctx.needs_input_grad[2] else None
    grad_x = edge_product(col, row, values, grad, x.size(0)) if ctx.needs_input_grad[3] else None
    return None, None, grad_values, grad_x, None


def _dot_context(ctx: Any, inputs: Any, output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _dot_backward(ctx: Any, grad: Tensor) -> Any:
    row, col, a, b = ctx.saved_tensors
    grad_a = edge_product(row, col, grad, b, a.size(0)) if ctx.needs_input_grad[2] else None
    grad_b = edge_product(col, row, grad, a, b.size(0)) if ctx.needs_input_grad[3] else None
    return None, None, grad_a, grad_b


edge_product.register_autograd(_product_backward, setup_context=_product_context)
edge_dot.register_autograd(_dot_backward, setup_context=_dot_context)


def _one_by_one(operator: Any) -> Any:
    """A rule of ``torch.func.vmap``: the operator for each member of the batch."""

    def rule(info: Any, in_dims: Any, *inputs: Any) -> tuple[Tensor, int]:
        def member(i: int) -> list[Any]:
            return [part if dim is None else part.select(dim, i) for part, dim in zip(inputs, in_dims, strict=True)]

        return torch.stack([operator(*member(i)) for i in range(info.batch_size)]), 0

    return rule


edge_product.register_vmap(_one_by_one(edge_product))
edge_dot.register_vmap(_one_by_one(edge_dot))
