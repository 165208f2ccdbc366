"""Images inside a table: PNG for colours, 32-bit float TIFF for depth in metres; and the bytes of others' images."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image, UnidentifiedImageError

from render.formats.errors import FormatError
from render.images import MAX_PIXELS

_DAMAGED = (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError)
PNG_LEVEL = 1  # deeper saves 3 % and takes half as long again


def encode_png(image: UInt8[np.ndarray, "H W 3"]) -> bytes:
    held = io.BytesIO()
    Image.fromarray(image).save(held, format="PNG", compress_level=PNG_LEVEL)
    return held.getvalue()


def encode_depth(depth: Float32[np.ndarray, "H W"]) -> bytes:
    """Uncompressed: the table's column is compressed instead, which is faster and smaller."""
    held = io.BytesIO()
    Image.fromarray(depth).save(held, format="TIFF")
    return held.getvalue()


def decode_rgb(content: bytes, size: tuple[int, int], path: Path, where: str) -> UInt8[np.ndarray, "H W 3"]:
    """An encoded image as uint8 rgb; `size` (height, width) is what it must have. Raises FormatError."""
    return _decoded(content, size, path, where, "RGB")


def decode_depth(content: bytes, size: tuple[int, int], path: Path, where: str) -> Float32[np.ndarray, "H W"]:
    """A grey image of 32-bit floats or of 16 bits, its values as they are. Raises FormatError."""
    return _decoded(content, size, path, where, None).astype(np.float32)


def _decoded(content: bytes, size: tuple[int, int], path: Path, where: str, mode: str | None) -> np.ndarray:
    height, width = size
    again = "the file is damaged: copy it again"
    try:
        with Image.open(io.BytesIO(content)) as image:
            if (image.height, image.width) != size or height * width > MAX_PIXELS:
                got = f"{image.width} x {image.height}"
                raise FormatError(path, f"{where} of {width} x {height} pixels", got, again)
            if mode is None and image.mode != "F" and not image.mode.startswith("I"):
                raise FormatError(path, f"{where} as a grey image of 16 or 32 bits", f"mode {image.mode}", again)
            return np.asarray(image if mode is None else image.convert(mode))
    except _DAMAGED as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(path, f"{where} as an image", str(error)[:80] or "none", again) from None
