"""Training on recorded episodes: a folder of them, of any world or robot, as walks of one length and one size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from ..actions.body import Body, make_body
from ..actions.scale import ActionScale
from ..core.config import CoreConfig
from ..worlds.alignment import check_alignment
from ..worlds.episodes import Episode, load_episode
from ..worlds.lerobot import find_datasets, open_dataset
from ..worlds.resize import resized
from .config import EpisodesConfig
from .episodes import Episodes
from .rig import RecordedRig

NOMINAL_BASELINE = 0.30
"""Metres: of what has one eye, for the errors of depth that training makes up (as the rooms' rig)."""
SAME_LENS = 0.5  # pixels by which intrinsics may differ between episodes
SAME_BASELINE = 1e-3  # metres


@dataclass(frozen=True)
class Recorded:
    """Walks (training ones first), the eyes that saw them, the body whose actions they hold and their common scale
    (None: as they are). names: of an action's components."""

    walks: Episodes
    rig: RecordedRig
    body: Body
    scale: ActionScale | None
    names: tuple[str, ...]
    period: float

    def card(self) -> dict[str, Any]:
        """What weights have to know of the episodes to be driven: see WorldModel, `load`."""
        told = {} if self.scale is None else {"actions": self.scale.told(self.names)}
        eyes = {"K": self.rig.K.tolist(), "baseline": self.rig.baseline, "period": self.period}
        return {"walks": len(self.walks), "action_names": list(self.names), **eyes, **told}


def load_recorded(config: EpisodesConfig, core: CoreConfig, *, recalls: bool, quiet: bool = False) -> Recorded:
    """The episodes of config.source, cut into walks of config.steps frames at the core's size; the last episodes'
    walks are the validation ones.

    recalls: whether training needs cameras and depth. Raises FileNotFoundError where there are none, FormatError for a
    damaged one, ValueError for episodes that do not fit the core, the body, or each other, or whose actions stand
    beside the wrong frames (worlds.alignment).
    """
    height, width = core.image_size
    kept: list[Episode] = []
    for episode in tqdm(episodes_in(Path(config.source), config.episodes), desc="episodes", disable=quiet):
        if min(episode.rgb.shape[2] / width, episode.rgb.shape[1] / height) < 1:
            raise ValueError(
                f"{config.source}: expected images of at least {width}x{height}, the core's size; got "
                f"{episode.rgb.shape[2]}x{episode.rgb.shape[1]}. Set core.width and core.height lower."
            )
        kept.append(_checked(resized(episode, width, height), core, recalls, config.source))
    _same(kept, config.source)
    if config.aligned:
        check_alignment(kept, config.source)
    first = kept[0]
    period = 1.0 if first.fps is None else 1 / first.fps
    body = make_body(config.body, period=period, names=first.action_names)
    if len(body.names) != core.action_dim:
        raise ValueError(
            f"CoreConfig.action_dim: expected {len(body.names)}, as {config.source} has "
            f"({', '.join(first.action_names)}); got {core.action_dim}. Set core.action_dim."
        )
    training, validation = split_walks([starts(len(episode), config.steps) for episode in kept], config.validation)
    if not training:
        raise ValueError(
            f"{config.source}: expected episodes of at least episodes.steps={config.steps} frames, and more of them "
            f"than make episodes.validation={config.validation} walks; got {len(kept)} episodes, the longest of "
            f"{max(map(len, kept))} frames. Set both lower (--episodes.steps 20 --episodes.validation 1), or record "
            "more."
        )
    walks = [(kept[episode], start) for episode, start in training + validation]
    scale = None if config.body == "walker" else ActionScale.of(torch.cat([episode.actions for episode in kept]))
    K = first.K if first.K is not None else _lens(width, height)
    rig = RecordedRig(K, width, height, first.baseline or NOMINAL_BASELINE)
    return Recorded(_stacked(walks, config.steps, core.eyes, scale), rig, body, scale, first.action_names, period)


def episodes_in(source: Path, most: int) -> Iterator[Episode]:
    """At most so many episodes of a folder: of its LeRobot datasets, else its .safetensors files by name.

    Raises FileNotFoundError where there are none.
    """
    datasets = find_datasets(source) if source.is_dir() else []
    files = sorted(source.rglob("*.safetensors")) if source.is_dir() and not datasets else []
    if not datasets and not files:
        raise FileNotFoundError(
            f"{source}: expected a folder with a LeRobot dataset or with episodes, found none; write one by hybridwm "
            "collect or hybridwm convert"
        )
    count = 0
    for dataset in map(open_dataset, datasets):
        for index in range(len(dataset)):
            if count < most:
                count += 1
                yield dataset.episode(index)
    for file in files[:most]:
        yield load_episode(file)


def starts(frames: int, steps: int) -> list[int]:
    """Where walks of `steps` frames begin in an episode: one after the other, and one that ends with its last frame."""
    if frames < steps:
        return []
    begins = list(range(0, frames - steps + 1, steps))
    return begins if begins[-1] + steps == frames else [*begins, frames - steps]


def split_walks(begins: list[list[int]], validation: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """(episode, start) of training and of validation walks: the last episodes' are held out, no episode is in both.

    A single episode is split in time, which leaves out the walk that overlaps another.
    """
    if sum(map(bool, begins)) == 1:
        ((episode, own),) = [(i, own) for i, own in enumerate(begins) if own]
        if len(own) > 1 and own[-1] - own[-2] != own[1] - own[0]:
            own = own[:-1]
        walks = [(episode, start) for start in own]
        return (walks[:-validation], walks[-validation:]) if validation else (walks, [])
    held, first = [], len(begins)
    while len(held) < validation and first > 0:
        first -= 1
        held = [(first, start) for start in begins[first]] + held
    training = [(i, start) for i in range(first) for start in begins[i]]
    enough = len(held) >= validation
    return (training, held[len(held) - validation :]) if enough else ([], [])


def _checked(episode: Episode, core: CoreConfig, recalls: bool, source: str) -> Episode:
    if core.eyes == 2 and episode.right is None:
        raise ValueError(f"{source}: expected two eyes, as core.eyes is 2; got episodes with one. Set core.eyes to 1.")
    if core.rgbd and episode.depth is None:
        raise ValueError(f"{source}: expected depth, as the core is rgb-d; got none. Set core.eye_channels to 3.")
    if recalls and (episode.w2c is None or episode.depth is None):
        missing = " and ".join(n for n in ("w2c", "depth") if getattr(episode, n) is None)
        raise ValueError(
            f"{source}: expected cameras and depth, from which recalled renders are trained; got no {missing}. Set "
            "recall.drop to 1.0 to train the video-only arm."
        )
    return episode


def _same(episodes: list[Episode], source: str) -> None:
    """Raises ValueError where episodes are not of one body and one pair of eyes."""
    first = episodes[0]
    for episode in episodes[1:]:
        if episode.action_names != first.action_names:
            raise ValueError(
                f"{source}: expected actions of one body; got {first.action_names} and {episode.action_names}. Train "
                "on them apart."
            )
        lens = (first.K is None) == (episode.K is None) and (
            first.K is None or episode.K is None or float((first.K - episode.K).abs().max()) <= SAME_LENS
        )
        eyes = abs((first.baseline or 0.0) - (episode.baseline or 0.0)) <= SAME_BASELINE and first.fps == episode.fps
        if not lens or not eyes:
            raise ValueError(
                f"{source}: expected one lens, one baseline and one frame rate; episode of seed {episode.seed} has "
                "others. Train on them apart, or convert them to one calibration."
            )


def _stacked(walks: list[tuple[Episode, int]], steps: int, eyes: int, scale: ActionScale | None) -> Episodes:
    """Cameras that are not known stay where they are, depth that is not known is no measurement."""
    rgb, depth, w2c, actions = [], [], [], []
    for episode, start in walks:
        frames = slice(start, start + steps)
        pair = [episode.rgb, episode.right][:eyes]
        rgb.append(torch.stack([eye[frames] for eye in pair if eye is not None], 1))
        blind = torch.zeros(steps, *episode.rgb.shape[1:3])
        depth.append((blind if episode.depth is None else episode.depth[frames]).half())
        w2c.append(torch.eye(4).expand(steps, 4, 4) if episode.w2c is None else episode.w2c[frames])
        led = episode.actions[max(0, start - 1) : start + steps - 1]
        led = led if scale is None else scale(led)
        actions.append(led if start else torch.cat([torch.zeros_like(led[:1]), led]))
    return Episodes(torch.stack(rgb), torch.stack(depth), torch.stack(w2c), torch.stack(actions))


def _lens(width: int, height: int) -> torch.Tensor:
    """Of cameras that are not known: a field of view of 53 degrees."""
    return torch.tensor([[width, 0.0, width / 2], [0.0, width, height / 2], [0.0, 0.0, 1.0]])
