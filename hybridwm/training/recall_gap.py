"""How far training's recalled renders are from those of the real scene: `python -m hybridwm.training.recall_gap`.

The same walks, the same past frames, the same target cameras: once splatted as in training, once through stereo, lift,
fuse and rasterize as at use.
"""

from __future__ import annotations

import json
from dataclasses import replace

import torch
from torch import Tensor

from recon import GaussianScene, View, depth_source
from recon.fuse import fuse
from render import rasterize

from ..core.conditioning import Recalled, recall_tensor
from ..worlds.rooms.rig import RoomsRig
from .config import RecallConfig
from .episodes import Episodes, make_episodes
from .recall import Sources, corrupt, splat

PAST = (2, 6, 10, 14, 18)
TARGETS = (20, 22, 24, 26)
HELD_OUT = 20_000_000


@torch.no_grad()
def recall_gap(walks: int = 8, config: RecallConfig | None = None, first_seed: int = HELD_OUT) -> dict[str, float]:
    """PSNR against the true frames where both know something (dB), alphas, and how the two agree.

    real_psnr, training_psnr: left eye, dB. real_alpha, training_alpha: mean. alpha_agreement: share of pixels that
    both call known, or both unknown. between_psnr: one against the other, dB.
    """
    rig = RoomsRig()
    seeds = list(range(first_seed, first_seed + walks))
    episodes = make_episodes(seeds, TARGETS[-1] + 1, rig, torch.device("cpu"))
    rows = []
    for e in range(walks):
        real = _real(episodes, e, rig)
        trained = _trained(episodes, e, rig, config or RecallConfig())
        truth = episodes.rgb[e, list(TARGETS), 0].movedim(-1, 1).float() / 127.5 - 1
        both = (real[:, 6] > 0.5) & (trained[:, 6] > 0.5)
        rows.append(
            torch.stack(
                [
                    _error(real[:, :3], truth, both),
                    _error(trained[:, :3], truth, both),
                    _error(real[:, :3], trained[:, :3], both),
                    real[:, 6].mean(),
                    trained[:, 6].mean(),
                    ((real[:, 6] > 0.5) == (trained[:, 6] > 0.5)).float().mean(),
                ]
            )
        )
    mean = torch.stack(rows).nanmean(0)
    real_psnr, training_psnr, between = (-10 * mean[:3].log10()).tolist()
    return {
        "real_psnr": real_psnr,
        "training_psnr": training_psnr,
        "between_psnr": between,
        "real_alpha": float(mean[3]),
        "training_alpha": float(mean[4]),
        "alpha_agreement": float(mean[5]),
    }


def _real(episodes: Episodes, e: int, rig: RoomsRig) -> Tensor:
    """Recall channels of the scene that stereo and fusion build."""
    stereo, scene = depth_source("stereo"), GaussianScene.empty()
    for step, i in enumerate(PAST):
        left, right = episodes.rgb[e, i].float() / 255
        view = View(left, rig.camera(episodes.w2c[e, i]), right=right, baseline=rig.baseline)
        depth, confidence = stereo([view], None)
        scene = fuse(scene, replace(view, depth=depth, confidence=confidence), observed=True, step=step)
    gaussians, shown = scene.with_observed_share(), []
    for i in TARGETS:
        eyes = rig.stereo(episodes.w2c[e, i])
        recall = recall_tensor(Recalled((rasterize(gaussians, eyes[0]), rasterize(gaussians, eyes[1]))), 2, 64, 64)
        assert recall is not None
        shown.append(recall)
    return torch.stack(shown)


def _trained(episodes: Episodes, e: int, rig: RoomsRig, config: RecallConfig) -> Tensor:
    """Recall channels as training makes them from true depth."""
    past = list(PAST)
    sources = Sources(
        episodes.rgb[e : e + 1, past, 0].float() / 255,
        episodes.depth[e : e + 1, past].float(),
        torch.ones(1, len(past)),
        episodes.w2c[e : e + 1, past],
    )
    sources = corrupt(sources, config, rig.focal * rig.baseline, torch.Generator().manual_seed(e))
    eyes = rig.stereo(episodes.w2c[e : e + 1, list(TARGETS)])
    known = torch.ones(1, len(TARGETS), len(past), dtype=torch.bool)
    return splat(sources, known, eyes.K[0, 0, 0], eyes.w2c)[0]


def _error(a: Tensor, b: Tensor, where: Tensor) -> Tensor:
    """Mean squared error on the scale 0…1 where the mask is set."""
    return ((a - b) / 2).square().mean(1)[where].mean()


if __name__ == "__main__":
    print(json.dumps(recall_gap(), indent=1))
