"""View-dependent colour of eight Gaussians at a time, and its derivatives; the basis of render/spherical_harmonics."""

# pyright: reportCallIssue=false, reportArgumentType=false
from __future__ import annotations

from .ewa import load_vectors
from .kernel import kernel
from .lanes import broadcast
from .memory import load_column, store_column
from .records import f32

# The constants of the bands; signs and order as in 3DGS (Kerbl et al. 2023).
B0 = f32(0.28209479177387814)
B1 = f32(0.4886025119029199)
B2_PRODUCT, B2_AXIS, B2_DIFFERENCE = f32(1.0925484305920792), f32(0.31539156525252005), f32(0.5462742152960396)
B3_CORNER, B3_PRODUCT = f32(0.5900435899266435), f32(2.890611442640554)
B3_EDGE, B3_AXIS, B3_DIFFERENCE = f32(0.4570457994644658), f32(0.3731763325901154), f32(1.445305721320277)


@kernel
def evaluate_constant(sh, i):
    """evaluate for one coefficient: the same colour from everywhere. Small, so that it is compiled in place."""
    red, green, blue = load_vectors(sh, i)
    return red * B0 + f32(0.5), green * B0 + f32(0.5), blue * B0 + f32(0.5)


@kernel
def backward_constant(i, light, sh_gradient):
    """backward for one coefficient."""
    store_column(sh_gradient, 3 * i, 3, light[0] * B0)
    store_column(sh_gradient, 3 * i + 1, 3, light[1] * B0)
    store_column(sh_gradient, 3 * i + 2, 3, light[2] * B0)


@kernel
def evaluate(sh, i, count, x, y, z):
    """0.5 + sum(sh * basis) at unit directions (x, y, z), not clamped. sh: flat [N, count, 3]; rows i to i + 7."""
    stride = 3 * count
    at = stride * i
    half = broadcast(f32(0.5))
    color = _add(sh, at, stride, broadcast(B0), (half, half, half))
    if count > 1:
        color = _add(sh, at + 3, stride, y * -B1, color)
        color = _add(sh, at + 6, stride, z * B1, color)
        color = _add(sh, at + 9, stride, x * -B1, color)
    if count > 4:
        xx, yy, zz = x * x, y * y, z * z
        color = _add(sh, at + 12, stride, x * y * B2_PRODUCT, color)
        color = _add(sh, at + 15, stride, y * z * -B2_PRODUCT, color)
        color = _add(sh, at + 18, stride, (zz * f32(2) - xx - yy) * B2_AXIS, color)
        color = _add(sh, at + 21, stride, x * z * -B2_PRODUCT, color)
        color = _add(sh, at + 24, stride, (xx - yy) * B2_DIFFERENCE, color)
        if count > 9:
            color = _add(sh, at + 27, stride, y * (xx * f32(3) - yy) * -B3_CORNER, color)
            color = _add(sh, at + 30, stride, x * y * z * B3_PRODUCT, color)
            color = _add(sh, at + 33, stride, y * (zz * f32(4) - xx - yy) * -B3_EDGE, color)
            color = _add(sh, at + 36, stride, z * (zz * f32(2) - xx * f32(3) - yy * f32(3)) * B3_AXIS, color)
            color = _add(sh, at + 39, stride, x * (zz * f32(4) - xx - yy) * -B3_EDGE, color)
            color = _add(sh, at + 42, stride, z * (xx - yy) * B3_DIFFERENCE, color)
            color = _add(sh, at + 45, stride, x * (xx - yy * f32(3)) * -B3_CORNER, color)
    return color


@kernel
def _add(sh, at, stride, value, color):
    return (
        color[0] + value * load_column(sh, at, stride),
        color[1] + value * load_column(sh, at + 1, stride),
        color[2] + value * load_column(sh, at + 2, stride),
    )


@kernel
def backward(sh, i, count, x, y, z, light, sh_gradient):
    """Writes the gradient of the coefficients; returns that of the direction, as if x, y, z were free.

    light: the gradient of the three colours (zero where the colour was clamped).
    """
    stride = 3 * count
    at = stride * i
    zero = broadcast(f32(0))
    gx, gy, gz = zero, zero, zero
    _take(sh, at, stride, broadcast(B0), light, sh_gradient)
    if count > 1:
        gy = gy - _take(sh, at + 3, stride, y * -B1, light, sh_gradient) * B1
        gz = gz + _take(sh, at + 6, stride, z * B1, light, sh_gradient) * B1
        gx = gx - _take(sh, at + 9, stride, x * -B1, light, sh_gradient) * B1
    if count > 4:
        xx, yy, zz, two = x * x, y * y, z * z, f32(2)
        s = _take(sh, at + 12, stride, x * y * B2_PRODUCT, light, sh_gradient) * B2_PRODUCT
        gx, gy = gx + s * y, gy + s * x
        s = _take(sh, at + 15, stride, y * z * -B2_PRODUCT, light, sh_gradient) * B2_PRODUCT
        gy, gz = gy - s * z, gz - s * y
        s = _take(sh, at + 18, stride, (zz * two - xx - yy) * B2_AXIS, light, sh_gradient) * (two * B2_AXIS)
        gx, gy, gz = gx - s * x, gy - s * y, gz + s * z * two
        s = _take(sh, at + 21, stride, x * z * -B2_PRODUCT, light, sh_gradient) * B2_PRODUCT
        gx, gz = gx - s * z, gz - s * x
        s = _take(sh, at + 24, stride, (xx - yy) * B2_DIFFERENCE, light, sh_gradient) * (two * B2_DIFFERENCE)
        gx, gy = gx + s * x, gy - s * y
        if count > 9:
            three, four, six = f32(3), f32(4), f32(6)
            s = _take(sh, at + 27, stride, y * (xx * three - yy) * -B3_CORNER, light, sh_gradient) * B3_CORNER
            gx, gy = gx - s * six * x * y, gy - s * three * (xx - yy)
            s = _take(sh, at + 30, stride, x * y * z * B3_PRODUCT, light, sh_gradient) * B3_PRODUCT
            gx, gy, gz = gx + s * y * z, gy + s * x * z, gz + s * x * y
            s = _take(sh, at + 33, stride, y * (zz * four - xx - yy) * -B3_EDGE, light, sh_gradient) * B3_EDGE
            gx, gy, gz = gx + s * two * x * y, gy - s * (zz * four - xx - yy * three), gz - s * f32(8) * y * z
            value = z * (zz * two - xx * three - yy * three) * B3_AXIS
            s = _take(sh, at + 36, stride, value, light, sh_gradient) * B3_AXIS
            gx, gy = gx - s * six * x * z, gy - s * six * y * z
            gz = gz + s * (zz * six - xx * three - yy * three)
            s = _take(sh, at + 39, stride, x * (zz * four - xx - yy) * -B3_EDGE, light, sh_gradient) * B3_EDGE
            gx, gy, gz = gx - s * (zz * four - xx * three - yy), gy + s * two * x * y, gz - s * f32(8) * x * z
            s = _take(sh, at + 42, stride, z * (xx - yy) * B3_DIFFERENCE, light, sh_gradient) * B3_DIFFERENCE
            gx, gy, gz = gx + s * two * x * z, gy - s * two * y * z, gz + s * (xx - yy)
            s = _take(sh, at + 45, stride, x * (xx - yy * three) * -B3_CORNER, light, sh_gradient) * B3_CORNER
            gx, gy = gx - s * three * (xx - yy), gy + s * six * x * y
    return gx, gy, gz


@kernel
def _take(sh, at, stride, value, light, sh_gradient):
    """Stores one coefficient's gradient; returns the gradient of its basis function."""
    store_column(sh_gradient, at, stride, value * light[0])
    store_column(sh_gradient, at + 1, stride, value * light[1])
    store_column(sh_gradient, at + 2, stride, value * light[2])
    red = light[0] * load_column(sh, at, stride)
    green = light[1] * load_column(sh, at + 1, stride)
    return red + green + light[2] * load_column(sh, at + 2, stride)
