"""Between flat float32 arrays and Lanes; indices count elements, and are not checked."""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .lanes import FLOATS, INT32, WIDTH, indices, lanes_type


def _address(context, builder, array_type, array, index):
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [index])


def _store_lanes(builder, address, value) -> None:
    builder.store(value, builder.bitcast(address, FLOATS.as_pointer())).align = 4


@intrinsic
def load(typing, array, index):
    """array[index : index + 8]"""

    def generate(context, builder, sig, values):
        address = _address(context, builder, sig.args[0], *values)
        loaded = builder.load(builder.bitcast(address, FLOATS.as_pointer()))
        loaded.align = 4  # elements are aligned, eight of them need not be
        return loaded

    return lanes_type(array, types.intp), generate


@intrinsic
def store(typing, array, index, value):
    """array[index : index + 8] = value"""

    def generate(context, builder, sig, values):
        _store_lanes(builder, _address(context, builder, sig.args[0], *values[:2]), values[2])
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes_type), generate


@intrinsic
def load_column(typing, array, index, stride):
    """array[index + stride * lane]: one column of eight rows"""

    def generate(context, builder, sig, values):
        data = context.make_array(sig.args[0])(context, builder, values[0]).data
        lanes, position = ir.Constant(FLOATS, ir.Undefined), values[1]
        for lane in range(WIDTH):
            element = builder.load(builder.gep(data, [position]))
            lanes = builder.insert_element(lanes, element, ir.Constant(INT32, lane))
            position = builder.add(position, values[2])
        return lanes

    return lanes_type(array, types.intp, types.intp), generate


@intrinsic
def store_column(typing, array, index, stride, value):
    """array[index + stride * lane] = value's lane"""

    def generate(context, builder, sig, values):
        data = context.make_array(sig.args[0])(context, builder, values[0]).data
        position = values[1]
        for lane in range(WIDTH):
            element = builder.extract_element(values[3], ir.Constant(INT32, lane))
            builder.store(element, builder.gep(data, [position]))
            position = builder.add(position, values[2])
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, lanes_type), generate


@intrinsic
def load_scalar(typing, array, index):
    """array[index] without the test for negative indices"""

    def generate(context, builder, sig, values):
        return builder.load(_address(context, builder, sig.args[0], *values))

    return array.dtype(array, types.intp), generate


@intrinsic
def store_scalar(typing, array, index, value):
    """array[index] = value, of the array's own type, without the test for negative indices"""

    def generate(context, builder, sig, values):
        builder.store(values[2], _address(context, builder, sig.args[0], *values[:2]))
        return context.get_dummy_value()

    return types.void(array, types.intp, array.dtype), generate


@intrinsic
def add_one(typing, array, index):
    """array[index] += 1; the old value"""

    def generate(context, builder, sig, values):
        address = _address(context, builder, sig.args[0], *values)
        old = builder.load(address)
        builder.store(builder.add(old, ir.Constant(old.type, 1)), address)
        return old

    return array.dtype(array, types.intp), generate


@intrinsic
def store_rows(typing, array, index, stride, c0, c1, c2, c3, c4, c5, c6, c7):
    """array[index + stride * lane + k] = column k's lane: eight columns as rows (an 8 x 8 transpose)"""

    def generate(context, builder, sig, values):
        data, position = context.make_array(sig.args[0])(context, builder, values[0]).data, values[1]
        for row in _transposed(builder, values[3:]):
            _store_lanes(builder, builder.gep(data, [position]), row)
            position = builder.add(position, values[2])
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, *[lanes_type] * WIDTH), generate


@intrinsic
def load_rows(typing, array, index, stride):
    """The inverse of store_rows: eight columns, column k = array[index + stride * lane + k]"""
    columns = types.UniTuple(lanes_type, WIDTH)

    def generate(context, builder, sig, values):
        data, position = context.make_array(sig.args[0])(context, builder, values[0]).data, values[1]
        rows = []
        for _ in range(WIDTH):
            loaded = builder.load(builder.bitcast(builder.gep(data, [position]), FLOATS.as_pointer()))
            loaded.align = 4
            rows.append(loaded)
            position = builder.add(position, values[2])
        return context.make_tuple(builder, columns, _transposed(builder, rows))

    return columns(array, types.intp, types.intp), generate


def _transposed(builder, columns):
    """Interleave single elements, then pairs, then halves: 24 shuffles."""

    def shuffle(left, right, *order):
        return builder.shuffle_vector(left, right, indices(*order))

    singles = []
    for i in range(0, 8, 2):
        left, right = columns[i], columns[i + 1]
        singles.append(shuffle(left, right, 0, 8, 1, 9, 4, 12, 5, 13))
        singles.append(shuffle(left, right, 2, 10, 3, 11, 6, 14, 7, 15))
    pairs = []
    for i in (0, 1, 4, 5):
        pairs.append(shuffle(singles[i], singles[i + 2], 0, 1, 8, 9, 4, 5, 12, 13))
        pairs.append(shuffle(singles[i], singles[i + 2], 2, 3, 10, 11, 6, 7, 14, 15))
    low = [shuffle(pairs[i], pairs[i + 4], 0, 1, 2, 3, 8, 9, 10, 11) for i in range(4)]
    high = [shuffle(pairs[i], pairs[i + 4], 4, 5, 6, 7, 12, 13, 14, 15) for i in range(4)]
    return low + high


@intrinsic
def prefetch(typing, array, index):
    """Ask for array[index]'s cache line ahead of its use"""

    def generate(context, builder, sig, values):
        address = builder.bitcast(
            _address(context, builder, sig.args[0], *values), ir.IntType(8).as_pointer()
        )
        prototype = ir.FunctionType(ir.VoidType(), [address.type, INT32, INT32, INT32])
        function = builder.module.declare_intrinsic("llvm.prefetch", [address.type], prototype)
        read, high_locality, data = (ir.Constant(INT32, number) for number in (0, 3, 1))
        builder.call(function, [address, read, high_locality, data])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


@intrinsic
def float_bits(typing, value):
    """The bits of a float32 as uint32; they order like the value where it is positive"""

    def generate(context, builder, sig, values):
        return builder.bitcast(values[0], INT32)

    return types.uint32(types.float32), generate


@intrinsic
def to_int(typing, value):
    """float32 -> int64 by truncation, through int32, which is faster"""

    def generate(context, builder, sig, values):
        return builder.sext(builder.fptosi(values[0], INT32), ir.IntType(64))

    return types.int64(types.float32), generate


@intrinsic
def fetch_add(typing, array, index, step):
    """array[index] += step in one atomic operation, on int64; the old value"""

    def generate(context, builder, sig, values):
        address = _address(context, builder, sig.args[0], *values[:2])
        return builder.atomic_rmw("add", address, values[2], "monotonic")

    return types.int64(array, types.intp, types.int64), generate
