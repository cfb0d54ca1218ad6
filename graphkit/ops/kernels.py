"""CPU kernels that torch does not have or has slower, compiled by numba.

Importing this module imports numba, so :mod:`graphkit.ops.backend` does it when a large product first needs a kernel;
the compiled code is then cached on disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import torch
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from torch import Tensor

import graphkit.core.compiling  # noqa: F401  # tells when one is compiled

if TYPE_CHECKING:
    from graphkit.ops.pattern import SparsityPattern

_AHEAD = 16  # entries between a prefetch and its use: enough to hide the memory's latency
_LINE = 64  # bytes
# Sums may be reordered to use vector registers; NaN and infinity keep their meaning.
jit = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})


@intrinsic
def _prefetch(typing_context: Any, array: Any, row: Any, column: Any) -> Any:
    """Ask the processor to bring ``array[row, column]`` into its cache."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array_type, *index_types = signature.args
        view = context.make_array(array_type)(context, builder, arguments[0])
        index = [context.cast(builder, a, t, types.intp) for a, t in zip(arguments[1:], index_types, strict=True)]
        pointer = cgutils.get_item_pointer(context, builder, array_type, view, index)
        byte_pointer, integer = ir.IntType(8).as_pointer(), ir.IntType(32)
        signature_type = ir.FunctionType(ir.VoidType(), [byte_pointer, integer, integer, integer])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte_pointer], signature_type)
        read, keep, data = integer(0), integer(3), integer(1)
        builder.call(function, [builder.bitcast(pointer, byte_pointer), read, keep, data])
        return context.get_dummy_value()

    return types.void(array, row, column), generate


@jit
def _sampled(start: int, stop: int, rowptr: Any, col: Any, a: Any, b: Any, out: Any) -> None:
    width = a.shape[1]
    step = _LINE // a.itemsize
    zero = out.dtype.type(0)
    for row in range(start, stop):
        for entry in range(rowptr[row], rowptr[row + 1]):
            if entry + _AHEAD < col.size:
                for channel in range(0, width, step):
                    _prefetch(b, col[entry + _AHEAD], channel)  # type: ignore[call-arg]
            total = zero
            for channel in range(width):
                total += a[row, channel] * b[col[entry], channel]
            out[entry] = total


def sampled(rowptr: Tensor, col: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """``(a[row] * b[col]).sum(1)`` for every entry in CSR order; ``a`` and ``b`` are float32 or float64."""
    out = a.new_empty(col.numel())
    by_rows(_sampled, rowptr, col, a, b, out)
    return out


# Rows as slices, whose indices are known not to be negative, let the compiler use vector registers.


@jit
def _gated_mean(
    start: int, stop: int, rowptr: Any, col: Any, p: Any, q: Any, x: Any, eps: Any, out: Any, total: Any
) -> None:
    one = x.dtype.type(1)
    for row in range(start, stop):
        of_target, mean, weight = p[row], out[row], total[row]
        mean[:], weight[:] = 0, eps[0]
        for entry in range(rowptr[row], rowptr[row + 1]):
            of_source, value = q[col[entry]], x[col[entry]]
            for channel in range(mean.size):
                gate = one / (one + of_target[channel] * of_source[channel])
                mean[channel] += gate * value[channel]
                weight[channel] += gate
        for channel in range(mean.size):
            mean[channel] /= weight[channel]


@jit
def _gated_mean_targets(
    start: int, stop: int, rowptr: Any, col: Any, p: Any, q: Any, x: Any, out: Any, share: Any, grad: Any
) -> None:
    one = x.dtype.type(1)
    for row in range(start, stop):
        of_target, mean, result, factor = p[row], out[row], grad[row], share[row]
        for entry in range(rowptr[row], rowptr[row + 1]):
            of_source, value = q[col[entry]], x[col[entry]]
            for channel in range(mean.size):
                gate = one / (one + of_target[channel] * of_source[channel])
                result[channel] += gate * (one - gate) * (value[channel] - mean[channel])
        for channel in range(mean.size):
            result[channel] *= factor[channel]


@jit
def _gated_mean_sources(
    start: int,
    stop: int,
    colptr: Any,
    row: Any,
    p: Any,
    q: Any,
    x: Any,
    out: Any,
    share: Any,
    grad_gate: Any,
    grad_x: Any,
) -> None:
    one = x.dtype.type(1)
    for source in range(start, stop):
        of_source, value, to_gate, to_x = q[source], x[source], grad_gate[source], grad_x[source]
        for entry in range(colptr[source], colptr[source + 1]):
            of_target, factor, mean = p[row[entry]], share[row[entry]], out[row[entry]]
            for channel in range(value.size):
                gate = one / (one + of_target[channel] * of_source[channel])
                part = factor[channel] * gate
                to_x[channel] += part
                to_gate[channel] += part * (one - gate) * (value[channel] - mean[channel])


# Gates are computed from exponentials per node: sigmoid(a + b) = 1 / (1 + exp(-a) exp(-b)). Beyond these logits a gate
# is open or closed to the last digit, and within them no exponential is zero or infinite.
BOUND = {torch.float32: 80.0, torch.float64: 700.0}


def gated_mean(
    pattern: SparsityPattern, eps: float, target_logit: Tensor, source_logit: Tensor, x: Tensor
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The means, and what the way back wants: exponentials, means and the sums of weights plus ``eps``."""
    bound = BOUND[x.dtype]
    p, q = (logit.clamp(-bound, bound).neg_().exp_() for logit in (target_logit, source_logit))
    out, total = x.new_empty(p.shape), x.new_empty(p.shape)
    by_rows(_gated_mean, pattern.rowptr, pattern.col, p, q, x, x.new_tensor([eps]), out, total)
    return out, (p, q, out, total)


def gated_mean_backward(
    pattern: SparsityPattern, inputs: Sequence[Tensor], kept: Sequence[Tensor], grad: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients for the logits of targets, those of sources and ``x``.

    Each pass writes its own rows only, so threads need no locks and sums keep their order.
    """
    x, (p, q, out, total) = inputs[2], kept
    shared = p, q, x, out, grad / total
    of_targets, of_sources, of_x = torch.zeros_like(p), torch.zeros_like(q), torch.zeros_like(x)
    by_rows(_gated_mean_targets, pattern.rowptr, pattern.col, *shared, of_targets)
    by_rows(_gated_mean_sources, pattern.colptr, pattern.csc_row, *shared, of_sources, of_x)
    return of_targets, of_sources, of_x


# Max and min ----------------------------------------------------------------------------------------------------------
# Group i holds the entries ptr[i]..ptr[i + 1] - 1, entry e is row col[e] of x times values[e]. The winner is the entry
# that alone reaches an extreme, _NONE where there is none such.

_NONE = -1


@jit
def _at(array: Any, entry: int, otherwise: Any) -> Any:
    return otherwise if array is None else array[entry]


@jit
def _extreme(start: int, stop: int, ptr: Any, col: Any, values: Any, x: Any, sign: Any, out: Any, winner: Any) -> None:
    width = x.shape[1]
    step = _LINE // x.itemsize
    one = x.dtype.type(1)
    for group in range(start, stop):
        first, last = ptr[group], ptr[group + 1]
        for channel in range(width):
            out[group, channel], winner[group, channel] = 0, _NONE
        for entry in range(first, last):
            source = _at(col, entry, entry)
            weight = sign[0] * _at(values, entry, one)
            if col is not None and entry + _AHEAD < col.size:
                for channel in range(0, width, step):
                    _prefetch(x, col[entry + _AHEAD], channel)  # type: ignore[call-arg]
            if entry == first:
                for channel in range(width):
                    value = weight * x[source, channel]
                    out[group, channel] = value
                    winner[group, channel] = entry if value == value else _NONE
            else:
                for channel in range(width):
                    value, best = weight * x[source, channel], out[group, channel]
                    above = value > best
                    out[group, channel] = value if above or value != value else best
                    winner[group, channel] = entry if above else winner[group, channel] if value < best else _NONE
        for channel in range(width):
            out[group, channel] *= sign[0]


@jit
def _shares(
    first: int, last: int, start: int, col: Any, values: Any, x: Any, out: Any, winner: Any, grad: Any, share: Any
) -> bool:
    """Whether several entries reach an extreme of one group, and of such extremes each one's share of the gradient.

    The share is 0 where one alone does. Channels begin at ``start``. (Contiguous slices, which have no negative
    indices, let the compiler use vector registers.)
    """
    one, zero = x.dtype.type(1), x.dtype.type(0)
    tied = False
    for channel in range(share.size):
        tied |= winner[channel] == _NONE
        share[channel] = zero
    if tied:
        for entry in range(first, last):
            weight, source = _at(values, entry, one), x[_at(col, entry, entry), start : start + share.size]
            for channel in range(share.size):
                share[channel] += one if weight * source[channel] == out[channel] else zero
        for channel in range(share.size):
            each = grad[channel] / share[channel]
            share[channel] = each if winner[channel] == _NONE else zero
    return tied


@jit
def _extreme_to_x(
    start: int, stop: int, ptr: Any, col: Any, values: Any, x: Any, out: Any, winner: Any, grad: Any, grad_x: Any
) -> None:
    """Channels ``start`` to ``stop`` of the gradient of ``x``: each thread has its own."""
    one, zero = x.dtype.type(1), x.dtype.type(0)
    share = np.empty_like(x[0, start:stop])
    for group in range(ptr.size - 1):
        first, last = ptr[group], ptr[group + 1]
        best, won, its_grad = out[group, start:stop], winner[group, start:stop], grad[group, start:stop]
        for channel in range(share.size):
            entry = won[channel]
            if entry != _NONE:
                grad_x[_at(col, entry, entry), start + channel] += _at(values, entry, one) * its_grad[channel]
        if _shares(first, last, start, col, values, x, best, won, its_grad, share):
            for entry in range(first, last):
                row = _at(col, entry, entry)
                weight, source, target = _at(values, entry, one), x[row, start:stop], grad_x[row, start:stop]
                for channel in range(share.size):
                    target[channel] += weight * share[channel] if weight * source[channel] == best[channel] else zero


@jit
def _extreme_to_values(
    start: int, stop: int, ptr: Any, col: Any, values: Any, x: Any, out: Any, winner: Any, grad: Any, grad_values: Any
) -> None:
    zero = x.dtype.type(0)
    share = np.empty_like(x[0])
    for group in range(start, stop):
        first, last = ptr[group], ptr[group + 1]
        best, won, its_grad = out[group], winner[group], grad[group]
        for channel in range(share.size):
            entry = won[channel]
            if entry != _NONE:
                grad_values[entry] += its_grad[channel] * x[col[entry], channel]
        if _shares(first, last, 0, col, values, x, best, won, its_grad, share):
            for entry in range(first, last):
                weight, source, total = values[entry], x[col[entry]], zero
                for channel in range(share.size):
                    value = source[channel]
                    total += share[channel] * value if weight * value == best[channel] else zero
                grad_values[entry] += total


def extreme(ptr: Tensor, col: Tensor | None, values: Tensor | None, x: Tensor, reduce: str) -> tuple[Tensor, Tensor]:
    """The max or min of each group of entries (0 if empty), and the entry that alone reaches it, else -1.

    Entries are the rows ``values * x[col]``; ``None`` stands for all ones and for ``x`` itself.
    """
    out = x.new_empty(ptr.numel() - 1, x.size(1))
    winner = torch.empty(out.shape, dtype=torch.int32)
    by_rows(_extreme, ptr, col, values, x, x.new_tensor([1 if reduce == "max" else -1]), out, winner)
    return out, winner


def extreme_backward(
    entries: tuple[Tensor, Tensor | None, Tensor | None], kept: tuple[Tensor, ...], grad: Tensor, needed: Any
) -> tuple[Tensor | None, Tensor | None]:
    """The gradients of ``x`` and ``values``; equal extremes share evenly.

    ``entries`` is ``(ptr, col, values)``, ``kept`` is ``x`` and what :func:`extreme` returned.
    """
    ptr, x = entries[0], kept[0]
    grad_x = torch.zeros_like(x, memory_format=torch.contiguous_format) if needed[0] else None
    grad_values = torch.zeros_like(entries[2]) if entries[2] is not None and needed[1] else None
    if grad_x is not None:
        shares = cuts(x.size(1), _LINE // x.element_size())
        in_threads(_extreme_to_x, shares, *entries, *kept, grad, grad_x)
    if grad_values is not None:
        by_rows(_extreme_to_values, ptr, *entries[1:], *kept, grad, grad_values)
    return grad_x, grad_values


# Threads --------------------------------------------------------------------------------------------------------------


def by_rows(kernel: Any, rowptr: Tensor, *given: Any) -> None:
    """Run a kernel on the rows of a CSR structure, in equal shares if torch has several threads."""
    in_threads(kernel, _equal_shares(rowptr, torch.get_num_threads()), rowptr, *given)


def in_threads(kernel: Any, bounds: list[int], *given: Any) -> None:
    """Run a kernel between each two bounds, which may not write where another stretch writes."""
    arrays = [one.detach().contiguous().numpy() if isinstance(one, Tensor) else one for one in given]
    if len(bounds) == 2:
        kernel(*bounds, *arrays)
    else:
        with ThreadPoolExecutor(len(bounds) - 1) as pool:
            list(pool.map(lambda start, stop: kernel(start, stop, *arrays), bounds[:-1], bounds[1:]))


def _equal_shares(rowptr: Tensor, shares: int) -> list[int]:
    """Row numbers that cut the entries into about equal runs."""
    if shares == 1:
        return [0, rowptr.numel() - 1]
    targets = torch.arange(1, shares, device=rowptr.device) * (int(rowptr[-1]) // shares)
    return [0, *torch.searchsorted(rowptr, targets.to(rowptr.dtype)).tolist(), rowptr.numel() - 1]


def cuts(size: int, step: int = 1) -> list[int]:
    """Numbers that cut ``0..size`` into about equal runs, at multiples of a step, one for each thread."""
    steps = -(-size // step)
    shares = min(torch.get_num_threads(), steps)
    return [min(steps * share // shares * step, size) for share in range(shares + 1)]
