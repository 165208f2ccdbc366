"""Sizes of the monocular network. Torch-free, so that commands can read it without loading torch."""

from __future__ import annotations

from dataclasses import dataclass

STEP = 8  # sides of the images that it works on are multiples of this many pixels
NORM_GROUPS = 8


@dataclass(frozen=True)
class MonocularConfig:
    """Sizes of a MonocularUNet."""

    side: int = 64
    """Images are worked on with about side * side pixels, both sides multiples of 8."""
    width: int = 32
    """Channels at half the resolution; twice as many at each half of that. A multiple of 8."""
    blocks: int = 2
    """Residual blocks at an eighth of the resolution."""

    def __post_init__(self) -> None:
        if self.side < 2 * STEP or self.side % STEP:
            raise ValueError(
                f"MonocularConfig.side: expected a multiple of {STEP}, {2 * STEP} or more; got {self.side}."
            )
        if self.width < NORM_GROUPS or self.width % NORM_GROUPS or self.blocks < 1:
            raise ValueError(
                f"MonocularConfig: expected a width that is a multiple of {NORM_GROUPS} and at least 1 block; got "
                f"{self.width} and {self.blocks}."
            )
