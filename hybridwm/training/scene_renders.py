"""Clips with the recalled renders of use: by the memory and the stereo of the grounded arm, not their stand-in.

The stand-in (`recall.py`) is a hundred times cheaper and never twice the same, but its errors are not those of the real
scene: weights trained on it alone trust a good render too little. So a clip of each walk is rendered for real, once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

from recon import View, depth_source
from render.files import atomic_write

from ..core.conditioning import recall_tensor
from ..memory.splat import SplatMemory
from ..memory.wrong import wrong_splats
from .config import TrainConfig
from .episodes import Episodes
from .rig import Rig

SHARD = 20
"""Walks of a file."""
MOST_PAST = 8
CHANNELS = 10
"""Of a recalled render of both eyes: colours, alpha, observed share of each."""
FIELDS = ("recall", "start")


@dataclass(frozen=True)
class SceneRenders:
    """For each of N walks, what the scene showed from each frame of one clip, and the clip's first frame."""

    recall: Float[Tensor, "N F r H W"]
    start: Int[Tensor, "N"]

    def to(self, device: torch.device) -> SceneRenders:
        return SceneRenders(self.recall.to(device), self.start.to(device))


def load_or_make_renders(
    folder: Path, walks: Episodes, config: TrainConfig, rig: Rig, *, quiet: bool = False
) -> SceneRenders:
    """The clips of all walks; shards already in `folder` are not made again. A function of the walks and of what the
    configuration says of rooms, clips and renders, not of the training seed.

    Raises ValueError for shards of another configuration.
    """
    made_for = _made_for(config)
    shards = []
    for first in tqdm(range(0, len(walks), SHARD), desc="scenes", unit="shard", disable=quiet):
        path = folder / f"scenes-{first:08d}.safetensors"
        count = min(SHARD, len(walks) - first)
        if not path.exists():
            made = [_clip(walks, walk, config, rig) for walk in range(first, first + count)]
            recall, start = torch.stack([clip for clip, _ in made]), torch.tensor([begin for _, begin in made])
            with atomic_write(path) as temporary:
                save_file({"recall": recall.half(), "start": start}, temporary, metadata={"made_for": made_for})
        tensors = load_file(path)
        expected = (count, config.clip, CHANNELS, *config.core.image_size)
        with safe_open(path, "pt") as shard:
            same = (shard.metadata() or {}).get("made_for") == made_for
        if not same or set(tensors) != set(FIELDS) or tuple(tensors["recall"].shape) != expected:
            raise ValueError(
                f"{path}: expected scenes of {expected} (walks, frames, channels, height, width); found another "
                "configuration's. Use a new run folder (or --data) or remove the old shards."
            )
        shards.append(tensors)
    return SceneRenders(*(torch.cat([shard[name] for shard in shards]) for name in FIELDS))


def _made_for(config: TrainConfig) -> str:
    """What scenes depend on beside the walks' number, in words: runs that share a folder must agree in it."""
    rooms, recall = config.episodes, config.recall
    return (
        f"rooms from {rooms.first_seed}, {rooms.steps} steps, {rooms.fov_x} degrees, {rooms.baseline} m, clips of "
        f"{config.clip}, wrong {recall.wrong}, imagined {recall.imagined}"
    )


@torch.no_grad()
def _clip(walks: Episodes, walk: int, config: TrainConfig, rig: Rig) -> tuple[Float[Tensor, "F r H W"], int]:
    """What the scene shows from each frame of a clip, before that frame is fused; and where the clip begins."""
    core, recall = config.core, config.recall
    generator = torch.Generator().manual_seed((config.episodes.first_seed + walk) * 7919 + 19)

    def uniform() -> float:
        return float(torch.rand((), generator=generator))

    start = 1 + int(uniform() * (config.episodes.steps - config.clip))
    count = 1 + int(uniform() * min(MOST_PAST, start))
    latest = list(range(max(0, start - count), start))
    anywhere = sorted({int(uniform() * start) for _ in range(count)})
    past = latest if uniform() < 0.5 else anywhere
    wrong = recall.wrong * uniform() if uniform() < 0.5 else 0.0
    imagined = uniform() < recall.imagined

    source, memory = depth_source("stereo"), SplatMemory(core.eyes)
    state = memory.begin(torch.device("cpu"))

    def observe(state, view: View, step: int, *, observed: bool):
        depth, confidence = source([view], None)
        view = replace(view, depth=depth, confidence=confidence)
        known = memory.recall(state, view.camera, rig.baseline)
        return memory.observe(state, view, observed=observed, step=step, recalled=known)

    for i in past:
        state = observe(state, _view(walks, walk, i, rig), i, observed=True)
    if wrong:  # of nothing, where stereo measured nothing
        state = wrong_splats(memory.scene(state), wrong, generator)
    shown = []
    for i in range(start, start + config.clip):
        view = _view(walks, walk, i, rig)
        told = recall_tensor(memory.recall(state, view.camera, rig.baseline), core.eyes, *core.image_size)
        shown.append(torch.zeros(CHANNELS, *core.image_size) if told is None else told)
        if imagined:
            view = _as_imagined(view, uniform(), generator)
        state = observe(state, view, i, observed=not imagined)
    return torch.stack(shown), start


def _view(walks: Episodes, walk: int, frame: int, rig: Rig) -> View:
    left, right = walks.rgb[walk, frame].cpu().float() / 255
    return View(left, rig.camera(walks.w2c[walk, frame].cpu()), right=right, baseline=rig.baseline)


def _as_imagined(view: View, blur: float, generator: torch.Generator) -> View:
    """Blurred and off-colour, both eyes alike, as imagined frames are."""
    assert view.right is not None
    pair = torch.stack([view.image, view.right]).movedim(-1, 1)
    soft = F.avg_pool2d(F.pad(pair, (1, 1, 1, 1), mode="replicate"), 3, 1)
    tint = 1 + 0.03 * torch.randn((1, 3, 1, 1), generator=generator)
    left, right = ((pair + blur * (soft - pair)) * tint).clamp(0, 1).movedim(1, -1)
    return replace(view, image=left, right=right)
