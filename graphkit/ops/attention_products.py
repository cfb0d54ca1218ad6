"""Attention as products of matrices: weights per edge and head are kept, messages are not.

Each pass reads the rows of one matrix in the edges' order, which a cache holds where it does not hold two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from graphkit.ops import attention_kernels as kernels
from graphkit.ops.attention_calls import Call, for_kernels
from graphkit.ops.kernels import by_rows
from graphkit.ops.lanes import WIDTH
from graphkit.ops.product_kernels import inner_products, product_of_heads

Rows = tuple[Tensor, Tensor]
Columns = tuple[Tensor, tuple[Tensor, Tensor]]


def weighs(call: Call, edge: Tensor | None) -> bool:
    """Whether weights are computed here: of inner products of nodes' channels, which fill vector registers."""
    return call.form == kernels.DOT and edge is None and call.channels == 0 and call.width % WIDTH == 0


def attend(rows: Rows, call: Call, inputs: Sequence[Any]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """The weights, as by :func:`~graphkit.ops.attention_calls.attend`."""
    target, source = inputs[:2]
    form, norm, slope, heads, width, _ = for_kernels(call, rows[1].numel(), target)
    weights = inner_products(rows, target, source, (heads, width), call.slope)
    stats = weights.new_empty(rows[0].numel() - 1, 3, call.heads)
    numbers = form, norm, slope, heads, 0, 0
    by_rows(kernels.normalize, rows[0], numbers, weights.view(-1), stats.view(-1))
    return weights, (stats, weights)


def attend_backward(
    rows: Rows, columns: Columns, call: Call, inputs: Sequence[Any], kept: Sequence[Tensor], grad: Tensor
) -> list[Tensor | None]:
    """As :func:`~graphkit.ops.attention_calls.attend_backward`."""
    (target, source), (stats, weights), (colptr, (row, position)) = inputs[:2], kept, columns
    form, norm, slope, heads, width, _ = for_kernels(call, rows[1].numel(), target)
    of_scores, numbers, sizes = grad.contiguous().clone(), (form, norm, slope, heads, 0, 0), (heads, width)
    by_rows(kernels.normalize_backward, rows[0], numbers, weights.view(-1), stats.view(-1), of_scores.view(-1))
    of_target = of_source = None
    if target.requires_grad:
        of_target = product_of_heads(rows, of_scores, source, sizes)
    if source.requires_grad:
        of_source = product_of_heads((colptr, row), of_scores, target, sizes, position)
    return [of_target, of_source, None, None, None, None]


def weighted_sum(rows: Rows, weights: Tensor, value: Tensor) -> tuple[Tensor, tuple[()]]:
    """The sums of values ``[num_rows, H, C]`` by weights ``[num_entries, H]``; a head's channels fill vectors."""
    return product_of_heads(rows, weights, value, _sizes(rows, value)), ()


def weighted_sum_backward(
    rows: Rows, columns: Columns, inputs: Sequence[Tensor], grad: Tensor
) -> tuple[Tensor | None, Tensor | None]:
    """The gradients of weights and values."""
    (weights, value), (colptr, (row, position)), sizes = inputs, columns, _sizes(rows, inputs[1])
    of_weights = of_value = None
    if weights.requires_grad:
        of_weights = inner_products(rows, grad, value, sizes)
    if value.requires_grad:
        of_value = product_of_heads((colptr, row), weights, grad, sizes, position)
    return of_weights, of_value


def _sizes(rows: Rows, value: Tensor) -> tuple[Any, Any]:
    """Heads and channels, as kernels are to know them."""
    heads, channels = value.shape[1:]
    call = Call(kernels.ADDITIVE, kernels.NONE, 1.0, heads, channels, channels)
    return for_kernels(call, rows[1].numel(), value)[3:5]
