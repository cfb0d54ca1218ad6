"""Attention whose scores are inner products, as products of matrices: weights per edge and head stay, messages do not.

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


def applies(call: Call, inputs: Sequence[Tensor | None]) -> bool:
    """Whether attention is computed here: of nodes alone, whose channels fill vector registers."""
    _, _, edge, _, _, edge_value, _ = inputs
    if call.form != kernels.DOT or edge is not None or edge_value is not None:
        return False
    return call.width % WIDTH == 0 and call.channels % WIDTH == 0


def attend(rows: tuple[Tensor, Tensor], call: Call, inputs: Sequence[Any]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """As :func:`~graphkit.ops.attention_calls.attend`."""
    target, source, _, _, value, _, keep = inputs
    form, norm, slope, heads, width, channels = for_kernels(call, rows[1].numel(), target)
    weights = inner_products(rows, target, source, (heads, width), call.slope)
    stats = weights.new_empty(rows[0].numel() - 1, 3, call.heads)
    numbers = form, norm, slope, heads, 0, 0
    by_rows(kernels.normalize, rows[0], numbers, weights.view(-1), stats.view(-1))
    if value is None:
        return weights, (stats, weights)
    return product_of_heads(rows, _dropped(weights, keep), value, (heads, channels)), (stats, weights)


def attend_backward(
    rows: tuple[Tensor, Tensor],
    columns: tuple[Tensor, tuple[Tensor, Tensor]],
    call: Call,
    inputs: Sequence[Any],
    kept: Sequence[Tensor],
    grad: Tensor,
) -> list[Tensor | None]:
    """As :func:`~graphkit.ops.attention_calls.attend_backward`."""
    target, source, _, _, value, _, keep = inputs
    (stats, weights), (colptr, (row, position)) = kept, columns
    form, norm, slope, heads, width, channels = for_kernels(call, rows[1].numel(), target)

    def to_columns(of_entries: Tensor, x: Tensor, size: Any) -> Tensor:
        return product_of_heads((colptr, row), of_entries, x, (heads, size), position)

    of_value = None
    if value is None:
        of_scores = grad.contiguous().clone()
    else:
        of_value = to_columns(_dropped(weights, keep), grad, channels) if value.requires_grad else None
        of_scores = _dropped(inner_products(rows, grad, value, (heads, channels)), keep)
    numbers = form, norm, slope, heads, 0, 0
    by_rows(kernels.normalize_backward, rows[0], numbers, weights.view(-1), stats.view(-1), of_scores.view(-1))
    of_target = product_of_heads(rows, of_scores, source, (heads, width)) if target.requires_grad else None
    of_source = to_columns(of_scores, target, width) if source.requires_grad else None
    return [of_target, of_source, None, None, of_value, None]


def _dropped(weights: Tensor, keep: Tensor | None) -> Tensor:
    return weights if keep is None else weights * keep
