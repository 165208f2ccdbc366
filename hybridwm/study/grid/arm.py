"""An arm's world model: the study's weights, loaded once in each process, with this arm's memory and depth source."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from recon.depth_sources import reads_truth
from render.camera import Camera

from ...core.guidance import HistoryGuidance
from ...memory import make_memory
from ...world_model import WorldModel, WorldState, load
from ..arms import Use
from ..episodes import Episode
from .config import ArmConfig, StudyConfig

Oracle = Callable[[Camera], Tensor]


def weights_of(study: StudyConfig, arm: ArmConfig) -> tuple[str, ...]:
    """The weights of an arm, one for each of its training seeds; the study's where it has none of its own."""
    return tuple(name.strip() for name in (arm.weights or study.weights).split(","))


def use_of(study: StudyConfig) -> Use:
    """How the study samples, the same in every arm."""
    return Use(study.solver_steps, study.guidance, study.context_noise)


@functools.lru_cache(maxsize=8)
def _loaded(weights: str, use: Use) -> WorldModel:
    return load(
        weights,
        memory="recent",
        solver_steps=use.solver_steps,
        guidance=None if use.guidance == 1 else HistoryGuidance.vanilla(use.guidance),
        context_noise=use.context_noise,
    )


@functools.lru_cache(maxsize=64)
def model_of(weights: str, memory: str, depth: str | None, use: Use) -> WorldModel:
    """The weights with a memory and a depth source; arms of the same weights share their network.

    Raises ValueError for a memory without the depth that it needs, or with one that it does not use.
    """
    video = _loaded(weights, use)
    cfg = video.core.config
    return WorldModel(
        video.core,
        make_memory(memory, eyes=cfg.eyes, window=cfg.window, patch=cfg.patch * cfg.factor),
        depth=depth,
        body=video.body,
        scale=video.scale,
        solver_steps=video.solver_steps,
        guidance=video.guidance,
        context_noise=video.context_noise,
    )


def image_size(study: StudyConfig) -> tuple[int, int]:
    """Height and width that the study's weights imagine; arms' own weights must imagine the same."""
    return _loaded(study.weights, use_of(study)).core.config.image_size


def repeats_of(study: StudyConfig, arm: ArmConfig, scene: int) -> list[int]:
    """The dreams of one scene in one arm: noise seeds, for each of its training seeds."""
    every = study.seed_scenes == 0 or scene < study.seed_scenes
    seeds = study.noise_seeds if every else 1
    return [k * study.noise_seeds + j for k in range(len(weights_of(study, arm))) for j in range(seeds)]


def check_arms(study: StudyConfig) -> None:
    """Makes every arm's world model once, so that a bad name is said before anything is measured.

    Raises ValueError that names the arm.
    """
    if not study.arms or not study.trajectories:
        raise ValueError("study: expected at least one arm and one trajectory; got none. Name them in the YAML file.")
    for name, arm in study.arms.items():
        for weights in weights_of(study, arm):
            try:
                model = model_of(weights, arm.memory, arm.depth, use_of(study))
                if model.core.config.image_size != image_size(study):
                    raise ValueError(f"expected frames of {image_size(study)}; got {model.core.config.image_size}")
            except (ValueError, TypeError) as error:
                raise ValueError(f"study arm {name!r}: {error}") from None


def begin(model: WorldModel, episode: Episode, seed: int, shuffled: Oracle) -> WorldState:
    """The state after the observed beginning, with this noise seed.

    shuffled: the true depth of another scene, which the placebo `shuffled` takes for this one's.
    """
    oracle = None
    if model.depth is not None and reads_truth(model.depth):
        oracle = shuffled if model.depth == "shuffled" else episode.oracle
    return model.start(list(episode.views), list(episode.start_actions), seed=seed, oracle=oracle)


def noise_seed(scene: int, repeat: int, arm: ArmConfig) -> int:
    """Equal across arms, so that they are paired; another for each repeat."""
    return scene + 1_000_003 * repeat + 7_919 * arm.noise_seed


def add_noise(frames: Tensor, truth: Tensor, decibels: float, seed: int) -> Tensor:
    """Frames whose mean squared error to the truth [T, H, W, 3] is `decibels` worse in expectation.

    The noise is independent of the error, so it adds its own mean square: e · (10^(dB / 10) − 1) for each frame.
    """
    error = ((frames - truth) ** 2).mean(dim=(1, 2, 3), keepdim=True)
    generator = torch.Generator().manual_seed(seed)
    sigma = (error * (10 ** (decibels / 10) - 1)).sqrt()
    return frames + sigma * torch.randn(frames.shape, generator=generator)
