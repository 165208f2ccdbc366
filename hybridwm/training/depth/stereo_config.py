"""What a training run of the stereo network is. Torch-free, so that commands can read it without loading torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from recon.networks.stereo_config import StereoNetworkConfig


@dataclass(frozen=True)
class StereoPairsConfig:
    """Rectified pairs with known disparity, made when a run begins."""

    first_seed: int = 0
    """Worlds have seeds first_seed + i. Held-out seeds start at 10,000,000."""
    layered: int = 600
    """Worlds of slanted textured layers."""
    rooms: int = 240
    """Procedural rooms, one pair in each."""
    validation_seed: int = 9_000_000
    validation: int = 12
    """Pairs of each kind that are kept for validation."""
    search: int = 64
    """Disparities 0..search - 1 occur, in pixels."""
    height: int = 96
    width: int = 288
    """Of the layered worlds' images, pixels."""


@dataclass(frozen=True)
class StereoTraining:
    """A training run; `hybridwm train-depth` fills it from YAML."""

    network: Literal["stereo"] = "stereo"
    name: str = "stereo-rooms"
    core: StereoNetworkConfig = field(default_factory=StereoNetworkConfig)
    pairs: StereoPairsConfig = field(default_factory=StereoPairsConfig)
    seed: int = 0
    """The order of pairs, their noise and the initial weights are functions of (seed, step)."""
    steps: int = 2000
    """Optimiser steps."""
    batch: int = 4
    """Crops a step."""
    rooms_share: float = 0.35
    """Share of the steps that are taken in rooms; the others are taken in layered worlds."""
    crop_height: int = 48
    crop_width: int = 224
    """Pixels of a crop."""
    rate: float = 2e-3
    """Peak learning rate: linear warm-up, then cosine to a hundredth."""
    warm_up: int = 50
    weight_decay: float = 0.001
    clip_norm: float = 1.0
    """Gradients are scaled down to this norm."""
    ema: float = 0.99
    """Decay of the averaged weights that are published."""
    checkpoint_every: int = 100
    validate_every: int = 250
    device: str = "cpu"
    """cpu, cuda, or auto."""
    threads: int = 1
    """CPU threads of torch; 0 leaves torch's own choice."""
