"""What a study runs. Torch-free, so that a command can show its options without loading torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

FIRST_HELD_OUT_SEED = 10_000_000  # training uses seeds below 1,000,000

World = Literal["rooms", "doom", "arm"]
Plant = Literal["", "noise", "frozen", "copy-paste"]
Route = Literal[
    "out_and_back",
    "shifted_return",
    "leave_wait_return",
    "full_turn",
    "square_loop",
    "orbit",
    "stare",
    "random_walk",
    "mirrored",
    "reach",
]


@dataclass(frozen=True)
class ArmConfig:
    """One way to use the weights. The same views, actions, cameras and noise go into each."""

    memory: str = "recent"
    """A name of hybridwm.memory.MEMORIES, or module:Class of your own."""
    depth: str | None = None
    """A name of recon.depth_source, or module:function of your own; none for a memory that uses none."""
    weights: str = ""
    """Weights of this arm alone; by default the study's. Several, separated by commas, are training seeds."""
    noise_seed: int = 0
    """Added to every noise seed: another dream of the same beginning."""
    plant: Plant = ""
    """For checking the study itself: frames get 1 dB of noise, stand still, or are replayed from the beginning."""


@dataclass(frozen=True)
class TrajectoryConfig:
    """A route and how many steps of it are imagined."""

    route: Route
    steps: int = 28

    def __post_init__(self) -> None:
        if not 4 <= self.steps <= 2048:
            raise ValueError(f"TrajectoryConfig.steps: expected 4 to 2048 imagined steps; got {self.steps}.")


@dataclass(frozen=True)
class StudyConfig:
    """The same walks in every arm: memory by depth source, with placebos, guards and intervals."""

    arms: dict[str, ArmConfig] = field(default_factory=dict)
    """Arms by name."""
    trajectories: dict[str, TrajectoryConfig] = field(default_factory=dict)
    """Trajectories by name."""
    weights: str = "rooms-64"
    """Packaged weights by name, or a folder."""
    world: World = "rooms"
    """Where the walks are: rooms, or doom or arm (their extras) with routes out_and_back, stare and random_walk."""
    out: Path = Path("runs/study")
    """The run folder: report.html, results.parquet, timings.parquet, summary.json, rollouts/*.mp4."""
    scenes: int = 16
    """Held-out scenes, each of another seed."""
    noise_seeds: int = 1
    """Dreams of each beginning, which differ in noise alone."""
    seed_scenes: int = 0
    """Scenes that are dreamt with all noise seeds, the others with the first; 0: all."""
    first_seed: int = FIRST_HELD_OUT_SEED
    """The scenes' first seed."""
    solver_steps: int = 1
    """Denoising steps for each frame."""
    guidance: float = 1.0
    """Weight of history guidance; 1 is none."""
    context_noise: float | None = None
    """Flow time at which past frames are shown, in place of the weights' own."""
    workers: int = 2
    """Processes, one thread each."""
    shard: str = "0/1"
    """i/N: only that part of the scenes, into OUT/shard-i-of-N; the command without it takes all shards together."""
    videos: int = 1
    """Scenes whose rollouts are kept as mp4 and shown in the report."""
    yes: bool = False
    """Start at once, without asking."""
    fresh: bool = False
    """Measure everything again, instead of keeping the finished cells of an earlier run with the same options."""

    def __post_init__(self) -> None:
        least = {"scenes": 1, "noise_seeds": 1, "seed_scenes": 0, "solver_steps": 1, "workers": 1, "videos": 0}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ValueError(f"StudyConfig.{name}: expected at least {bound}; got {getattr(self, name)}.")
        if self.first_seed < FIRST_HELD_OUT_SEED:
            raise ValueError(
                f"StudyConfig.first_seed: expected a held-out seed, {FIRST_HELD_OUT_SEED} or above; "
                f"got {self.first_seed}. Lower ones may have been trained on."
            )
        read_shard(self.shard)


def read_shard(text: str) -> tuple[int, int]:
    """ "1/4" → (1, 4). Raises ValueError for anything else, or a part that is not one of them."""
    first, slash, second = text.partition("/")
    if not (slash and first.isdecimal() and second.isdecimal() and int(first) < int(second) <= 10_000):
        raise ValueError(f"StudyConfig.shard: expected i/N with 0 <= i < N, such as 0/4; got {text!r}.")
    return int(first), int(second)
