"""Inputs of a layer, dense or sparse; those that do not change, in the form in which a product costs least."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkit.ops import SparseMatrix, SparsityPattern


class Chain:
    """The product of two sparse matrices, held as two: ``left @ (right @ w)`` costs less than their product does."""

    def __init__(self, left: SparseMatrix, right: SparseMatrix) -> None:
        self.left, self.right = left, right

    def __matmul__(self, w: Tensor) -> Tensor:
        return self.left @ (self.right @ w)


class Variants:
    r"""Matrices :math:`A_v = S + L_v R` that differ by few columns or rows; multiplied, ``[V, rows, channels]``.

    Args:
        shared: :math:`S`, anything that can be multiplied with a matrix from the right.
        left: :math:`L`, of shape ``[V, rows, r]``.
        right: :math:`R`, ``[r, columns]``.
    """

    def __init__(self, shared: Any, left: Tensor, right: Tensor) -> None:
        self.shared, self.left, self.right = shared, left, right

    def __matmul__(self, w: Tensor) -> Tensor:
        low_rank = (self.right @ w).expand(self.left.size(0), -1, -1)
        return torch.baddbmm(self.shared @ w, self.left, low_rank)  # one pass over the large result


class Blocks:
    """Blocks of columns side by side, each multiplied with its own rows of the matrix.

    Args:
        blocks: Anything that can be multiplied with a matrix from the right, or ``None`` for zeros.
        widths: Their numbers of columns.
    """

    def __init__(self, blocks: Sequence[Any], widths: Sequence[int]) -> None:
        self.blocks, self.widths = blocks, widths

    def __matmul__(self, w: Tensor) -> Tensor:
        own, kept = list[Tensor](), list[Tensor]()
        for block, part in zip(self.blocks, w.split(list(self.widths))):
            if block is not None:
                (kept if isinstance(block, CachedProduct) else own).append(block @ part)
        out = own.pop() if own else kept.pop().clone()  # callers may write to it, a kept product is used again
        for other in (*own, *kept):
            out.add_(other)  # in place: memory for another large result costs more than the sum
        return out


class CachedProduct:
    """A block that never changes: without gradients its product is computed once per version of the weights."""

    def __init__(self, block: Any) -> None:
        self.block = block
        self._key: tuple[int, int] | None = None
        self._product: Tensor | None = None

    def __matmul__(self, w: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return self.block @ w
        key = (w.data_ptr(), w._version)
        if self._product is None or key != self._key:
            self._key, self._product = key, self.block @ w
        return self._product


def differing_columns(matrices: list[Any], rows: Tensor, k: int) -> Tensor | None:
    """How the last ``k`` columns of each matrix differ from those of the first, ``[V, rows, k]``.

    ``None`` if the matrices differ elsewhere.
    """
    first = matrices[0].select_rows(rows)
    n = first.shape[1] - k
    parts, last_columns = [], []
    for matrix in matrices:
        chosen = matrix.select_rows(rows)
        s = chosen.pattern
        common = s.col < n
        parts.append((s.row[common], s.col[common], chosen.values[common]))
        last_columns.append(chosen.values.new_zeros(rows.numel(), k))
        last_columns[-1].index_put_((s.row[~common], s.col[~common] - n), chosen.values[~common], accumulate=True)
    for row, col, value in parts[1:]:
        if not (torch.equal(row, parts[0][0]) and torch.equal(col, parts[0][1]) and torch.equal(value, parts[0][2])):
            return None
    stacked = torch.stack(last_columns)
    return stacked - stacked[:1]


def normalize_rows(h: Any) -> Any:
    """Rows divided by their length plus 1e-8; works on sparse matrices too."""
    scale = inverse_lengths(h)
    return h.scale(left=scale) if isinstance(h, SparseMatrix) else h * scale.unsqueeze(1)


def inverse_lengths(h: Any) -> Tensor:
    """One over (the length of each row plus 1e-8)."""
    if isinstance(h, SparseMatrix):
        length = SparseMatrix(h.pattern, h.values.square()).row_sum().sqrt()  # type: ignore[union-attr]
    else:
        length = h.norm(dim=1)
    return (length + 1e-8).reciprocal()


def aggregate(matrix: SparseMatrix, h: Any, rows: Tensor | None = None) -> Any:
    """Some rows of ``matrix @ h``: their product where ``h`` is dense, a chain of factors where it is sparse."""
    matrix = matrix if rows is None else matrix.select_rows(rows)
    return Chain(matrix, h) if isinstance(h, SparseMatrix) else matrix @ h


def pad_columns(h: Any, count: int) -> Any:
    """Append columns of zeros."""
    if count == 0:
        return h
    if isinstance(h, SparseMatrix):
        s = h.pattern
        return SparseMatrix(SparsityPattern(s.rowptr, s.col, s.perm, s.num_cols + count), h.values)
    return F.pad(h, (0, count))
