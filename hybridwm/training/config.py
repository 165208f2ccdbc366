"""What a training run is. Torch-free, so that commands can read it without loading torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..core.config import CoreConfig


@dataclass(frozen=True)
class EpisodesConfig:
    """Walks through procedural rooms, made once on the training device and kept in the run folder; or recorded ones."""

    source: str = ""
    """Folder of recorded episodes (hybridwm collect, hybridwm convert): of them at most `episodes` are read, cut into
    walks of `steps` frames; `validation` walks are of the last of them. Empty: rooms."""
    body: str = "walker"
    """What the recorded actions move: walker, drive, planar, twist, hand, joints, still, unknown (actions/body.py) or
    module:Class."""
    first_seed: int = 0
    """Rooms have seeds first_seed … first_seed + episodes - 1. Held-out seeds start at 10,000,000."""
    episodes: int = 1000
    """Number of rooms, one walk in each."""
    aligned: bool = True
    """Refuse recorded episodes whose motion is explained best by other actions than those that stand beside it; off
    for bodies that are known to answer late."""
    steps: int = 60
    """Frames of each walk."""
    validation: int = 24
    """Episodes after the training ones, kept for choosing checkpoints and settings."""
    batch: int = 20
    """Rooms ray-cast at once."""
    fov_x: float = 77.0
    """Horizontal field of view of each eye, degrees."""
    baseline: float = 0.30
    """Distance between the eyes, metres."""


@dataclass(frozen=True)
class RecallConfig:
    """How the recalled renders of training are made wrong, so that at use a render is a hint and not a command."""

    drop: float = 0.3
    """Share of clips without any recalled render (the video-only arms)."""
    rendered: float = 0.0
    """Share of clips whose renders are those of use, by stereo and the splat memory, instead of their stand-in: one
    clip of each walk is rendered before training, in about half a second. For binocular cores."""
    sources: int = 6
    """At most this many frames of the past, beside the clip's own, whose pixels are splatted."""
    disparity_noise: float = 0.2
    """Standard deviation of the disparity error in pixels, as stereo matching makes it."""
    outliers: float = 0.04
    """Share of source pixels with a random depth: floaters."""
    wrong: float = 0.1
    """Most that may be wrong in a clip: a share up to this of the source pixels is put at a random depth, in the
    colour of another pixel."""
    holes: float = 0.08
    """Share of source pixels without depth, in blocks."""
    imagined: float = 0.6
    """Share of clips whose own frames count as imagined: blurred and off-colour."""


@dataclass(frozen=True)
class TrainConfig:
    """A training run; `hybridwm train` fills it from YAML."""

    name: str = "rooms-64"
    initial: str = ""
    """Weights to begin with: a packaged name, a folder or a file; empty: random ones. The core must be equal. A
    configuration, FILE.yaml, is trained first, into begin/ of the run folder."""
    core: CoreConfig = field(default_factory=CoreConfig)
    codec: str = ""
    """Folder of an autoencoder of diffusers whose latents are the core's frames (see CoreConfig.eye_channels, factor);
    empty: pixels."""
    data: str = ""
    """Folder of the walks, for runs that share them; empty: data/ in the run folder. Made where it lacks any."""
    episodes: EpisodesConfig = field(default_factory=EpisodesConfig)
    recall: RecallConfig = field(default_factory=RecallConfig)
    seed: int = 0
    """The order of clips, their noise and the initial weights are functions of (seed, step)."""
    steps: int = 2400
    """Optimiser steps."""
    batch: int = 8
    """Clips a step, over all processes."""
    micro_batch: int = 0
    """Clips of a unit, the part of a batch that one process computes at once; 0: the whole batch. What a unit holds is
    a function of (seed, step, unit), so any number of processes that divides batch / micro_batch trains the same."""
    clip: int = 8
    """Frames of a clip."""
    rate: float = 1e-3
    """Peak learning rate: linear warm-up, then cosine to a hundredth."""
    warm_up: int = 100
    """Steps of warm-up."""
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    """Gradients are scaled down to this norm."""
    ema: float = 0.998
    """Decay of the averaged weights that are published."""
    context_drop: float = 0.15
    """Share of clips in which frames see only the last frame, or none at all."""
    shortcut: float = 0.25
    """Share of clips that learn large solver steps from the network's own smaller ones; 0 leaves shortcuts out."""
    remembered: float = 0.25
    """Share of batches that are shown remembered frames beside the recent ones."""
    own_rollouts: float = 0.1
    """Share of batches whose context is what the network itself imagined (against drift)."""
    own_steps: int = 3
    """At most this many steps of its own does such a context go on for."""
    parallax: float = 0.5
    """Weight of the carried frame's own error in the loss."""
    vectors: float = 0.1
    """Weight in the loss of what comes with frames (CoreConfig.vectors: odometry of 4 numbers, clearance of 1)."""
    context: Literal["noisy", "clean", "dropped", "shared"] = "noisy"
    """How noisy past frames are shown: each at its own level; or, for controls, clean (teacher forcing), clean or pure
    noise (binary dropout), or at the level of the frame to be denoised, one for the whole clip."""
    shuffle_actions: bool = False
    """Give every frame the action and rays of a frame of another clip: the control that must not follow actions."""
    checkpoint_every: int = 100
    validate_every: int = 400
    device: str = "auto"
    """cpu, cuda, or auto."""
    threads: int = 0
    """CPU threads of torch; 0 leaves torch's own choice."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Of the network's arithmetic, not of its weights; auto: bf16 on CUDA, fp32 elsewhere."""
    compile: bool = False
    """Compile the network (CUDA only)."""
    shard_above: int = 1_000_000_000
    """With more parameters than this, several processes share the weights out (FSDP) instead of copying them (DDP)."""

    def __post_init__(self) -> None:
        if self.clip < 2:
            raise ValueError(f"TrainConfig.clip: expected at least 2 frames; got {self.clip}.")
        if self.micro_batch < 0 or self.batch % (self.micro_batch or self.batch):
            raise ValueError(
                f"TrainConfig.micro_batch: expected a divisor of batch {self.batch}, or 0; got {self.micro_batch}."
            )
        if self.recall.rendered and self.core.eyes != 2:
            raise ValueError(
                "TrainConfig.recall.rendered: expected 0 for a core of one eye, as scenes are built by stereo; got "
                f"{self.recall.rendered}."
            )
        if self.shuffle_actions and self.micro_batch == 1:
            raise ValueError(
                "TrainConfig.micro_batch: expected at least 2 with shuffle_actions, which swaps them between the clips "
                "of a unit; got 1."
            )
        if self.episodes.steps < self.clip + 2:
            raise ValueError(
                f"TrainConfig.episodes.steps: expected at least clip + 2 = {self.clip + 2}; got {self.episodes.steps}."
            )

    @property
    def units(self) -> int:
        """Parts of a batch."""
        return self.batch // (self.micro_batch or self.batch)
