"""CPU kernels that torch does not have or has slower, compiled by numba.

Importing this module imports numba, so :mod:`graphkit.ops.backend` does it when a large product first needs a kernel;
the compiled code is then cached on disk.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import torch
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from torch import Tensor

_AHEAD = 16  # entries between a prefetch and its use: enough to hide the memory's latency
_LINE = 64  # bytes
# Sums may be reordered to use vector registers; NaN and infinity keep their meaning.
_jit = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})


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


@_jit
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
    _by_rows(_sampled, rowptr, col, a, b, out)
    return out


@_jit
def _gated_mean(
    start: int, stop: int, rowptr: Any, col: Any, p: Any, q: Any, x: Any, eps: Any, out: Any, total: Any
) -> None:
    one = x.dtype.type(1)
    for row in range(start, stop):
        for channel in range(x.shape[1]):
            out[row, channel], total[row, channel] = 0, eps[0]
        for entry in range(rowptr[row], rowptr[row + 1]):
            for channel in range(x.shape[1]):
                gate = one / (one + p[row, channel] * q[col[entry], channel])
                out[row, channel] += gate * x[col[entry], channel]
                total[row, channel] += gate
        for channel in range(x.shape[1]):
            out[row, channel] /= total[row, channel]


@_jit
def _gated_mean_targets(
    start: int, stop: int, rowptr: Any, col: Any, p: Any, q: Any, x: Any, out: Any, share: Any, grad: Any
) -> None:
    one = x.dtype.type(1)
    for row in range(start, stop):
        for entry in range(rowptr[row], rowptr[row + 1]):
            for channel in range(x.shape[1]):
                gate = one / (one + p[row, channel] * q[col[entry], channel])
                grad[row, channel] += gate * (one - gate) * (x[col[entry], channel] - out[row, channel])
        for channel in range(x.shape[1]):
            grad[row, channel] *= share[row, channel]


@_jit
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
        for entry in range(colptr[source], colptr[source + 1]):
            target = row[entry]
            for channel in range(x.shape[1]):
                gate = one / (one + p[target, channel] * q[source, channel])
                part = share[target, channel] * gate
                grad_x[source, channel] += part
                grad_gate[source, channel] += part * (one - gate) * (x[source, channel] - out[target, channel])


def gated_mean(rowptr: Tensor, col: Tensor, p: Tensor, q: Tensor, x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """The mean of ``x[col]`` with weights ``1 / (1 + p[row] * q[col])``, and the sums of weights plus ``eps``."""
    out, total = x.new_empty(p.shape), x.new_empty(p.shape)
    _by_rows(_gated_mean, rowptr, col, p, q, x, x.new_tensor([eps]), out, total)
    return out, total


def gated_mean_backward(
    forward: tuple[Tensor, Tensor], backward: tuple[Tensor, Tensor], p: Tensor, q: Tensor, x: Tensor, *rest: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients for the logits of targets, those of sources and ``x``.

    ``forward`` is ``(rowptr, col)``, ``backward`` is ``(colptr, row)``, ``rest`` are the means and the gradient divided
    by the sums of weights. Each pass writes its own rows only, so threads need no locks and sums keep their order.
    """
    of_targets, of_sources, of_x = torch.zeros_like(p), torch.zeros_like(q), torch.zeros_like(x)
    _by_rows(_gated_mean_targets, *forward, p, q, x, *rest, of_targets)
    _by_rows(_gated_mean_sources, *backward, p, q, x, *rest, of_sources, of_x)
    return of_targets, of_sources, of_x


def _by_rows(kernel: Any, rowptr: Tensor, *tensors: Tensor) -> None:
    """Run a kernel on the rows of a CSR structure, in equal shares if torch has several threads."""
    arrays = [tensor.detach().contiguous().numpy() for tensor in (rowptr, *tensors)]
    bounds = _equal_shares(rowptr, torch.get_num_threads())
    if len(bounds) == 2:
        kernel(*bounds, *arrays)
    else:
        with ThreadPoolExecutor(len(bounds) - 1) as pool:
            list(pool.map(lambda start, stop: kernel(start, stop, *arrays), bounds[:-1], bounds[1:]))


def _equal_shares(rowptr: Tensor, shares: int) -> list[int]:
    """Row numbers that cut the entries into about equal runs."""
    targets = torch.arange(1, shares, device=rowptr.device) * (int(rowptr[-1]) // shares)
    return [0, *torch.searchsorted(rowptr, targets.to(rowptr.dtype)).tolist(), rowptr.numel() - 1]
