"""Eight floats as one value inside Numba kernels, so that they compile to the vector code that C++ would.

Lanes <8 x float> and Mask <8 x int32>, all ones or all zeros as AVX2 compares give them.
Arithmetic (+ - * /) and comparisons (< <= > >=) take two Lanes, or Lanes and a float32, which is broadcast.
"""

# pyright: reportOptionalCall=false, reportAttributeAccessIssue=false
from __future__ import annotations

import operator

from llvmlite import ir
from numba.core import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

WIDTH = 8
FLOATS = ir.VectorType(ir.FloatType(), WIDTH)
INTS = ir.VectorType(ir.IntType(32), WIDTH)
INT32 = ir.IntType(32)
# Without nnan and ninf: lanes that are masked off may overflow.
FAST = ("nsz", "arcp", "contract", "afn", "reassoc")


class LanesType(types.Type):
    def __init__(self) -> None:
        super().__init__("Lanes")


class MaskType(types.Type):
    def __init__(self) -> None:
        super().__init__("Mask")


lanes_type, mask_type = LanesType(), MaskType()


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, FLOATS)


@register_model(MaskType)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, INTS)


def indices(*values: int) -> ir.Constant:
    """A constant vector for shuffles."""
    return ir.Constant(ir.VectorType(INT32, len(values)), list(values))


def _broadcast(builder, value):
    undefined = ir.Constant(FLOATS, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(INT32, 0))
    return builder.shuffle_vector(first, undefined, indices(*[0] * WIDTH))


def _as_lanes(builder, signature_, values):
    pairs = zip(signature_.args, values, strict=True)
    return [value if kind == lanes_type else _broadcast(builder, value) for kind, value in pairs]


def _is_lane_operation(arguments) -> bool:
    return (
        len(arguments) == 2
        and lanes_type in arguments
        and all(kind in (lanes_type, types.float32) for kind in arguments)
    )


def _define(operation, result, lower) -> None:
    """Teaches Numba an operator on (Lanes, Lanes), (Lanes, float32) and (float32, Lanes)."""

    @infer_global(operation)
    class _Typing(AbstractTemplate):
        def generic(self, args, kws):
            return signature(result, *args) if _is_lane_operation(args) else None

    for left, right in (
        (lanes_type, lanes_type),
        (lanes_type, types.float32),
        (types.float32, lanes_type),
    ):
        lower_builtin(operation, left, right)(lower)


def _arithmetic(instruction: str):
    def lower(context, builder, signature_, values):
        return getattr(builder, instruction)(*_as_lanes(builder, signature_, values), flags=FAST)

    return lower


def _comparison(predicate: str):
    def lower(context, builder, signature_, values):
        # Ordered and without fast-math flags: false for NaN, which hides broken splats.
        bits = builder.fcmp_ordered(predicate, *_as_lanes(builder, signature_, values))
        return builder.sext(bits, INTS)

    return lower


_define(operator.add, lanes_type, _arithmetic("fadd"))
_define(operator.sub, lanes_type, _arithmetic("fsub"))
_define(operator.mul, lanes_type, _arithmetic("fmul"))
_define(operator.truediv, lanes_type, _arithmetic("fdiv"))
_define(operator.lt, mask_type, _comparison("<"))
_define(operator.le, mask_type, _comparison("<="))
_define(operator.gt, mask_type, _comparison(">"))
_define(operator.ge, mask_type, _comparison(">="))


def _combine(operation, instruction: str) -> None:
    """Teaches Numba & or | on two masks."""

    @infer_global(operation)
    class _Typing(AbstractTemplate):
        def generic(self, args, kws):
            return signature(mask_type, *args) if tuple(args) == (mask_type, mask_type) else None

    lower_builtin(operation, mask_type, mask_type)(
        lambda context, builder, signature_, values: getattr(builder, instruction)(*values)
    )


_combine(operator.and_, "and_")
_combine(operator.or_, "or_")


def _bits(builder, mask):
    return builder.icmp_signed("<", mask, ir.Constant(INTS, [0] * WIDTH))


@intrinsic
def broadcast(typing, value):
    """float32 -> Lanes"""
    return lanes_type(types.float32), lambda context, builder, sig, values: _broadcast(builder, values[0])


@intrinsic
def lane_numbers(typing):
    """0, 1, ..., 7"""
    numbers = ir.Constant(FLOATS, [float(i) for i in range(WIDTH)])
    return lanes_type(), lambda context, builder, sig, values: numbers


@intrinsic
def select(typing, mask, yes, no):
    """yes where mask, else no"""

    def generate(context, builder, sig, values):
        return builder.select(_bits(builder, values[0]), values[1], values[2])

    return lanes_type(mask_type, lanes_type, lanes_type), generate


@intrinsic
def keep(typing, mask, value):
    """value where mask, else 0"""

    def generate(context, builder, sig, values):
        kept = builder.and_(values[0], builder.bitcast(values[1], INTS))
        return builder.bitcast(kept, FLOATS)

    return lanes_type(mask_type, lanes_type), generate


@intrinsic
def any_lane(typing, mask):
    """True when any lane of the mask is set"""

    def generate(context, builder, sig, values):
        byte = ir.IntType(WIDTH)
        return builder.icmp_unsigned(
            "!=", builder.bitcast(_bits(builder, values[0]), byte), ir.Constant(byte, 0)
        )

    return types.boolean(mask_type), generate


def _extreme(predicate: str):
    @intrinsic
    def function(typing, left, right):
        def generate(context, builder, sig, values):
            left_, right_ = _as_lanes(builder, sig, values)
            return builder.select(builder.fcmp_ordered(predicate, left_, right_, flags=FAST), left_, right_)

        return lanes_type(left, right), generate

    return function


lane_min, lane_max = _extreme("<"), _extreme(">")


def _llvm(name: str, kind: types.Type, llvm_type: ir.Type, suffix: str):
    """One LLVM intrinsic, which is one instruction; math.floor would be a library call."""

    @intrinsic
    def function(typing, value):
        def generate(context, builder, sig, values):
            prototype = ir.FunctionType(llvm_type, [llvm_type])
            full_name = f"llvm.{name}.{suffix}"
            known = builder.module.globals.get(full_name)
            return builder.call(known or ir.Function(builder.module, prototype, full_name), values)

        return kind(kind), generate

    return function


lane_sqrt, lane_floor, lane_ceil, lane_abs = (
    _llvm(name, lanes_type, FLOATS, f"v{WIDTH}f32") for name in ("sqrt", "floor", "ceil", "fabs")
)
scalar_sqrt = _llvm("sqrt", types.float32, ir.FloatType(), "f32")


# (ln(1 + z) - z + z^2 / 2) / z^3 fitted between sqrt(1/2) - 1 and sqrt(2) - 1, to 1e-8 of the logarithm.
_LOG_SERIES = (
    -0.0810155833,
    0.127123077,
    -0.12972239,
    0.142021738,
    -0.166422476,
    0.200014686,
    -0.250002965,
    0.333333286,
)


@intrinsic
def lane_log(typing, value):
    """Natural logarithm of normal positive numbers, to 1e-7: the exponent, and a series for the mantissa."""

    def generate(context, builder, sig, values):
        def ints(number):
            return ir.Constant(INTS, [number] * WIDTH)

        def floats(number):
            return ir.Constant(FLOATS, [number] * WIDTH)

        bits = builder.bitcast(values[0], INTS)
        # The mantissa is taken from sqrt(1/2) to sqrt(2), so that the series sees numbers near 1.
        exponent = builder.ashr(builder.sub(bits, ints(0x3F3504F3)), ints(23))
        mantissa = builder.bitcast(builder.sub(bits, builder.shl(exponent, ints(23))), FLOATS)
        z = builder.fsub(mantissa, floats(1.0))
        square = builder.fmul(z, z)
        series = floats(_LOG_SERIES[0])
        for coefficient in _LOG_SERIES[1:]:
            series = builder.fadd(builder.fmul(series, z, flags=FAST), floats(coefficient), flags=FAST)
        # ln(1 + z) = z - z^2 / 2 + z^3 series(z)
        cubic = builder.fmul(builder.fmul(series, z, flags=FAST), square, flags=FAST)
        quadratic = builder.fsub(cubic, builder.fmul(square, floats(0.5)), flags=FAST)
        whole = builder.fmul(builder.sitofp(exponent, FLOATS), floats(0.6931471805599453))
        return builder.fadd(builder.fadd(quadratic, z, flags=FAST), whole, flags=FAST)

    return lanes_type(lanes_type), generate


@intrinsic
def not_finite(typing, value):
    """Mask of the lanes that are NaN or infinite, by their bits: float tests may be optimised away."""

    def generate(context, builder, sig, values):
        exponent = ir.Constant(INTS, [0x7F800000] * WIDTH)
        bits = builder.and_(builder.bitcast(values[0], INTS), exponent)
        return builder.sext(builder.icmp_unsigned("==", bits, exponent), INTS)

    return mask_type(lanes_type), generate
