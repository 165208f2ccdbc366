"""What a training run of the latent action model is. Torch-free, so that commands can read it without loading torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...actions.latent.config import LatentConfig


@dataclass(frozen=True)
class PairsConfig:
    """Pairs of successive frames, without labels."""

    source: str = ""
    """Folder of recorded episodes (hybridwm collect, hybridwm convert). Empty: moves of any size in rooms."""
    first_seed: int = 0
    """Rooms have seeds first_seed … first_seed + rooms - 1. Held-out seeds start at 10,000,000."""
    rooms: int = 240
    """Rooms, or the most episodes that are read."""
    validation_seed: int = 9_000_000
    validation: int = 20
    """Rooms kept for validation; of recorded episodes, so many of the last."""
    labelled: int = 99
    """Labelled pairs from which the maps of keys and bodies are fitted, at most 100; in rooms of their own."""


@dataclass(frozen=True)
class LatentTraining:
    """A training run; `hybridwm train-latent-actions` fills it from YAML."""

    name: str = "latent-actions"
    core: LatentConfig = field(default_factory=LatentConfig)
    pairs: PairsConfig = field(default_factory=PairsConfig)
    seed: int = 0
    """The order of pairs, their noise and the initial weights are functions of (seed, step)."""
    steps: int = 1400
    """Optimiser steps."""
    batch: int = 32
    """Pairs a step."""
    bottleneck: float = 1e-3
    """Weight of the nats that a code tells, beside the mean absolute error of a pixel (0…1)."""
    there_and_back: float = 0.0
    """Weight of: the opposite code takes the second frame back to the first. For worlds that can go back; it makes a
    step half as long again."""
    matching: float = 0.5
    """Weight of: what moves goes where its parts are found by matching (in half images)."""
    rate: float = 3e-3
    """Peak learning rate: linear warm-up, then cosine to a hundredth."""
    warm_up: int = 30
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    """Gradients are scaled down to this norm."""
    ema: float = 0.99
    """Decay of the averaged weights that are published."""
    words_steps: int = 1000
    """Optimiser steps of the words, of 256 phrases each; 0: without words."""
    sentences: str = ""
    """Folder of a local sentence-embedding model for the words; empty: the embedding that the package trains."""
    checkpoint_every: int = 200
    validate_every: int = 200
    device: str = "cpu"
    """cpu, cuda, or auto."""
    threads: int = 1
    """CPU threads of torch; 0 leaves torch's own choice."""

    def __post_init__(self) -> None:
        if not 10 <= self.pairs.labelled <= 100:
            raise ValueError(f"LatentTraining.pairs.labelled: expected 10…100; got {self.pairs.labelled}.")
        if self.bottleneck < 0 or self.there_and_back < 0:
            raise ValueError("LatentTraining: expected bottleneck and there_and_back of at least 0.")
