"""Forked rooms: is a frame of an unknown place one of the places that it may be, or their average?

A walker that looked about in a room opens its eyes where it has not looked yet, and there are two ways for the room to
go on, equally likely. A small network is trained on some such rooms; every sample of it has to be one of the two, and
both have to come up. The averages have to fail: the same network's flow in one step, and a regressor. Row 8.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..core import flow
from ..core.clip import Conditions
from ..core.config import CoreConfig
from ..core.embeddings import eye_motion
from ..core.network import VideoNetwork
from ..core.sampler import euler, level_of
from ..run_folder import RunFolder
from ..training.config import TrainConfig
from ..training.loop import optimise
from ..worlds.rooms.collision import sample_free_pose
from ..worlds.rooms.layout import make_room, stack_rooms
from ..worlds.rooms.raycast import raycast
from ..worlds.rooms.rig import RoomsRig
from .core_setup import CoreSetup, keep

CORE = CoreConfig(height=32, width=32, eyes=1, dim=96, depth=4, heads=4, window=2)
ROOMS, CONTEXT = 4, 2
STEPS, QUICK_STEPS = 1500, 600
SAMPLES = 200
TURN = math.radians(40)
FIRST_SEED = 9_100_000


@dataclass(frozen=True)
class Forks:
    """Rooms that go on in two ways. context, modes: frames -1…1. told: of the context frames and the one to come."""

    context: Float[Tensor, "R 2 3 H W"]
    modes: Float[Tensor, "R 2 3 H W"]
    told: Conditions


def make_forks(rooms: int = ROOMS) -> Forks:
    """Each room is seen twice, 40 degrees apart; then, half a turn on, it is itself or another of its style."""
    rig = RoomsRig(size=CORE.width)
    context, modes, poses = [], [], []
    for i in range(rooms):
        seed = FIRST_SEED + 2 * i
        own = stack_rooms([make_room(seed)])
        other = stack_rooms([make_room(seed + 1, style_seed=seed, layout_seed=seed + 1)])
        start = sample_free_pose(own, seed=0, radius=0.5)[0]
        w2c = torch.stack([_turned(start, angle) for angle in (0.0, TURN, TURN + math.pi)])
        poses.append(w2c)
        views = [raycast(room, rig.camera(w2c[None])).rgb[0].movedim(-1, 1) * 2 - 1 for room in (own, other)]
        context.append(views[0][:CONTEXT])
        modes.append(torch.stack([view[CONTEXT] for view in views]))
    w2c = torch.stack(poses)
    before = torch.cat([w2c[:, :1], w2c[:, :-1]], 1)
    told = Conditions(
        t=torch.full((rooms, 3), CORE.context_noise),
        level=torch.full((rooms, 3), CORE.levels - 1),
        steps=torch.arange(3).expand(rooms, -1),
        actions=torch.zeros(rooms, 3, CORE.action_dim),
        K=rig.camera(w2c).K,
        motion=eye_motion(before, w2c, 1, 0.0),
        recall=torch.zeros(rooms, 3, CORE.recall_channels, CORE.height, CORE.width),
        has_recall=torch.zeros(rooms, 3, dtype=torch.bool),
    )
    return Forks(torch.stack(context), torch.stack(modes), told)


def _turned(w2c: Float[Tensor, "4 4"], angle: float) -> Float[Tensor, "4 4"]:
    """The camera turned about its own vertical axis, to the right."""
    c, s = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[c, 0, -s, 0], [0, 1, 0, 0], [s, 0, c, 0], [0, 0, 0, 1.0]])
    return turn @ w2c


def _clip(
    forks: Forks, room: Tensor, t: Tensor, level: Tensor, noise: Tensor, last: Tensor
) -> tuple[Tensor, Conditions]:
    """The context at its noise and a last frame, of some rooms [B], and what they are told."""
    same: dict[str, Any] = {
        name: None if value is None else value[room]
        for name, value in vars(forks.told).items()
        if name not in ("t", "level")
    }
    told = Conditions(
        **same,
        t=torch.cat([forks.told.t[room, :CONTEXT], t[:, None]], 1),
        level=torch.cat([forks.told.level[room, :CONTEXT], level[:, None]], 1),
    )
    shown = flow.mix(forks.context[room], noise[:, :CONTEXT], told.t[:, :CONTEXT])
    return torch.cat([shown, last[:, None]], 1), told


def train_on(
    forks: Forks, folder: Path, *, steps: int = 1500, batch: int = 32, regressor: bool = False
) -> VideoNetwork:
    """The averaged weights after some steps. A regressor sees pure noise only and knows no shortcuts."""
    torch.manual_seed(0)
    network = VideoNetwork(CORE)
    rooms = len(forks.modes)

    def loss_at(model: nn.Module, step: int, unit: int) -> tuple[Tensor, dict[str, float]]:
        g = torch.Generator().manual_seed(step)
        room = torch.randint(rooms, (batch,), generator=g)
        clean = forks.modes[room, torch.randint(2, (batch,), generator=g)]
        noise = torch.randn(batch, CONTEXT + 1, *CORE.shape, generator=g)
        t = flow.target_times((batch, 1), g)[:, 0]
        short, level = flow.shortcut_times((batch, 1), CORE.levels, g)
        some = torch.rand(batch, generator=g) < (0.0 if regressor else 0.5)
        t = torch.ones_like(t) if regressor else torch.where(some, short[:, 0], t)
        level = torch.where(some, level[:, 0], CORE.levels - 1)
        noisy = flow.mix(clean[:, None], noise[:, CONTEXT:], t[:, None])
        target = clean[:, None].clone()
        if bool(some.any()):
            with torch.no_grad():

                def denoise(x: Tensor, t: Tensor, level: Tensor) -> Tensor:
                    frames, told = _clip(forks, room[some], t[:, 0], level[:, 0], noise[some], x[:, 0])
                    return model(frames, told, first=CONTEXT).frames

                target[some] = flow.shortcut_target(denoise, noisy[some], t[some, None], level[some, None])
        frames, told = _clip(forks, room, t, level, noise, noisy[:, 0])
        loss, error = flow.loss(model(frames, told, first=CONTEXT).frames, target, t[:, None])
        return loss, {"error": error.mean().item()}

    schedule = TrainConfig(
        name="regressor" if regressor else "forks",
        core=CORE,
        steps=steps,
        batch=batch,
        ema=0.995,
        checkpoint_every=steps,
        validate_every=steps,
    )
    trained = optimise(network, loss_at, lambda average: {}, schedule, folder)
    network.load_state_dict(trained.average)
    return network.eval()


@torch.no_grad()
def sample(
    network: VideoNetwork, forks: Forks, count: int, solver_steps: int, *, shortcut: bool = True
) -> tuple[Float[Tensor, "N 3 H W"], Tensor]:
    """Samples of the frame to come, the rooms in turn, and which room each is of."""
    g = torch.Generator().manual_seed(1)
    room = torch.arange(count) % len(forks.modes)
    noise = torch.randn(count, CONTEXT + 1, *CORE.shape, generator=g)
    level = torch.full((count,), level_of(solver_steps, CORE.levels) if shortcut else CORE.levels - 1)

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        frames, told = _clip(forks, room, t[:, 0], level, noise, x[:, 0])
        return network(frames, told, first=CONTEXT).frames

    return euler(denoise, noise[:, CONTEXT:], solver_steps)[:, 0], room


def purity(samples: Float[Tensor, "N 3 H W"], room: Tensor, forks: Forks) -> dict[str, float]:
    """pure: share of samples nearer than half of the distance between the modes to one of them; first: share of the
    samples that are nearer to the first mode; average: share that are nearer to the modes' average than to either."""
    modes = forks.modes[room]
    to_modes = (samples[:, None] - modes).flatten(2).norm(dim=2)
    apart = (modes[:, 0] - modes[:, 1]).flatten(1).norm(dim=1)
    to_average = (samples - modes.mean(1)).flatten(1).norm(dim=1)
    nearest = to_modes.amin(1)
    return {
        "pure": float((nearest < apart / 2).float().mean()),
        "first": float((to_modes[:, 0] < to_modes[:, 1]).float().mean()),
        "average": float((to_average < nearest).float().mean()),
    }


def measure(weights: str, setup: CoreSetup, folder: RunFolder | None = None) -> dict[str, Any]:
    """Purity of 200 samples with 1, 2, 4 and 32 solver steps, and of the two that must fail. The weights are not used:
    the question is whether training and sampling give modes, so a network of their size for such rooms is trained."""
    steps = QUICK_STEPS if setup.quick else STEPS
    forks = make_forks()
    with tempfile.TemporaryDirectory() as here:
        network = train_on(forks, Path(here) / "forks", steps=steps)
        regressor = train_on(forks, Path(here) / "regressor", steps=steps // 3, regressor=True)
    figures: dict[str, Any] = {}
    for n in (1, 2, 4, 32):
        figures[f"{n} steps"] = purity(*sample(network, forks, SAMPLES, n), forks)
    figures["control, the flow in one step"] = purity(*sample(network, forks, SAMPLES, 1, shortcut=False), forks)
    figures["control, regressor"] = purity(*sample(regressor, forks, SAMPLES, 1, shortcut=False), forks)
    for name, values in figures.items():
        keep(folder, area="fork", sampler=name, **values)
    return figures
