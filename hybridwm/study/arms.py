"""The arms: one set of weights with one switch for the memory and one for the depth source."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from recon.scene import GaussianScene
from render.camera import Camera
from render.rasterize import RenderOutput, rasterize

from ..core.guidance import HistoryGuidance
from ..memory.wrong import wrong_splats
from ..world_model import Rollout, WorldModel, WorldState, imagine, load
from ..worlds.rooms.rig import RoomsRig
from .episodes import Episode

NO_MEMORY, VIDEO, STEREO, TRUTH = "no memory", "video only", "grounded, stereo", "grounded, true depth"

# arm → (memory, depth source), as hybridwm.load takes them
ARMS: dict[str, tuple[str, str | None]] = {
    NO_MEMORY: ("none", None),
    VIDEO: ("recent", None),
    STEREO: ("splat", "stereo"),
    TRUTH: ("splat", "truth"),
}


@dataclass(frozen=True)
class Use:
    """How weights are sampled, the same for every arm. guidance: weight of vanilla history guidance, 1 for none.
    context_noise: the flow time at which past frames are shown, None for the weights' own."""

    solver_steps: int = 1
    guidance: float = 1.0
    context_noise: float | None = None

    def __post_init__(self) -> None:
        if self.solver_steps < 1:
            raise ValueError(f"solver_steps: expected at least 1; got {self.solver_steps}.")
        if not 0 < self.guidance <= 10:
            raise ValueError(f"guidance: expected a weight above 0, at most 10; got {self.guidance}.")
        if self.context_noise is not None and not 0 <= self.context_noise < 1:
            raise ValueError(f"context_noise: expected a flow time in [0, 1); got {self.context_noise}.")


@functools.lru_cache(maxsize=8)
def world(weights: str, arm: str, use: Use | None = None) -> WorldModel:
    """The world model of an arm; loaded once in each process."""
    memory, depth = ARMS[arm]
    use = use or Use()
    return load(
        weights,
        memory=memory,
        depth=depth,
        solver_steps=use.solver_steps,
        guidance=None if use.guidance == 1 else HistoryGuidance.vanilla(use.guidance),
        context_noise=use.context_noise,
    )


def rig(weights: str) -> RoomsRig:
    """The walker's eyes, at the size that the weights imagine."""
    height, width = world(weights, VIDEO).core.config.image_size
    return RoomsRig(width, height=height)


def begin(model: WorldModel, episode: Episode) -> WorldState:
    """The state after the observed beginning, which is the same for every arm; noise follows the episode's
    seed."""
    oracle = episode.oracle if model.depth == "truth" else None
    return model.start(list(episode.views), list(episode.start_actions), seed=episode.seed, oracle=oracle)


def roll(model: WorldModel, episode: Episode, state: WorldState | None = None) -> Rollout:
    """The imagined rest of the episode along its commanded cameras."""
    state = begin(model, episode) if state is None else state
    return imagine(model, state, episode.actions, cameras=list(episode.cameras))


@torch.no_grad()
def render(state: WorldState, cameras: Sequence[Camera]) -> list[RenderOutput]:
    """The state's scene from each camera, with no generator."""
    if state.scene is None:
        raise ValueError("expected a state with a scene; got one without; do render a grounded arm")
    return [rasterize(state.scene.gaussians, camera) for camera in cameras]


def with_memory_of(state: WorldState, other: WorldState) -> WorldState:
    """The same present with the memory of another episode."""
    return replace(state, memory=other.memory, scene=other.scene)


def with_wrong_splats(state: WorldState, share: float, seed: int) -> WorldState:
    """The same present, a share of whose splats was moved to random places of the scene, in random
    colours."""
    if not isinstance(state.memory, GaussianScene):
        raise ValueError("expected a state whose memory is a scene; got none; do use a grounded arm")
    corrupted = wrong_splats(state.memory, share, torch.Generator().manual_seed(seed))
    return replace(state, memory=corrupted, scene=corrupted)
