"""Dreams of a tiny core with random weights, in rooms of 32 pixels."""

import torch

import hybridwm as hw
from hybridwm.core.config import CoreConfig
from hybridwm.core.video_core import VideoCore
from hybridwm.dream_beginnings import ScriptedBeginning
from hybridwm.memory import make_memory

LOOK = ("left", "right")


def make_core(**options) -> VideoCore:
    torch.manual_seed(0)
    size = {"height": 32, "width": 32, "dim": 24, "depth": 2, "heads": 3, "window": 2}
    core = VideoCore(CoreConfig(**size, **options))
    with torch.no_grad():
        for parameter in core.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return core


CORE = make_core()


def model(memory="splat", depth: str | None = "stereo", core=CORE) -> hw.WorldModel:
    return hw.WorldModel(core, make_memory(memory, eyes=core.config.eyes), depth=depth)


def rooms(continuous=False) -> ScriptedBeginning:
    return ScriptedBeginning("hybridwm/Rooms-v0", size=32, script=LOOK, continuous=continuous)


def dream(memory="splat", depth: str | None = "stereo", continuous=False, **options) -> hw.DreamEnv:
    return hw.DreamEnv(model(memory, depth), rooms(continuous), continuous=continuous, **options)


def metres(before, action, after) -> float:
    return float((after.camera.center - before.camera.center).norm())
