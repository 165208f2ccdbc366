"""Where an action of a recorded episode enters training: the first frame whose prediction an edit of it changes."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from ..configuration import from_mapping
from ..core.network import VideoNetwork
from ..study.measure_worlds import WorldSetup
from ..training.clips import make_batch, pick, step_generator
from ..training.config import TrainConfig
from ..training.recorded import Recorded, load_recorded
from ..weights.store import load_weights
from ..worlds.collection import play
from ..worlds.episodes import Episode, save_episode

EDITED = 3  # the action that is edited: it leads from frame 3 to frame 4
SEEDS = 9_000_000  # of the two short episodes; their contents do not matter


def touched_frame(setup: WorldSetup) -> int:
    """By how many frames the first that changes comes after the one that the edited action stands beside: 1 is right.

    Both versions go through the reader, the clips and the network of training, with the same noise; all frames before
    are equal bit for bit.
    """
    return _first_change(setup, late=0)


def off_by_one_frame(setup: WorldSetup) -> int:
    """The control: the same, by a loader whose actions stand one frame late."""
    return _first_change(setup, late=1)


@torch.no_grad()
def _first_change(setup: WorldSetup, late: int) -> int:
    weights = load_weights(setup.weights)
    network = VideoNetwork(weights.core)
    weights.fill(network)
    config = from_mapping(weights.training, TrainConfig, where="weights' training")
    frames = config.clip + 2
    rules = replace(config.recall, drop=1.0, rendered=0.0)
    short = replace(config.episodes, steps=frames, validation=0, episodes=2)
    config = replace(config, core=weights.core, episodes=short, recall=rules)
    config = replace(config, context_drop=0.0, shortcut=0.0, batch=2)
    episodes = list(play(setup.world, [SEEDS, SEEDS + 1], frames, weights.core.width))
    one, other = (_predicted(network.eval(), config, each, late) for each in (episodes, [_edited(e) for e in episodes]))
    _, shown = pick(len(episodes), config, _draws())  # as make_batch does first
    changed = [int(shown[b, i]) for b, i in (one != other).flatten(2).any(2).nonzero().tolist()]
    if not changed:
        raise ValueError("expected an edited action to change some frame of training; it changed none")
    return min(changed) - EDITED


def _edited(episode: Episode) -> Episode:
    """One action exchanged for its opposite (its grip kept), the next ones as they were."""
    actions = episode.actions.clone()
    actions[EDITED, :4] = torch.where(actions[EDITED, :4].abs() > 1e-3, -actions[EDITED, :4], 0.03)
    return replace(episode, actions=actions)


def _predicted(
    network: VideoNetwork, config: TrainConfig, episodes: list[Episode], late: int
) -> Float[Tensor, "B F C H W"]:
    recorded = _read(config, episodes)
    walks = replace(recorded.walks, actions=recorded.walks.actions.roll(late, 1))
    batch = make_batch(walks, config, recorded.rig, _draws(), at_use=True)
    beside = None if batch.vectors is None else batch.vectors.noisy
    return network(batch.noisy, batch.conditions, batch.sight, first=config.clip, vectors=beside).frames


def _draws() -> torch.Generator:
    return step_generator(0, 0, torch.device("cpu"))


def _read(config: TrainConfig, episodes: list[Episode]) -> Recorded:
    with tempfile.TemporaryDirectory() as folder:
        for i, episode in enumerate(episodes):
            save_episode(episode, Path(folder) / f"{i}.safetensors")
        read = load_recorded(replace(config.episodes, source=folder), config.core, recalls=False, quiet=True)
    if read.scale is None:
        return read
    # one scale for both versions, or every number changes a little
    raw = torch.stack([torch.cat([torch.zeros_like(e.actions[:1]), e.actions]) for e in episodes])
    fixed = replace(read.scale, mean=(0.0,) * raw.shape[-1], scale=(0.1,) * raw.shape[-1])
    return replace(read, walks=replace(read.walks, actions=fixed(raw)))
