"""Any number of channels at once: tuples of Lanes, unrolled when compiled.

A template, a tuple of as many float32 as there are channels, fixes the number where it cannot be inferred.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .lanes import FAST, FLOATS, WIDTH, _broadcast, indices, lanes_type
from .memory import _store_lanes


def _tuple_of(template) -> types.UniTuple:
    return types.UniTuple(lanes_type, len(template))


def _load_lanes(builder, address):
    loaded = builder.load(builder.bitcast(address, FLOATS.as_pointer()))
    loaded.align = 4
    return loaded


@intrinsic
def no_light(typing, template):
    """A tuple of zeros"""
    channels = _tuple_of(template)

    def generate(context, builder, sig, values):
        zero = ir.Constant(FLOATS, [0.0] * WIDTH)
        return context.make_tuple(builder, channels, [zero] * len(channels))

    return channels(template), generate


@intrinsic
def broadcast_row(typing, array, index, template):
    """(array[index], array[index + 1], ...), each in all lanes"""
    channels = _tuple_of(template)

    def generate(context, builder, sig, values):
        data = context.make_array(sig.args[0])(context, builder, values[0]).data
        parts = []
        for c in range(len(channels)):
            position = builder.add(values[1], ir.Constant(values[1].type, c))
            parts.append(_broadcast(builder, builder.load(builder.gep(data, [position]))))
        return context.make_tuple(builder, channels, parts)

    return channels(array, types.intp, template), generate


@intrinsic
def load_planes(typing, array, index, stride, template):
    """array[index + stride * c : + 8] for each channel c"""
    channels = _tuple_of(template)

    def generate(context, builder, sig, values):
        data, position, parts = context.make_array(sig.args[0])(context, builder, values[0]).data, values[1], []
        for _ in range(len(channels)):
            parts.append(_load_lanes(builder, builder.gep(data, [position])))
            position = builder.add(position, values[2])
        return context.make_tuple(builder, channels, parts)

    return channels(array, types.intp, types.intp, template), generate


@intrinsic
def add_to_planes(typing, array, index, stride, weight, light):
    """array[index + stride * c : + 8] += weight * light[c] for each channel c"""

    def generate(context, builder, sig, values):
        data, position = context.make_array(sig.args[0])(context, builder, values[0]).data, values[1]
        for part in cgutils.unpack_tuple(builder, values[4]):
            address = builder.gep(data, [position])
            product = builder.fmul(values[3], part, flags=FAST)
            _store_lanes(builder, address, builder.fadd(_load_lanes(builder, address), product, flags=FAST))
            position = builder.add(position, values[2])
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, lanes_type, light), generate


@intrinsic
def dot(typing, left, right):
    """sum over channels of left[c] * right[c]"""

    def generate(context, builder, sig, values):
        pairs = zip(*(cgutils.unpack_tuple(builder, value) for value in values), strict=True)
        total = None
        for one, other in pairs:
            product = builder.fmul(one, other, flags=FAST)
            total = product if total is None else builder.fadd(total, product, flags=FAST)
        return total

    return lanes_type(left, right), generate


@intrinsic
def add_scaled(typing, sums, weight, light):
    """sums[c] + weight * light[c]"""

    def generate(context, builder, sig, values):
        pairs = zip(
            cgutils.unpack_tuple(builder, values[0]), cgutils.unpack_tuple(builder, values[2]), strict=True
        )
        parts = [builder.fadd(s, builder.fmul(values[1], part, flags=FAST), flags=FAST) for s, part in pairs]
        return context.make_tuple(builder, sig.return_type, parts)

    return sums(sums, lanes_type, light), generate


@intrinsic
def lane_sums(typing, parts):
    """One Lanes of up to eight: lane k is the sum over the lanes of parts[k] (7 additions, 14 shuffles)"""

    def generate(context, builder, sig, values):
        columns = cgutils.unpack_tuple(builder, values[0])
        columns += [ir.Constant(FLOATS, [0.0] * WIDTH)] * (WIDTH - len(columns))

        def folded(left, right):
            even = builder.shuffle_vector(left, right, indices(0, 2, 8, 10, 4, 6, 12, 14))
            odd = builder.shuffle_vector(left, right, indices(1, 3, 9, 11, 5, 7, 13, 15))
            return builder.fadd(even, odd, flags=FAST)

        pairs = [folded(columns[k], columns[k + 1]) for k in range(0, WIDTH, 2)]
        left, right = folded(pairs[0], pairs[1]), folded(pairs[2], pairs[3])
        low = builder.shuffle_vector(left, right, indices(0, 1, 2, 3, 8, 9, 10, 11))
        high = builder.shuffle_vector(left, right, indices(4, 5, 6, 7, 12, 13, 14, 15))
        return builder.fadd(low, high, flags=FAST)

    return lanes_type(parts), generate
