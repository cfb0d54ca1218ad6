"""What the compiled kernels of attention are called with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from graphkit.ops import attention_kernels as kernels
from graphkit.ops.kernels import by_rows
from graphkit.ops.lanes import known

OWN_CODE = 2**24  # numbers of values along edges: from here on code for the very sizes is worth compiling
_USUAL = {1, 8, 16, 32, 64}  # channels of a head for which there may be such code


class Call(NamedTuple):
    """How attention is computed.

    Attributes:
        form: The form of the scores.
        norm: How they are normalised.
        slope: The factor of negative scores, or of all where they are dot products.
        heads: The number of heads.
        width: The channels of a head's part of the scores.
        channels: The channels of a head's part of the values; without values 0.
    """

    form: int
    norm: int
    slope: float
    heads: int
    width: int
    channels: int


def for_kernels(call: Call, entries: int, like: Tensor) -> tuple[Any, ...]:
    """The call with a factor of the tensor's kind, and numbers that the compiler knows where that is worth its time."""
    slope, sizes = like.detach().numpy().dtype.type(call.slope), {call.width, call.channels} - {0}
    if entries * call.heads * max(sizes) >= OWN_CODE and sizes <= _USUAL:
        return tuple(known(part) if isinstance(part, int) else slope for part in call)
    return (*call[:2], slope, *call[3:])


class _Arguments:
    """What all kernels take: numbers, and flat arrays."""

    def __init__(self, call: Call, entries: int, inputs: Sequence[Tensor | None]) -> None:
        self.like = next(tensor for tensor in inputs if tensor is not None).detach()
        self.call = for_kernels(call, entries, self.like)
        flat = [self.flat(tensor) for tensor in inputs]
        self.parts, self.values = tuple(flat[:4]), tuple(flat[4:])

    def flat(self, tensor: Tensor | None) -> np.ndarray:
        """The numbers of a tensor."""
        some = self.like.new_empty(0) if tensor is None else tensor.detach()
        return some.contiguous().view(-1).numpy()


def attend(
    rows: tuple[Tensor, Tensor], call: Call, inputs: Sequence[Tensor | None]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The weighted sums of values, or the weights where there are no values, and what the backward pass wants to know.

    ``rows`` is ``(rowptr, col)``; ``inputs`` are target, source, edge and weight of the scores, values, those of edges,
    and what dropout keeps.
    """
    rowptr, col = rows
    given, size = _Arguments(call, col.numel(), inputs), rowptr.numel() - 1
    stats = given.like.new_empty(size, 3, call.heads)
    out = given.like.new_zeros(size, call.heads, call.channels)
    weights = given.like.new_empty(0 if call.channels else col.numel(), call.heads)
    results = (tensor.view(-1) for tensor in (stats, weights, out))
    by_rows(kernels.attend, rowptr, col, given.call, given.parts, given.values, *results)
    return out if call.channels else weights, (stats,)


def attend_backward(
    rows: tuple[Tensor, Tensor],
    columns: tuple[Tensor, tuple[Tensor, Tensor]],
    call: Call,
    inputs: Sequence[Tensor | None],
    kept: Sequence[Tensor],
    grad: Tensor,
) -> list[Tensor | None]:
    """The gradients of all inputs but the last, from what :func:`attend` told besides.

    ``rows`` is ``(rowptr, col)``, ``columns`` is ``(colptr, (row, position))``; positions are those in row order.
    """
    given = _Arguments(call, rows[1].numel(), inputs)
    grads = given.flat(grad if call.channels else None), given.flat(None if call.channels else grad)
    of = [None if x is None else torch.zeros_like(x, memory_format=torch.contiguous_format) for x in inputs[:6]]
    target, source, edge, weight, value, edge_value = map(given.flat, of)
    of_weight = np.zeros_like(target if weight.size else weight)
    shared = given.call, given.parts, given.values, kept[0].view(-1), grads
    by_rows(kernels.rows_backward, *rows, *shared, (target, edge, of_weight, edge_value))
    if source.size or value.size:
        by_rows(kernels.columns_backward, columns[0], tuple(map(given.flat, columns[1])), *shared, (source, value))
    if weight.size:  # row by row, in double precision, whatever the number of threads
        weight[:] = of_weight.reshape(-1, weight.size).sum(0, dtype=np.float64)
    return of
