"""Validation rollouts as pictures: held-out walks above what the core imagines along them from video alone."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from render.images import write_png

from ..core.codec import decode_eyes, encode_eyes, settled
from ..core.conditioning import Recalled
from ..core.vectors import by_name
from ..core.video_core import VideoCore
from .config import TrainConfig
from .episodes import Episodes
from .rig import Rig


@torch.no_grad()
def film(
    average: dict[str, Tensor],
    walks: Episodes,
    config: TrainConfig,
    rig: Rig,
    path: Path,
    *,
    shown: int = 2,
    frames: int = 8,
) -> None:
    """Writes a PNG of the left eye: for each of `shown` walks a row of truth and below it a row of `frames` imagined
    frames, both after the newest frame of the context, which is the first column."""
    core = VideoCore(config.core, None if walks.latents is None else walks.latents.codec).to(walks.rgb.device).eval()
    core.network.load_state_dict(average)
    rows = []
    for i in range(min(shown, len(walks))):
        truth, imagined = rollout(core, walks, i, rig, frames)
        rows += [torch.cat([*truth], 1), torch.cat([truth[0], *imagined], 1)]
    write_png(path, torch.cat(rows))


def rollout(
    core: VideoCore, walks: Episodes, i: int, rig: Rig, frames: int
) -> tuple[Float[Tensor, "T1 H W 3"], Float[Tensor, "T H W 3"]]:
    """(true left frames 0…T, imagined left frames 1…T): frame 0 is the newest of a whole window of true context, after
    which the core sees what it imagined; fewer than `frames` where the walk is shorter."""
    images = walks.rgb[i].float() / 255
    cameras = [rig.camera(w2c) for w2c in walks.w2c[i]]
    start = min(core.config.window, len(cameras) - 1)
    context = core.begin(cameras[0], seed=i, baseline=rig.baseline)
    for k in range(start):
        depth = walks.depth[i, k].float() if core.config.rgbd else None
        video = encode_eyes(core.codec, images[k, 0], images[k, 1] if core.config.eyes == 2 else None, depth)
        told = walks.vectors(torch.tensor([i]), torch.tensor([[k]]), core.config)
        vectors = None if told is None else by_name(told[0, 0], core.config)
        context = core.remember(context, video, cameras[k], walks.actions[i, k], vectors=vectors)
    made = []
    for k in range(start, min(start + frames, len(cameras))):
        video, vectors = core.imagine_all(context, Recalled(), cameras[k], walks.actions[i, k])
        context = core.remember(context, settled(video, core.config), cameras[k], walks.actions[i, k], vectors=vectors)
        made.append(decode_eyes(core.codec, video)[0])
    return images[start - 1 : start + len(made), 0], torch.stack(made)
