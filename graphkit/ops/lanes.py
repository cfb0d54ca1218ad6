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


@intrinsic
def load(typing_context: Any, array: Any, i: Any) -> Any:
    """The lanes ``array[i:i + 8]`` of a flat array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer, vector, alignment = _element(context, builder, signature, arguments)
        return builder.load(builder.bitcast(pointer, vector.as_pointer()), align=alignment)

    return _Lanes(array.dtype)(array, i), generate


@intrinsic
def store(typing_context: Any, array: Any, i: Any, lanes: Any) -> Any:
    """Write lanes to ``array[i:i + 8]`` of a flat array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer, vector, alignment = _element(context, builder, signature, arguments)
        builder.store(arguments[2], builder.bitcast(pointer, vector.as_pointer()), align=alignment)
        return context.get_dummy_value()

    return types.void(array, i, lanes), generate


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


@intrinsic
def total(typing_context: Any, lanes: Any) -> Any:
    """The sum of the lanes, pair by pair."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, width = arguments[0], WIDTH
        while width > 1:
            width //= 2
            halves = (
                builder.shuffle_vector(value, value, ir.Constant(ir.VectorType(_INDEX, width), list(part)))
                for part in (range(width), range(width, 2 * width))
            )
            value = builder.fadd(*halves)
        return builder.extract_element(value, _INDEX(0))

    return lanes.dtype(lanes), generate


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


_add, _multiply = _operation("fadd"), _operation("fmul")


@overload(operator.add, strict=False)
def _overload_add(a: Any, b: Any) -> Any:
    if isinstance(a, _Lanes) and a == b:
        return lambda a, b: _add(a, b)
    return None


@overload(operator.mul, strict=False)
def _overload_multiply(a: Any, b: Any) -> Any:
    if isinstance(a, _Lanes) and a == b:
        return lambda a, b: _multiply(a, b)
    return None


@intrinsic
def power_of_two(typing_context: Any, shifted: Any) -> Any:
    """``2 ** n`` for single precision ``shifted = n + 1.5 * 2 ** 23``, whose last bits are ``n``; 0 for n = -127."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(32)
        exponent = builder.add(builder.bitcast(arguments[0], word), word(127))
        return builder.bitcast(builder.shl(exponent, word(23)), ir.FloatType())

    return types.float32(shifted), generate


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
    return p * power_of_two(shifted)


def exp(x: Any) -> Any:
    """The exponential, in a form that LLVM computes for several numbers at once where they are float32."""


@overload(exp, strict=False, jit_options={"forceinline": True})
def _choose_exp(x: Any) -> Any:
    return (lambda x: _exp_single(x)) if x == types.float32 else (lambda x: math.exp(x))
