"""Eight numbers at once in kernels compiled by numba: a type for the processor's vector registers.

numba leaves vectors to LLVM, which finds none in loops over a handful of channels that also write to memory.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.extending import intrinsic as typed_intrinsic
from numba.extending import overload, register_model

WIDTH = 8
# Arrays that a function of a kernel is handed are counted in and out at every call, by atomic instructions that take
# more time than eight products; functions that make no arrays can do without.
_OPTIONS: dict[str, Any] = {"forceinline": True, "_nrt": False, "error_model": "numpy", "fastmath": {"contract"}}
part_of_kernel: Any = numba.njit(**_OPTIONS)
intrinsic: Any = typed_intrinsic  # what it makes takes other arguments than what it is made of
_INDEX = ir.IntType(32)
_FLAGS = ("contract",)  # a product and a sum may be one instruction


class _Lanes(types.Type):
    """numba's type of eight floating point numbers, from that of one."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        super().__init__(name=f"Lanes({dtype})")


@register_model(_Lanes)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: _Lanes) -> None:
        super().__init__(manager, lanes, ir.VectorType(manager.lookup(lanes.dtype).get_value_type(), WIDTH))


def _element(context: Any, builder: Any, signature: Any, arguments: Any) -> tuple[Any, Any, int]:
    """A pointer to ``array[i]``, the first two arguments, and its type and alignment."""
    array_type, index_type = signature.args[:2]
    view = context.make_array(array_type)(context, builder, arguments[0])
    index = context.cast(builder, arguments[1], index_type, types.intp)
    pointer = cgutils.get_item_pointer(context, builder, array_type, view, [index])
    return pointer, context.get_value_type(_Lanes(array_type.dtype)), array_type.dtype.bitwidth // 8


def _masked(builder: Any, pointer: Any, count: Any, alignment: int) -> tuple[Any, Any, Any]:
    """What masked access to the first ``count`` lanes takes: the pointer, the alignment, and which lanes."""
    word = count.type
    lanes = ir.Constant(ir.VectorType(word, WIDTH), list(range(WIDTH)))
    return pointer, _INDEX(alignment), builder.icmp_signed("<", lanes, _spread(builder, count))


@intrinsic
def _load(typing_context: Any, array: Any, i: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer, vector, alignment = _element(context, builder, signature, arguments)
        return builder.load(builder.bitcast(pointer, vector.as_pointer()), align=alignment)

    return _Lanes(array.dtype)(array, i), generate


@intrinsic
def _load_some(typing_context: Any, array: Any, i: Any, count: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer, vector, alignment = _element(context, builder, signature, arguments)
        where = _masked(builder, builder.bitcast(pointer, vector.as_pointer()), arguments[2], alignment)
        kind = ir.FunctionType(vector, [part.type for part in where] + [vector])
        name = f"llvm.masked.load.v{WIDTH}f{8 * alignment}.p0v{WIDTH}f{8 * alignment}"
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        return builder.call(function, [*where, ir.Constant(vector, [0.0] * WIDTH)])

    return _Lanes(array.dtype)(array, i, count), generate


@intrinsic
def _store(typing_context: Any, array: Any, i: Any, lanes: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer, vector, alignment = _element(context, builder, signature, arguments)
        builder.store(arguments[2], builder.bitcast(pointer, vector.as_pointer()), align=alignment)
        return context.get_dummy_value()

    return types.void(array, i, lanes), generate


@intrinsic
def _store_some(typing_context: Any, array: Any, i: Any, lanes: Any, count: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer, vector, alignment = _element(context, builder, signature, arguments)
        where = _masked(builder, builder.bitcast(pointer, vector.as_pointer()), arguments[3], alignment)
        kind = ir.FunctionType(ir.VoidType(), [vector, *(part.type for part in where)])
        name = f"llvm.masked.store.v{WIDTH}f{8 * alignment}.p0v{WIDTH}f{8 * alignment}"
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        builder.call(function, [arguments[2], *where])
        return context.get_dummy_value()

    return types.void(array, i, lanes, count), generate


@part_of_kernel
def load(array: Any, i: int, count: int) -> Any:
    """The lanes ``array[i:i + 8]`` of a flat array; from the ``count``-th on they are 0."""
    return _load(array, i) if count >= WIDTH else _load_some(array, i, count)


@part_of_kernel
def store(array: Any, i: int, lanes: Any, count: int) -> None:
    """Write the first ``count`` lanes to ``array[i:i + 8]`` of a flat array."""
    if count >= WIDTH:
        _store(array, i, lanes)
    else:
        _store_some(array, i, lanes, count)


@intrinsic
def prefetch(typing_context: Any, array: Any, i: Any) -> Any:
    """Ask the processor to bring ``array[i]`` of a flat array into its cache."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer, _, _ = _element(context, builder, signature, arguments)
        byte_pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte_pointer, _INDEX, _INDEX, _INDEX])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte_pointer], kind)
        read, keep, data = _INDEX(0), _INDEX(3), _INDEX(1)
        builder.call(function, [builder.bitcast(pointer, byte_pointer), read, keep, data])
        return context.get_dummy_value()

    return types.void(array, i), generate


def _spread(builder: Any, number: Any) -> Any:
    vector = ir.VectorType(number.type, WIDTH)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), number, _INDEX(0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(_INDEX, WIDTH), [0] * WIDTH))


@intrinsic
def spread(typing_context: Any, number: Any) -> Any:
    """Eight times the same number."""
    return _Lanes(number)(number), lambda context, builder, signature, arguments: _spread(builder, arguments[0])


def _halves(builder: Any, a: Any, b: Any, width: int) -> Any:
    """The sums of both halves of each run of ``2 * width`` lanes, those of ``a`` and then those of ``b``."""
    runs = [lane for lane in range(2 * WIDTH) if lane // width % 2 == 0]
    first, second = (
        builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_INDEX, WIDTH), [lane + shift for lane in runs]))
        for shift in (0, width)
    )
    return builder.fadd(first, second)


@intrinsic
def totals(typing_context: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any) -> Any:
    """The sums of eight times eight lanes, pair by pair: the first lane is the total of the first."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows, width = list(arguments), WIDTH
        while len(rows) > 1:
            width //= 2
            rows = [_halves(builder, *pair, width) for pair in zip(rows[::2], rows[1::2], strict=True)]
        return rows[0]

    return a(a, b, c, d, e, f, g, h), generate


@intrinsic
def bend(typing_context: Any, z: Any, lanes: Any, slope: Any) -> Any:
    """The lanes where ``z`` is positive, ``slope`` times them elsewhere: a leaky ReLU, or its derivative."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        z, lanes, slope = arguments
        positive = builder.fcmp_ordered(">", z, ir.Constant(z.type, [0.0] * WIDTH))
        return builder.select(positive, lanes, builder.fmul(lanes, _spread(builder, slope)))

    return lanes(z, lanes, slope), generate


def _operation(name: str) -> Callable[..., Any]:
    @intrinsic
    def operation(typing_context: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, name)(*arguments, flags=_FLAGS)

        return a(a, b), generate

    return operation


def _overload(operation: Callable[..., Any], name: str) -> None:
    """Let an operator of Python act on lanes."""
    of_lanes = _operation(name)

    @overload(operation, strict=False)
    def choose(a: Any, b: Any) -> Any:
        return (lambda a, b: of_lanes(a, b)) if isinstance(a, _Lanes) and a == b else None


_overload(operator.add, "fadd")
_overload(operator.sub, "fsub")
_overload(operator.mul, "fmul")
_overload(operator.truediv, "fdiv")


@intrinsic
def larger(typing_context: Any, a: Any, b: Any) -> Any:
    """The larger of each two lanes; not a number gives the first."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", arguments[1], arguments[0]), arguments[1], arguments[0])

    return a(a, b), generate


@part_of_kernel
def added(pieces: Any) -> Any:
    """The totals of eight pieces, each of eight lanes, as lanes."""
    a, b, c, d = load(pieces, 0, WIDTH), load(pieces, 8, WIDTH), load(pieces, 16, WIDTH), load(pieces, 24, WIDTH)
    e, f, g, h = load(pieces, 32, WIDTH), load(pieces, 40, WIDTH), load(pieces, 48, WIDTH), load(pieces, 56, WIDTH)
    return totals(a, b, c, d, e, f, g, h)


@part_of_kernel
def dots(a: Any, i: int, b: Any, j: int, width: int, count: int, pieces: Any) -> Any:
    """The inner products of up to eight runs of ``width`` numbers each, which start at i and j; ``pieces`` is room."""
    for lane in range(min(count, WIDTH)):
        sums = spread(a.dtype.type(0))
        for block in range(lane * width, (lane + 1) * width, WIDTH):
            n = (lane + 1) * width - block
            sums = sums + load(a, i + block, n) * load(b, j + block, n)
        store(pieces, lane * WIDTH, sums, WIDTH)
    return added(pieces)


@part_of_kernel
def add_to(out: Any, i: int, factor: Any, x: Any, j: int, width: int) -> None:
    """Add ``factor`` times the ``width`` numbers of x from j on to those of ``out`` from i on."""
    for block in range(0, width, WIDTH):
        n = width - block
        store(out, i + block, load(out, i + block, n) + spread(factor) * load(x, j + block, n), n)


@intrinsic
def _power_of_two(typing_context: Any, shifted: Any) -> Any:
    """``2 ** n`` for single precision ``shifted = n + 1.5 * 2 ** 23``, whose last bits are ``n``; 0 for n = -127."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(32)
        exponent = builder.add(builder.bitcast(arguments[0], word), word(127))
        return builder.bitcast(builder.shl(exponent, word(23)), ir.FloatType())

    return types.float32(shifted), generate


def number(x: Any) -> Any:
    """A whole number: itself, or as :func:`known` to the compiler."""


@overload(number, strict=False, jit_options={"forceinline": True})
def _choose_number(x: Any) -> Any:
    return (lambda x: len(x)) if isinstance(x, types.BaseTuple) else (lambda x: x)


def known(x: int) -> tuple[None, ...]:
    """What tells the compiler a number, so that it makes code for this one alone and no loop of so many steps."""
    return (None,) * x


_f = np.float32


@part_of_kernel
def _exp_single(x: Any) -> Any:
    """The exponential to one unit in the last place; below -87.7 it is 0."""
    x = _f(-88) if x < _f(-88) else x
    shifted = x * _f(1.4426950408889634) + _f(12582912.0)
    n = shifted - _f(12582912.0)
    r = x - n * _f(0.693359375)
    r = r - n * _f(-2.12194440e-4)
    p = _f(1 / 5040)
    p = p * r + _f(1 / 720)
    p = p * r + _f(1 / 120)
    p = p * r + _f(1 / 24)
    p = p * r + _f(1 / 6)
    p = p * r + _f(1 / 2)
    p = p * r + _f(1)
    p = p * r + _f(1)
    return p * _power_of_two(shifted)


@intrinsic
def _to_bits(typing_context: Any, x: Any) -> Any:
    """The bits of a number in single precision."""
    kind = types.int32(types.float32)
    return kind, lambda context, builder, signature, arguments: builder.bitcast(arguments[0], ir.IntType(32))


@intrinsic
def _of_bits(typing_context: Any, bits: Any) -> Any:
    """The number in single precision that has these bits."""
    kind = types.float32(types.int32)
    return kind, lambda context, builder, signature, arguments: builder.bitcast(arguments[0], ir.FloatType())


@part_of_kernel
def _log_single(x: Any) -> Any:
    """The logarithm of a positive number to about one unit in the last place; infinity and NaN are their own."""
    small = x < _f(1.1754944e-38)  # below these there are no bits for an exponent
    bits = np.int32(_to_bits(x * _f(8388608.0) if small else x))
    power = np.int32(bits >> np.int32(23)) - np.int32(150 if small else 127)
    m = _of_bits(np.int32((bits & np.int32(0x7FFFFF)) | np.int32(0x3F800000)))
    large = m > _f(1.4142135)
    m, n = (_f(0.5) * m if large else m) - _f(1), _f(power) + (_f(1) if large else _f(0))
    p = _f(7.0376836292e-2)
    p = p * m - _f(1.1514610310e-1)
    p = p * m + _f(1.1676998740e-1)
    p = p * m - _f(1.2420140846e-1)
    p = p * m + _f(1.4249322787e-1)
    p = p * m - _f(1.6668057665e-1)
    p = p * m + _f(2.0000714765e-1)
    p = p * m - _f(2.4999993993e-1)
    p = p * m + _f(3.3333331174e-1)
    square = m * m
    out = m * square * p - _f(2.12194440e-4) * n - _f(0.5) * square
    out = m + out + _f(0.693359375) * n
    return out if x < _f(np.inf) else x


def exp(x: Any) -> Any:
    """The exponential, in a form that LLVM computes for several numbers at once where they are float32."""


@overload(exp, strict=False, jit_options={"forceinline": True})
def _choose_exp(x: Any) -> Any:
    return (lambda x: _exp_single(x)) if x == types.float32 else (lambda x: math.exp(x))


def log(x: Any) -> Any:
    """The logarithm of a positive number, in a form that LLVM computes for several at once where they are float32."""


@overload(log, strict=False, jit_options={"forceinline": True})
def _choose_log(x: Any) -> Any:
    return (lambda x: _log_single(x)) if x == types.float32 else (lambda x: math.log(x))
