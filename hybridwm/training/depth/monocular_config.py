"""What a training run of the monocular network is. Torch-free, so that commands can read it without loading torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from recon.networks.monocular_config import MonocularConfig


@dataclass(frozen=True)
class SightsConfig:
    """Single images of procedural rooms with true depth, made once and kept in the run folder. Every image has its own
    place, heading, height, pitch, roll, field of view and principal point."""

    first_seed: int = 0
    """Rooms have seeds first_seed ... first_seed + rooms - 1. Held-out seeds start at 10,000,000."""
    rooms: int = 5940
    validation: int = 60
    """Rooms after the training ones."""
    images: int = 4
    """In each room."""
    least_fov: float = 50.0
    largest_fov: float = 100.0
    """Horizontal field of view, degrees: uniform between both."""
    pitch: float = 12.0
    """Standard deviation, degrees."""
    roll: float = 2.0
    """Standard deviation, degrees."""
    eye_height: float = 1.2
    """Metres: of every other image; the others are up to height_spread above or below."""
    height_spread: float = 0.4
    principal: float = 5.0
    """Standard deviation of the principal point about the middle of the image, pixels."""
    batch: int = 40
    """Rooms of a shard."""

    def __post_init__(self) -> None:
        if not 10 <= self.least_fov <= self.largest_fov <= 150:
            raise ValueError(
                "SightsConfig: expected 10 <= least_fov <= largest_fov <= 150 degrees; got "
                f"{self.least_fov} and {self.largest_fov}."
            )


@dataclass(frozen=True)
class MonocularTraining:
    """A training run; `hybridwm train-depth` fills it from YAML."""

    network: Literal["monocular"] = "monocular"
    name: str = "monocular-rooms"
    initial: str = ""
    """Weights to begin with: a packaged name, a folder or a file; empty: random ones. The core must be equal."""
    core: MonocularConfig = field(default_factory=MonocularConfig)
    sights: SightsConfig = field(default_factory=SightsConfig)
    seed: int = 0
    """The order of images, their photometric changes and the initial weights are functions of (seed, step)."""
    steps: int = 18000
    """Optimiser steps."""
    batch: int = 8
    """Images a step."""
    plain: float = 0.4
    """Share of images without photometric changes."""
    edges: float = 0.5
    """Weight of the differences between neighbouring pixels."""
    rate: float = 2.5e-3
    """Peak learning rate: linear warm-up, then cosine to a hundredth."""
    warm_up: int = 100
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    """Gradients are scaled down to this norm."""
    ema: float = 0.99
    """Decay of the averaged weights that are published."""
    checkpoint_every: int = 250
    validate_every: int = 500
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    """Of the network's arithmetic, not of its weights: bfloat16 is faster where the processor can do it."""
    device: str = "cpu"
    """cpu, cuda, or auto."""
    threads: int = 1
    """CPU threads of torch; 0 leaves torch's own choice."""
