"""CPU kernels that torch does not have or has slower, compiled by numba.

Importing this module imports numba, so :mod:`graphkit.ops.backend` does it when a large product first needs a kernel;
the compiled code is then kept on disk.
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
    arrays = [tensor.detach().contiguous().numpy() for tensor in (rowptr, col, a, b)] + [out.numpy()]
    bounds = _equal_shares(rowptr, torch.get_num_threads())
    if len(bounds) == 2:
        _sampled(*bounds, *arrays)
    else:
        with ThreadPoolExecutor(len(bounds) - 1) as pool:
            list(pool.map(lambda start, stop: _sampled(start, stop, *arrays), bounds[:-1], bounds[1:]))
    return out


def _equal_shares(rowptr: Tensor, shares: int) -> list[int]:
    """Row numbers that cut the entries into about equal runs."""
    targets = torch.arange(1, shares, device=rowptr.device) * (int(rowptr[-1]) // shares)
    return [0, *torch.searchsorted(rowptr, targets.to(rowptr.dtype)).tolist(), rowptr.numel() - 1]
