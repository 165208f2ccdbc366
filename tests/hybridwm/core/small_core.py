"""A small core on random (not zero-initialised) weights, and clips for it."""

from dataclasses import fields

import torch

from hybridwm.core.clip import Conditions
from hybridwm.core.config import CoreConfig
from hybridwm.core.guidance import HistoryGuidance
from hybridwm.core.network import VideoNetwork
from hybridwm.core.video_core import Context, VideoCore
from render import Camera

SMALL = CoreConfig(height=32, width=48, dim=48, depth=4, heads=3, window=3)


def network(config: CoreConfig = SMALL, seed: int = 0) -> VideoNetwork:
    torch.manual_seed(seed)
    net = VideoNetwork(config)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return net.eval()


def clip(length: int, config: CoreConfig = SMALL, seed: int = 1, first: int = 0):
    g = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=g)

    motion = torch.eye(4).repeat(1, length, config.eyes, 1, 1)
    motion[..., :3, 3] = 0.1 * normal(1, length, config.eyes, 3)
    w, h = config.width, config.height
    noisy = normal(1, length, *config.shape)
    conditions = Conditions(
        t=torch.rand(1, length, generator=g),
        level=torch.randint(config.levels, (1, length), generator=g),
        steps=torch.arange(first, first + length)[None],
        actions=0.2 * normal(1, length, config.action_dim),
        K=torch.tensor([[40.0, 0, w / 2], [0, 40, h / 2], [0, 0, 1]]).expand(1, length, 3, 3),
        motion=motion,
        recall=torch.rand(1, length, config.recall_channels, h, w, generator=g),
        has_recall=torch.ones(1, length, dtype=torch.bool),
    )
    return noisy, conditions


def one(conditions: Conditions, i: int) -> Conditions:
    parts = {field.name: getattr(conditions, field.name) for field in fields(Conditions)}
    return Conditions(**{k: None if v is None else v[:, i : i + 1] for k, v in parts.items()})


def core() -> VideoCore:
    made = VideoCore(SMALL)
    made.network = network()
    return made


def remembered(made: VideoCore, guidance: HistoryGuidance | None = None, scale: float = 1.0) -> Context:
    g = torch.Generator().manual_seed(0)
    camera = Camera.from_fov(SMALL.width, SMALL.height, 70, torch.eye(4))
    context = made.begin(camera, 0, baseline=0.3)
    for _ in range(3):
        frame = scale * torch.rand(SMALL.shape, generator=g)
        context = made.remember(context, frame, camera, torch.zeros(4), guidance=guidance)
    return context
