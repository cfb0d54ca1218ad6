"""Autograd of the products with a sparse matrix; :mod:`graphkit.ops.spmm` is the public face.

Every backward is written in differentiable operations, so derivatives of any order are right:
the product's gradients are a product with the transpose and a sampled product, the sampled product's are two products.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from graphkit.ops import backend

if TYPE_CHECKING:
    from graphkit.ops.matrix import SparseMatrix
    from graphkit.ops.structure import Structure


def product(matrix: SparseMatrix, x: Tensor) -> Tensor:
    """``matrix @ x`` for ``x [num_cols, F]`` of the matrix's dtype."""
    values = matrix.values if matrix.requires_grad else None
    return _Product.apply(x, values, matrix)


def extreme(matrix: SparseMatrix, x: Tensor, reduce: str) -> Tensor:
    """Row-wise max or min of ``matrix[i, j] * x[j]`` for ``x [num_cols, F]``; empty rows give 0."""
    return _Extreme.apply(x, matrix.values, matrix, reduce)


def sampled(structure: Structure, a: Tensor, b: Tensor) -> Tensor:
    """``(a[row] * b[col]).sum(-1)`` for every entry in CSR order, from ``a [num_rows, F]``, ``b [num_cols, F]``."""
    return _Sampled.apply(a, b, structure)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, values: Tensor | None, matrix: SparseMatrix) -> Tensor:
        ctx.matrix = matrix
        if values is not None:
            ctx.save_for_backward(x, values)
        return backend.csr_mm(matrix.csr(x.dtype), x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        matrix, grad_x, grad_values = ctx.matrix, None, None
        if ctx.needs_input_grad[0]:
            grad_x = product(matrix.T, grad)
        if ctx.needs_input_grad[1]:
            x, _ = ctx.saved_tensors
            grad_values = sampled(matrix.structure, grad, x)
        return grad_x, grad_values, None


class _Sampled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, structure: Structure) -> Tensor:
        ctx.structure = structure
        ctx.save_for_backward(a, b)
        if structure.num_edges > structure.num_rows * structure.num_cols:  # torch resizes such a result wrongly
            return (a.index_select(0, structure.row) * b.index_select(0, structure.col)).sum(1)
        wide = a.dtype if a.dtype in (torch.float32, torch.float64) else torch.float32
        return backend.csr_sampled(structure.pattern(wide), a.to(wide), b.to(wide)).to(a.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        from graphkit.ops.matrix import SparseMatrix

        a, b = ctx.saved_tensors
        matrix = SparseMatrix(ctx.structure, grad)
        grad_a = product(matrix, b) if ctx.needs_input_grad[0] else None
        grad_b = product(matrix.T, a) if ctx.needs_input_grad[1] else None
        return grad_a, grad_b, None


class _Extreme(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, values: Tensor | None, matrix: SparseMatrix, reduce: str) -> Tensor:
        if x.is_cuda:  # torch has no such kernel there
            out = backend.segment(_messages(x, values, matrix.structure), matrix.structure.rowptr, reduce)
        else:
            out = backend.csr_mm_reduce(matrix.csr(x.dtype), x, reduce)
        ctx.structure = matrix.structure
        ctx.save_for_backward(x, values, out)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        structure, (x, values, out) = ctx.structure, ctx.saved_tensors
        if not torch.is_grad_enabled() and not grad.is_cuda:
            return *_share_in_blocks(grad, x, values, out, structure, ctx.needs_input_grad), None, None
        with torch.no_grad():
            reached = (_messages(x, values, structure) == out.index_select(0, structure.row)).to(grad.dtype)
            ties = backend.segment(reached, structure.rowptr, "sum").clamp_(min=1)
        grad = (grad / ties).index_select(0, structure.row) * reached
        grad_x = grad_values = None
        if ctx.needs_input_grad[0]:
            carried = grad if values is None else grad * values.unsqueeze(1)
            grad_x = torch.zeros_like(x).index_add(0, structure.col, carried)
        if ctx.needs_input_grad[1]:
            grad_values = (grad * x.index_select(0, structure.col)).sum(1)
        return grad_x, grad_values, None, None


def _share_in_blocks(
    grad: Tensor, x: Tensor, values: Tensor | None, out: Tensor, structure: Structure, needed: tuple[bool, ...]
) -> tuple[Tensor | None, Tensor | None]:
    """The gradients of max and min, a cache-sized block of rows at a time."""
    grad_x = torch.zeros_like(x) if needed[0] else None
    grad_values = torch.empty_like(values) if values is not None and needed[1] else None
    for rows, entries, ptr in backend.blocks(structure.rowptr, x.size(1)):
        row, col = structure.row[entries] - rows.start, structure.col[entries]
        sources = x.index_select(0, col)
        weight = None if values is None else values[entries].unsqueeze(1)
        messages = sources if weight is None else sources * weight
        reached = (messages == out[rows].index_select(0, row)).to(grad.dtype)
        ties = backend.segment(reached, ptr, "sum").clamp_(min=1)
        reached *= (grad[rows] / ties).index_select(0, row)
        if grad_values is not None:
            grad_values[entries] = (reached * sources).sum(1)
        if grad_x is not None:
            grad_x.index_add_(0, col, reached if weight is None else reached.mul_(weight))
    return grad_x, grad_values


def _messages(x: Tensor, values: Tensor | None, structure: Structure) -> Tensor:
    messages = x.index_select(0, structure.col)
    return messages if values is None else messages.mul_(values.unsqueeze(1))
