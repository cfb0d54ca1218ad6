"""Polynomials of a sparse matrix times a dense one, without a copy of the features for each power."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from graphkit.ops.matrix import SparseMatrix

_COLUMNS = 256  # few enough that a block of features stays in the processor's cache from one power to the next


def polynomial_filter(matrix: SparseMatrix, coefficients: Tensor, x: Tensor) -> Tensor:
    r"""Filter features by a polynomial of a square matrix: generalised PageRank, heat kernels, simple convolutions.

    .. math::
        Y = \sum_{k = 0}^K c_k A^k X, \qquad
        \frac{\partial \ell}{\partial X} = \sum_k c_k (A^\top)^k G, \qquad
        \frac{\partial \ell}{\partial c_k} = \langle X, (A^\top)^k G \rangle

    with the gradient :math:`G` to :math:`Y`. The backward pass needs nothing but :math:`X`, so memory does not grow
    with :math:`K`, unless the values of the matrix need a gradient. Derivatives of any order are right.

    Args:
        matrix: The matrix :math:`A`, ``[num_nodes, num_nodes]``.
        coefficients: The numbers :math:`c_0, \dots, c_K`, ``[K + 1]``.
        x: Features ``[num_nodes, *]``.

    Returns:
        The filtered features, like ``x``.

    Example:
        >>> path = SparseMatrix.from_edges(torch.tensor([[0, 1], [1, 2]]), size=3)
        >>> polynomial_filter(path, torch.tensor([1.0, 0.5, 0.25]), torch.tensor([[1.0], [0.0], [0.0]])).squeeze(1)
        tensor([1.0000, 0.5000, 0.2500])
    """
    if matrix.requires_grad:
        return _differentiable(matrix, coefficients, x)
    return _Polynomial.apply(x, coefficients, matrix)


def _differentiable(matrix: SparseMatrix, coefficients: Tensor, x: Tensor) -> Tensor:
    out = torch.zeros_like(x)
    for coefficient, h in zip(coefficients, powers(matrix, x, coefficients.numel() - 1), strict=True):
        out = out + coefficient * h
    return out


def powers(matrix: SparseMatrix, h: Tensor, last: int) -> Iterator[Tensor]:
    """The products of features with the powers 0 to ``last`` of a matrix, each made when it is asked for."""
    yield h
    for _ in range(last):
        h = matrix.matmul(h)
        yield h


def column_blocks(x: Tensor) -> list[Tensor]:
    """Columns by the block."""
    return [block.contiguous() for block in x.flatten(1).split(_COLUMNS, dim=1)]


class _Polynomial(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, coefficients: Tensor, matrix: SparseMatrix) -> Tensor:
        ctx.matrix = matrix
        ctx.save_for_backward(x, coefficients)
        return _filter(matrix, coefficients, x)[0]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, coefficients = ctx.saved_tensors
        transposed, last = ctx.matrix.T, coefficients.numel() - 1
        if not torch.is_grad_enabled():
            return *_filter(transposed, coefficients, grad, x if ctx.needs_input_grad[1] else None), None
        dots = torch.stack([(x * h).sum() for h in powers(transposed, grad, last)])
        return polynomial_filter(transposed, coefficients, grad), dots, None


def _filter(
    matrix: SparseMatrix, coefficients: Tensor, x: Tensor, other: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """The filtered features, and the products of each power with other features."""
    filtered, dots = [], None if other is None else torch.zeros_like(coefficients)
    for columns, others in zip(column_blocks(x), column_blocks(x if other is None else other), strict=True):
        out = torch.zeros_like(columns)
        for k, h in enumerate(powers(matrix, columns, coefficients.numel() - 1)):
            out.addcmul_(h, coefficients[k])
            if dots is not None:
                dots[k] += (h * others).sum()
        filtered.append(out)
    return torch.cat(filtered, dim=1).view_as(x), dots
