"""Sixteen int16 as one value inside Numba kernels, as semi-global matching adds and compares them.

Shorts <16 x int16>; + - * work lane by lane on two Shorts. Arrays are flat; indices count elements and are not checked.
"""

# pyright: reportOptionalCall=false, reportAttributeAccessIssue=false, reportCallIssue=false
from __future__ import annotations

import operator

from llvmlite import ir
from numba.core import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

WIDTH = 16
INT16, INT32, INT64 = ir.IntType(16), ir.IntType(32), ir.IntType(64)
SHORTS = ir.VectorType(INT16, WIDTH)
BYTES = ir.VectorType(ir.IntType(8), WIDTH)
WORDS = ir.VectorType(INT32, WIDTH)


class ShortsType(types.Type):
    def __init__(self) -> None:
        super().__init__("Shorts")


shorts_type = ShortsType()


@register_model(ShortsType)
class _ShortsModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, SHORTS)


def _define(operation, instruction: str) -> None:
    """Teaches Numba an operator on two Shorts."""

    @infer_global(operation)
    class _Typing(AbstractTemplate):
        def generic(self, args, kws):
            return signature(shorts_type, *args) if tuple(args) == (shorts_type, shorts_type) else None

    lower_builtin(operation, shorts_type, shorts_type)(
        lambda context, builder, sig, values: getattr(builder, instruction)(*values)
    )


_define(operator.add, "add")
_define(operator.sub, "sub")
_define(operator.mul, "mul")


def _load(context, builder, array_type, array, index, vector, align):
    data = context.make_array(array_type)(context, builder, array).data
    loaded = builder.load(builder.bitcast(builder.gep(data, [index]), vector.as_pointer()))
    loaded.align = align
    return loaded


def _store(context, builder, array_type, array, index, value, align):
    data = context.make_array(array_type)(context, builder, array).data
    builder.store(value, builder.bitcast(builder.gep(data, [index]), value.type.as_pointer())).align = align


def _spread(builder, value, vector):
    """The integer `value`, cut to the lane's type, in all lanes."""
    undefined = ir.Constant(vector, ir.Undefined)
    lane = value if value.type == vector.element else builder.trunc(value, vector.element)
    first = builder.insert_element(undefined, lane, ir.Constant(INT32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(WORDS, [0] * WIDTH))


@intrinsic
def load_shorts(typing, array, index):
    """array[index : index + 16] of int16"""

    def generate(context, builder, sig, values):
        return _load(context, builder, sig.args[0], *values, SHORTS, 2)

    return shorts_type(array, types.intp), generate


@intrinsic
def load_bytes(typing, array, index):
    """array[index : index + 16] of uint8"""

    def generate(context, builder, sig, values):
        return builder.zext(_load(context, builder, sig.args[0], *values, BYTES, 1), SHORTS)

    return shorts_type(array, types.intp), generate


@intrinsic
def store_shorts(typing, array, index, value):
    """array[index : index + 16] = value, of int16"""

    def generate(context, builder, sig, values):
        _store(context, builder, sig.args[0], *values, 2)
        return context.get_dummy_value()

    return types.void(array, types.intp, shorts_type), generate


@intrinsic
def store_bytes(typing, array, index, value):
    """array[index : index + 16] = value, of uint8"""

    def generate(context, builder, sig, values):
        _store(context, builder, sig.args[0], *values[:2], builder.trunc(values[2], BYTES), 1)
        return context.get_dummy_value()

    return types.void(array, types.intp, shorts_type), generate


@intrinsic
def different_bits(typing, array, index, word):
    """How many bits of array[index : index + 16], uint32, differ from those of a uint32"""

    def generate(context, builder, sig, values):
        words = _load(context, builder, sig.args[0], *values[:2], WORDS, 4)
        name = f"llvm.ctpop.v{WIDTH}i32"
        count = builder.module.globals.get(name)
        count = count or ir.Function(builder.module, ir.FunctionType(WORDS, [WORDS]), name)
        return builder.trunc(builder.call(count, [builder.xor(words, _spread(builder, values[2], WORDS))]), SHORTS)

    return shorts_type(array, types.intp, types.uint32), generate


@intrinsic
def all_shorts(typing, value):
    """an integer in all lanes"""

    def generate(context, builder, sig, values):
        return _spread(builder, values[0], SHORTS)

    return shorts_type(types.intp), generate


@intrinsic
def short_numbers(typing):
    """0, 1, ..., 15"""
    numbers = ir.Constant(SHORTS, list(range(WIDTH)))
    return shorts_type(), lambda context, builder, sig, values: numbers


@intrinsic
def shift_right(typing, value, by):
    """value >> by in each lane, of numbers that are not negative"""

    def generate(context, builder, sig, values):
        return builder.lshr(values[0], _spread(builder, values[1], SHORTS))

    return shorts_type(shorts_type, types.intp), generate


@intrinsic
def smaller(typing, left, right):
    """the smaller one in each lane"""

    def generate(context, builder, sig, values):
        return builder.select(builder.icmp_signed("<", *values), *values)

    return shorts_type(shorts_type, shorts_type), generate


@intrinsic
def larger(typing, left, right):
    """the larger one in each lane"""

    def generate(context, builder, sig, values):
        return builder.select(builder.icmp_signed(">", *values), *values)

    return shorts_type(shorts_type, shorts_type), generate


@intrinsic
def where_less(typing, left, right, yes, no):
    """yes where left < right, else no"""

    def generate(context, builder, sig, values):
        return builder.select(builder.icmp_signed("<", *values[:2]), *values[2:])

    return shorts_type(*[shorts_type] * 4), generate


@intrinsic
def smallest(typing, value):
    """the smallest of the sixteen, as an integer"""

    def generate(context, builder, sig, values):
        value = values[0]
        for half in (8, 4, 2, 1):
            lanes = ir.Constant(WORDS, [(i + half) % WIDTH for i in range(WIDTH)])
            other = builder.shuffle_vector(value, value, lanes)
            value = builder.select(builder.icmp_signed("<", value, other), value, other)
        return builder.sext(builder.extract_element(value, ir.Constant(INT32, 0)), INT64)

    return types.intp(shorts_type), generate
