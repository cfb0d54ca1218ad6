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
        structure = ctx.structure
        x, values, out = ctx.saved_tensors
        with torch.no_grad():
            share = (_messages(x, values, structure) == out.index_select(0, structure.row)).to(grad.dtype)
            ties = backend.segment(share, structure.rowptr, "sum").clamp_(min=1)
            share /= ties.index_select(0, structure.row)
        grad = grad.index_select(0, structure.row) * share
        grad_x = grad_values = None
        if ctx.needs_input_grad[0]:
            carried = grad if values is None else grad * values.unsqueeze(1)
            grad_x = torch.zeros_like(x).index_add(0, structure.col, carried)
        if ctx.needs_input_grad[1]:
            grad_values = (grad * x.index_select(0, structure.col)).sum(1)
        return grad_x, grad_values, None, None


def _messages(x: Tensor, values: Tensor | None, structure: Structure) -> Tensor:
    messages = x.index_select(0, structure.col)
    return messages if values is None else messages.mul_(values.unsqueeze(1))
