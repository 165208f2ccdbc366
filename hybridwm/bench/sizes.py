"""Sizes of a rendering, as typed: `100k@256` or `1M@640x480`. Imports nothing heavy: options are checked by it."""

from __future__ import annotations

import re
from dataclasses import dataclass

FACTORS = {"": 1, "k": 1_000, "M": 1_000_000}
MAX_COUNT, MAX_SIDE = 100_000_000, 8192


@dataclass(frozen=True)
class Size:
    """So many splats in an image of width by height pixels."""

    count: int
    width: int
    height: int

    @staticmethod
    def parse(text: str) -> Size:
        """The size that `text` names. Raises ValueError for anything else, or beyond 100M splats or 8192 pixels."""
        found = re.fullmatch(r"([0-9]{1,12})([kM]?)@([0-9]{1,5})(?:x([0-9]{1,5}))?", text.strip())
        if not found:
            raise ValueError(f"expected splats@pixels, as in 100k@256 or 1M@640x480; got '{text}'.")
        width = int(found[3])
        size = Size(int(found[1]) * FACTORS[found[2]], width, int(found[4] or width))
        if not (1 <= size.count <= MAX_COUNT and 1 <= size.width <= MAX_SIDE and 1 <= size.height <= MAX_SIDE):
            raise ValueError(f"expected 1 to 100M splats and 1 to {MAX_SIDE} pixels a side; got '{text}'.")
        return size

    def __str__(self) -> str:
        factor = next(f for f in ("M", "k", "") if self.count % FACTORS[f] == 0)
        pixels = f"{self.width}" if self.width == self.height else f"{self.width}x{self.height}"
        return f"{self.count // FACTORS[factor]}{factor}@{pixels}"

    @property
    def work(self) -> float:
        """Grows about as the time does: in proportion to the splats, slower with the pixels."""
        return self.count * (self.width * self.height) ** 0.5
