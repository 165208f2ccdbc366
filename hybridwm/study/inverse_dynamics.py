"""Which action lies between two frames: an inverse-dynamics probe, fitted to real pairs only.

What it reads off generated pairs says whether they move as they were told, without a look at the truth they should
have shown. It sees motion, not places: where each part of the second frame was in the first, and how well that fits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..actions.walker import action_vectors
from ..training.episodes import make_episodes
from ..worlds.rooms.rig import RoomsRig

FIRST_SEED = 40_000_000  # of the rooms that the probe is fitted in; no other room uses these
ROOMS, FRAMES = 60, 48
SIDE, PARTS = 32, 8  # pixels at which motion is looked for, along the shorter side; parts along each side
REACH = 8  # pixels of the small frame: a turn of 15 degrees moves it by 5
SOFT = 0.003  # squared difference at which another displacement is as good as none
HIDDEN, STEPS, RATE, DECAY = 64, 400, 3e-3, 1e-2


def motion(before: Float[Tensor, "N H W 3"], after: Float[Tensor, "N H W 3"]) -> Float[Tensor, "N 192"]:
    """Expected displacement (x, y) of each of 8 x 8 parts since the frame before, and its squared difference."""
    scale = max(1, min(before.shape[1:3]) // SIDE)
    a, b = (F.avg_pool2d(frames.movedim(-1, 1), scale) for frames in (before, after))
    h, w = b.shape[-2:]
    padded = F.pad(a, (REACH,) * 4, mode="replicate")
    reach = range(-REACH, REACH + 1)
    costs = torch.stack(
        [
            F.adaptive_avg_pool2d(
                (b - padded[:, :, REACH + y : REACH + y + h, REACH + x : REACH + x + w]).square().mean(1), PARTS
            )
            for y in reach
            for x in reach
        ],
        1,
    )
    share = torch.softmax(-costs / SOFT, 1)
    places = torch.tensor([(x, y) for y in reach for x in reach], dtype=share.dtype, device=share.device) / REACH
    moved = torch.einsum("ndhw,dk->nkhw", share, places)
    return torch.cat([moved.flatten(1), costs.amin(1).sqrt().flatten(1)], 1)


@dataclass(frozen=True)
class Probe:
    """Motion of a pair to an action, by index into ACTIONS."""

    mean: Float[Tensor, "192"]
    deviation: Float[Tensor, "192"]
    layers: nn.Module

    @torch.no_grad()
    def actions(self, motions: Float[Tensor, "N 192"]) -> Int[Tensor, "N"]:
        return self.layers((motions - self.mean) / self.deviation).argmax(1)


def fit_probe(motions: Float[Tensor, "N 192"], actions: Int[Tensor, "N"], seed: int = 0) -> Probe:
    """A small classifier. A function of its arguments."""
    mean, deviation = motions.mean(0), motions.std(0).clamp(min=1e-4)
    x = (motions - mean) / deviation
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = nn.Sequential(
            nn.Linear(x.shape[1], HIDDEN), nn.GELU(), nn.Dropout(0.2), nn.Linear(HIDDEN, len(action_vectors()))
        )
        optimiser = torch.optim.AdamW(layers.parameters(), RATE, weight_decay=DECAY)
        for _ in range(STEPS):
            optimiser.zero_grad()
            F.cross_entropy(layers(x), actions).backward()
            optimiser.step()
    return Probe(mean, deviation, layers.eval())


def real_pairs(rig: RoomsRig, rooms: int = ROOMS) -> tuple[Float[Tensor, "N 192"], Int[Tensor, "N"]]:
    """Motion and action of every pair of successive true frames in rooms of the probe's own."""
    motions, actions = [], []
    for first in range(0, rooms, 20):
        seeds = [FIRST_SEED + i for i in range(first, min(first + 20, rooms))]
        walks = make_episodes(seeds, FRAMES, rig, torch.device("cpu"), eyes=1)
        frames = walks.rgb[:, :, 0].float() / 255
        motions += [motion(walk[:-1], walk[1:]) for walk in frames]
        actions.append(index_of(walks.actions[:, 1:]).flatten())
    return torch.cat(motions), torch.cat(actions)


def index_of(actions: Float[Tensor, "*B 4"]) -> Int[Tensor, "*B"]:
    """Index into ACTIONS of each vector: the nearest."""
    return (actions[..., None, :] - action_vectors().to(actions)).square().sum(-1).argmin(-1)


def share_over_share(samples: Float[np.ndarray, "*R S 4"]) -> np.ndarray | np.floating:
    """One pooled share over another; samples[…, (hits a, of a, hits b, of b)]."""
    sums = samples.sum(-2)
    return (sums[..., 0] / np.maximum(sums[..., 1], 1)) / np.maximum(sums[..., 2] / np.maximum(sums[..., 3], 1), 1e-9)
