"""Images in files, and depth made visible."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from .files import atomic_write
from .formats.errors import FormatError

MAX_PIXELS = 50_000_000


def read_image(path: str | os.PathLike[str]) -> Float[Tensor, "H W 3"]:
    """An image file as rgb in 0..1; grey is repeated, transparency dropped, 16 bits kept.

    Raises FileNotFoundError when there is none, FormatError for no sound image of at most 50 megapixels.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such image file; check the path.")
    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                size = f"{image.width} x {image.height}"
                raise FormatError(path, f"at most {MAX_PIXELS} pixels", size, "scale it down")
            deep = image.mode.startswith("I")
            pixels = np.asarray(image if deep else image.convert("RGB"), dtype=np.float32)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(
            path, "an image", str(error)[:80] or "none", "is it complete? save it again"
        ) from None
    if deep:
        pixels = np.repeat(pixels[..., None], 3, axis=-1) / 257  # 65535 / 255
    return torch.from_numpy(pixels / 255)


def write_png(path: str | os.PathLike[str], image: Tensor | np.ndarray) -> None:
    """Writes uint8, or floats in 0..1 (clamped), [H, W, 3] or [H, W]. Raises ValueError for other shapes."""
    pixels = to_uint8(image)
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[-1] != 3):
        raise ValueError(f"{path}: an image must be [H, W, 3] or [H, W]; got {list(pixels.shape)}.")
    with atomic_write(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")


def to_uint8(image: Tensor | np.ndarray) -> UInt8[np.ndarray, "..."]:
    """uint8 values as they are; floats in 0..1 rounded to 0..255, clamped, NaN as 0."""
    values = image.detach().cpu().numpy() if isinstance(image, Tensor) else np.asarray(image)
    if values.dtype == np.uint8:
        return values
    return np.rint(np.nan_to_num(values.astype(np.float32)).clip(0, 1) * 255).astype(np.uint8)


def colour_depth(
    depth: Float[Tensor, "*B H W"], near: float | None = None, far: float | None = None
) -> Float[Tensor, "*B H W 3"]:
    """Depth (metres) in the turbo colours, red near and blue far, even in 1 / depth; black where unknown.

    near, far: the range shown; by default that of the measured depths.
    """
    z = depth.detach().cpu().numpy().astype(np.float32)
    known = np.isfinite(z) & (z > 0)
    if not known.any():
        return torch.zeros(*z.shape, 3)
    low = 1 / (z[known].max() if far is None else far)
    high = 1 / (z[known].min() if near is None else near)
    closeness = (1 / np.where(known, z, 1) - low) / max(high - low, 1e-12)
    return torch.from_numpy(turbo(closeness.clip(0, 1)) * known[..., None])


# Polynomials in t for red, green, blue. Source: Mikhailov and Du, "Turbo", Google 2019.
_TURBO = np.array(
    [
        [0.13572138, 4.61539260, -42.66032258, 132.13108234, -152.94239396, 59.28637943],
        [0.09140261, 2.19418839, 4.84296658, -14.18503333, 4.27729857, 2.82956604],
        [0.10667330, 12.64194608, -60.58204836, 110.36276771, -89.90310912, 27.34824973],
    ],
    dtype=np.float32,
)


def turbo(t: Float[np.ndarray, "..."]) -> Float[np.ndarray, "... 3"]:
    """The turbo colour map on 0..1: blue, green, yellow, red."""
    powers = np.asarray(t, np.float32)[..., None] ** np.arange(6, dtype=np.float32)
    return (powers @ _TURBO.T).clip(0, 1)
