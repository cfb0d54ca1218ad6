"""A sparse matrix with differentiable values over a sparsity pattern, and the derivatives of its products.

Every backward is written in differentiable operations, so derivatives of any order are right: a product's gradients are
a product with the transpose and a sampled product, those of a sampled product are two products.
"""

from __future__ import annotations

import weakref
from typing import Any, cast

import torch
from torch import Tensor

from graphkit.core.caching import Caching
from graphkit.core.deprecation import RenamedAttribute
from graphkit.core.validate import check_choice
from graphkit.ops import backend
from graphkit.ops.adjacency import check_weights, weighted_pattern
from graphkit.ops.dropout import dropout
from graphkit.ops.extreme import Extreme
from graphkit.ops.indices import ragged, starts
from graphkit.ops.pattern import Size, SparsityPattern


class SparseMatrix(Caching):
    r"""Sparse matrix :math:`A \in \mathbb{R}^{T \times S}` whose rows are targets and whose columns are sources.

    A matrix whose values need no gradient keeps the forms that its kernels use (its CSR tensor and its transpose), so
    that a product and its gradient are two CSR products and nothing else. Instances are immutable; duplicate entries
    add up.

    Args:
        pattern: The pattern.
        values: One value per entry in CSR order, ``[num_edges]`` (default: all ones).

    Example:
        >>> A = SparseMatrix.from_edges(torch.tensor([[0, 1, 2], [1, 2, 2]]), torch.tensor([1.0, 2.0, 3.0]))
        >>> A.to_dense().tolist()
        [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 2.0, 3.0]]
        >>> (A @ torch.ones(3, 1)).squeeze(1).tolist()
        [0.0, 1.0, 5.0]
    """

    def __init__(self, pattern: SparsityPattern, values: Tensor | None = None) -> None:
        if values is not None:
            check_weights(values, pattern.num_edges)
        self.pattern, self.values = pattern, values
        self._parent: weakref.ref[SparseMatrix] | None = None

    structure = RenamedAttribute("pattern")

    @classmethod
    def from_edges(
        cls, graph: Tensor | SparsityPattern, weight: Tensor | None = None, size: Size = None
    ) -> SparseMatrix:
        """Build the matrix of a graph with one weight per edge, in the order of the edges (default: all ones).

        The values of a sparse tensor are its weights; see :func:`~graphkit.ops.weighted_pattern`.
        """
        pattern, weight = weighted_pattern(graph, weight, size)
        if weight is None:
            return cls(pattern)
        values = pattern.to_csr(weight)
        return cls(pattern, values if values is not weight or weight.requires_grad else weight.clone())

    @classmethod
    def from_tensor(cls, tensor: Tensor) -> SparseMatrix:
        """Take over a sparse CSR, CSC or COO tensor; gradients flow back to it, except to a CSC leaf.

        Raises:
            ValueError: If a CSC leaf requires a gradient.
        """
        return cls.from_edges(tensor)

    @property
    def shape(self) -> tuple[int, int]:
        """``(num_targets, num_sources)``."""
        return self.pattern.shape

    def size(self, dim: int) -> int:
        """The number of targets or of sources, as of a tensor.

        Args:
            dim: 0 or -2 for targets, 1 or -1 for sources.
        """
        return self.shape[dim]

    @property
    def density(self) -> float:
        """Share of the entries that are stored."""
        return self.pattern.num_edges / max(self.shape[0] * self.shape[1], 1)

    @property
    def requires_grad(self) -> bool:
        """Whether the values take part in a gradient, or may, so that nothing that follows from them can be kept."""
        return self.pattern.traced or (self.values is not None and self.values.requires_grad)

    @property
    def dtype(self) -> torch.dtype | None:
        """The dtype of the values; None for all ones, which fit every dtype."""
        return None if self.values is None else self.values.dtype

    @property
    def device(self) -> torch.device:
        """Where the matrix lives."""
        return self.pattern.device

    @property
    def is_symmetric(self) -> bool:
        """Whether the matrix equals its transpose, entry by entry."""
        return self.cached("is_symmetric", self._check_symmetric)

    @property
    def T(self) -> SparseMatrix:
        """The transposed matrix; the same object if the matrix is constant and symmetric."""
        if self.requires_grad:  # values with a graph differ from call to call
            return SparseMatrix(self.pattern.T, self.pattern.to_csc(self._explicit_values()))
        parent = self._parent() if self._parent is not None else None
        if parent is not None:
            return parent
        symmetric = self.device.type == "cpu" and self.is_symmetric  # elsewhere the host would wait for the answer
        return self if symmetric else self.cached("T", self._transpose)

    @property
    def edges(self) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """The edges ``[2, num_edges]`` in their order, their weights, and which edges of the user's graph they are."""
        values = None if self.values is None else self.pattern.to_edges(self.values)
        return self.pattern.edge_index(), values, self.pattern.edge_id

    def with_values(self, values: Tensor) -> SparseMatrix:
        """The matrix with the same pattern and other values."""
        return SparseMatrix(self.pattern, values)

    def __matmul__(self, x: Tensor) -> Tensor:
        return self.matmul(x)

    def matmul(self, x: Tensor, reduce: str = "sum") -> Tensor:
        """Aggregate ``x [num_sources, ...]`` over the entries of each row; see :func:`graphkit.ops.spmm`.

        Raises:
            ValueError: If ``x`` does not have one row per column of the matrix.
            TypeError: If ``x`` is not floating point.
        """
        if x.dim() == 0 or x.size(0) != self.pattern.num_cols:
            raise ValueError(
                f"x has shape {list(x.shape)}, but the sparse matrix has {self.shape[1]} columns (sources); "
                "pass one row of features per source node, or the right size"
            )
        if not x.is_floating_point():
            raise TypeError(f"x has dtype {x.dtype}, but sparse products need floating point; use x.float()")
        matrix = self
        if self.values is not None and self.values.dtype != x.dtype:
            common = torch.promote_types(self.values.dtype, x.dtype)
            matrix, x = self.to(common), x.to(common)
        flat = x if x.dim() == 2 else x.reshape(x.size(0), -1 if x.numel() > 0 else x[:1].numel())
        if reduce == "sum":
            out = _product(matrix, flat)
        elif reduce == "mean":
            out = _product(matrix, flat) * self.pattern.inverse_degree(flat.dtype).unsqueeze(1)
        else:
            check_choice(reduce, ("sum", "mean", "max", "min"), "reduce")
            out = _extreme(matrix, flat, reduce)
        return out if x.dim() == 2 else out.view(-1, *x.shape[1:])

    def csr(self, dtype: torch.dtype) -> Tensor:
        """The torch CSR tensor that the kernels work on, without gradient; ``dtype`` counts for all ones only."""
        if self.values is None:
            return self.pattern.ones(dtype)
        values = self.values
        return self.cached("csr", lambda: self.pattern.csr_tensor(values.detach()))

    def to_dense(self) -> Tensor:
        """The dense matrix; duplicate entries add up."""
        values = self._explicit_values()
        out = values.new_zeros(self.shape)
        return out.index_put((self.pattern.row, self.pattern.col), values, accumulate=True)

    def row_sum(self) -> Tensor:
        """The sum of each row: the weighted in-degrees of the graph."""
        values = self._explicit_values()
        wide = values.to(torch.promote_types(values.dtype, torch.float32))  # half types stop counting at 256 or 2048
        return wide.new_zeros(self.shape[0]).index_add(0, self.pattern.row, wide).to(values.dtype)

    def scale(self, left: Tensor | None = None, right: Tensor | None = None) -> SparseMatrix:
        """Return ``diag(left) @ A @ diag(right)``."""
        factor = None
        if left is not None:
            factor = left.index_select(0, self.pattern.row)
        if right is not None:
            of_column = right.index_select(0, self.pattern.col)
            factor = of_column if factor is None else factor * of_column
        if factor is None:
            return self
        return SparseMatrix(self.pattern, factor if self.values is None else factor * self.values)

    def select_rows(self, ids: Tensor) -> SparseMatrix:
        """The matrix of the rows ``ids``, in that order.

        Example:
            >>> A = SparseMatrix.from_edges(torch.tensor([[0, 1, 2], [1, 2, 2]]), torch.tensor([1.0, 2.0, 3.0]))
            >>> A.select_rows(torch.tensor([2, 1])).to_dense().tolist()
            [[0.0, 2.0, 3.0], [1.0, 0.0, 0.0]]
        """
        count = self.pattern.in_degree[ids]
        entries = ragged(self.pattern.rowptr[ids], count)
        pattern = SparsityPattern(starts(count), self.pattern.col[entries], None, self.pattern.num_cols)
        return SparseMatrix(pattern, None if self.values is None else self.values[entries])

    def dropout(self, p: float = 0.5, training: bool = True) -> SparseMatrix:
        """Set each stored value to 0 with probability ``p`` and divide the others by ``1 - p``; keeps the structure."""
        if not training or p == 0.0:
            return self
        return SparseMatrix(self.pattern, dropout(self._explicit_values(), p))

    def to(self, target: torch.dtype | torch.device | str) -> SparseMatrix:
        """Return the matrix with another dtype or on another device."""
        if isinstance(target, torch.dtype):
            if self.values is None or self.values.dtype == target:
                return self
            return SparseMatrix(self.pattern, self.values.to(target))
        pattern = self.pattern.to(target)
        if pattern is self.pattern:
            return self
        return SparseMatrix(pattern, None if self.values is None else self.values.to(target))

    def _check_symmetric(self) -> bool:
        return self.pattern.is_symmetric and (
            self.values is None or torch.equal(self.values, self.values.index_select(0, self.pattern.csc_perm))
        )

    def _transpose(self) -> SparseMatrix:
        out = SparseMatrix(self.pattern.T, None if self.values is None else self.pattern.to_csc(self.values))
        out._parent = weakref.ref(self)  # a strong one would make a reference cycle
        return out

    def _explicit_values(self) -> Tensor:
        if self.values is not None:
            return self.values
        ones = torch.ones(self.pattern.num_edges, device=self.device)
        return self.pattern.to_csr(ones) if self.pattern.traced else ones

    def __repr__(self) -> str:
        return f"SparseMatrix(shape={self.shape}, num_entries={self.pattern.num_edges}, dtype={self.dtype})"


# Products and their derivatives ------------------------------------------------------------------------------------


def sampled(pattern: SparsityPattern, a: Tensor, b: Tensor) -> Tensor:
    """``(a[row] * b[col]).sum(-1)`` for every entry in CSR order, from ``a [num_rows, F]``, ``b [num_cols, F]``."""
    if pattern.traced:
        return (a.index_select(0, pattern.row) * b.index_select(0, pattern.col)).sum(1)
    return _Sampled.apply(a, b, pattern)


def _product(matrix: SparseMatrix, x: Tensor) -> Tensor:
    """``matrix @ x`` for ``x [num_cols, F]`` of the matrix's dtype."""
    if matrix.pattern.traced:
        return cast(Any, matrix.pattern).product(matrix.values, x)
    values = matrix.values if matrix.requires_grad else None
    if not torch.is_grad_enabled() or (values is None and not x.requires_grad):  # saves a third of a small product
        return backend.csr_mm(matrix.csr(x.dtype), x)
    return _Product.apply(x, values, matrix)


def _extreme(matrix: SparseMatrix, x: Tensor, reduce: str) -> Tensor:
    """The max or min over each row of ``matrix``'s entries times the rows of ``x [num_cols, F]``."""
    pattern = matrix.pattern
    if pattern.traced:
        return cast(Any, pattern).extreme(matrix.values, x, reduce)
    width = x.size(1)
    if x.is_cuda and not backend.fused(x):  # a row per edge is written, of so many columns at once
        width = max(1, backend.DEVICE_BLOCK // max(pattern.num_edges, 1))
    parts = x.split(width, dim=1) if width < x.size(1) else [x]
    parts = [Extreme.apply(part, matrix.values, pattern, pattern.groups, reduce) for part in parts]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


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
            grad_x = _product(matrix.T, grad)
        if ctx.needs_input_grad[1]:
            x, _ = ctx.saved_tensors
            grad_values = sampled(matrix.pattern, grad, x)
        return grad_x, grad_values, None


class _Sampled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, pattern: SparsityPattern) -> Tensor:
        ctx.pattern = pattern
        ctx.save_for_backward(a, b)
        if pattern.num_edges > pattern.num_rows * pattern.num_cols:  # torch resizes such a result wrongly
            return (a.index_select(0, pattern.row) * b.index_select(0, pattern.col)).sum(1)
        return backend.csr_sampled(pattern.ones(a.dtype), a, b)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        a, b = ctx.saved_tensors
        matrix = SparseMatrix(ctx.pattern, grad)
        grad_a = _product(matrix, b) if ctx.needs_input_grad[0] else None
        grad_b = _product(matrix.T, a) if ctx.needs_input_grad[1] else None
        return grad_a, grad_b, None
