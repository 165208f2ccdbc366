"""Sizes of the latent action model. Torch-free, so that commands can read it without loading torch."""

from __future__ import annotations

from dataclasses import dataclass

SIDE = 32
"""Pixels of a side at which pairs are looked at; frames of any size and shape are scaled to it by area."""


@dataclass(frozen=True)
class LatentConfig:
    """Of the inverse and the forward model."""

    dim: int = 6
    """Numbers in a code."""
    noise: bool = True
    """Gaussian bottleneck (a code is a bell, not a point). Off: codes are points, which leaks the scene."""
    channels: int = 24
    """Of the forward model's layer of half the size."""
    hidden: int = 96
    """Of the inverse model's head."""
    squarings: int = 3
    """The motion of a code is its velocity field followed for 2^squarings small steps."""

    def __post_init__(self) -> None:
        if self.dim < 1 or self.channels < 4 or self.hidden < 4 or not 0 <= self.squarings <= 6:
            raise ValueError(
                f"LatentConfig: expected dim of at least 1, channels and hidden of at least 4, squarings in 0…6; got "
                f"{self}."
            )
