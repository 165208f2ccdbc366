"""The size of the stereo network. Torch-free, so that commands can read it without loading torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StereoNetworkConfig:
    """Patch descriptors: `layers` convolutions of 3x3 pixels see 2 * layers + 1 pixels across."""

    channels: int = 32
    """Of every layer, and of the descriptor."""
    layers: int = 5

    def __post_init__(self) -> None:
        if self.channels < 1 or self.layers < 1:
            raise ValueError(
                f"StereoNetworkConfig: expected channels and layers >= 1; got {self.channels} and {self.layers}."
            )
