"""(b) Does a code tell the scene? Sixteen held-out rooms, four styles by four layouts, the same actions in each.

Since every room sees each action equally often, what a probe finds beyond chance is the scene's own. The control is a
space of 512 numbers without noise, trained here on pairs of the same kind: there the probe has to find the scene.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..actions.latent.config import LatentConfig
from ..actions.latent.inverse import rounded
from ..actions.latent.matching import small
from ..actions.latent.space import LatentActions
from ..actions.walker import ACTIONS, Walker, action_vectors
from ..study.demo_config import FIRST_HELD_OUT_SEED
from ..study.inverse_dynamics import index_of
from ..study.statistics import wilson
from ..training.latent_actions.config import LatentTraining
from ..training.latent_actions.objective import LatentActionModel, errors
from ..training.latent_actions.pairs import SIZE, Pairs, room_pairs
from ..worlds.rooms.collision import free_path
from ..worlds.rooms.layout import make_room, stack_rooms
from ..worlds.rooms.raycast import raycast
from ..worlds.rooms.rig import RoomsRig
from ..worlds.rooms.walkers import centers, walk

SIDES = 4  # styles, and layouts
PLACES, QUICK_PLACES = 180, 72  # of each room
WIDE, WIDE_ROOMS, WIDE_STEPS, WIDE_BATCH = 512, 12, 40, 16
WIDE_SEED = 9_700_000
ABOVE = 0.05  # what a probe may find beyond chance


def measure_scenes(space: LatentActions, *, quick: bool, wide: bool) -> dict[str, Any]:
    """What the better of two probes finds of the room and of its style, beyond chance."""
    pairs = same_actions(QUICK_PLACES if quick else PLACES)
    middle = bells(space.inverse, pairs)[0]
    codes = {"": rounded(middle, space.grid), "not rounded: ": middle}
    if wide:
        codes[f"{WIDE} numbers: "] = bells(wide_inverse(WIDE_STEPS // 2 if quick else WIDE_STEPS), pairs)[0]
    figures: dict[str, Any] = {"probed pairs": float(len(pairs))}
    for name, given in codes.items():
        for what, classes in (("room", SIDES**2), ("style", SIDES)):
            label = pairs.room if what == "room" else pairs.room // SIDES
            found, of = probed(given, label, classes)
            figures[f"{name}{what} found"] = wilson(found, of)
            figures[f"{name}{what} found, beyond chance"] = found / of - 1 / classes
    return figures


def same_actions(places: int) -> Pairs:
    """Pairs of every action, equally many in each room. room: its index, style first."""
    body, rig, table = Walker(), RoomsRig(size=SIZE), action_vectors()
    actions = table[torch.arange(places) % len(ACTIONS)]
    parts = []
    for index in range(SIDES**2):
        style, layout = (FIRST_HELD_OUT_SEED + 5000 + i for i in (index // SIDES, 100 + index % SIDES))
        rooms = stack_rooms([make_room(layout, style_seed=style, layout_seed=layout)])
        poses = walk(rooms, places, seed=layout).w2c[:, 1:]
        ends = body.move(poses, actions[None])
        free = free_path(rooms, centers(poses), centers(ends))[0]
        seen = raycast(rooms, rig.camera(torch.stack([poses[:, free], ends[:, free]], 2).flatten(1, 2))).rgb
        before, after = (small(frames) for frames in seen[0].unflatten(0, (-1, 2)).unbind(1))
        parts.append(Pairs.of(before, after, actions[free], torch.full((len(before),), index)))
    kinds = [[index_of(part.actions) == action for action in range(len(ACTIONS))] for part in parts]
    fewest = min(int(kind.sum()) for each in kinds for kind in each)
    return Pairs.joined(
        [
            part[torch.cat([kind.nonzero()[:fewest, 0] for kind in each])]
            for part, each in zip(parts, kinds, strict=True)
        ]
    )


def bells(inverse: nn.Module, pairs: Pairs) -> tuple[Float[Tensor, "N d"], Float[Tensor, "N d"]]:
    """(middle, log variance) of each pair's code."""
    with torch.no_grad():
        parts = [pairs[slice(i, i + 256)] for i in range(0, len(pairs), 256)]
        found = [inverse(p.before.float() / 255, p.after.float() / 255, p.match) for p in parts]
    return torch.cat([mean for mean, _ in found]), torch.cat([spread for _, spread in found])


def probed(codes: Float[Tensor, "N d"], label: Int[Tensor, "N"], classes: int) -> tuple[int, int]:
    """(right, of): of the better of a linear probe and a small net, fitted to six tenths of the pairs."""
    x = (codes - codes.mean(0)) / codes.std(0).clamp(min=1e-6)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(5))
    fitted, tested = order[: int(0.6 * len(x))], order[int(0.6 * len(x)) :]
    best = 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(x.shape[1], 64), nn.GELU(), nn.Dropout(0.1), nn.Linear(64, classes))
        for layers in (nn.Linear(x.shape[1], classes), net):
            optimiser = torch.optim.AdamW(layers.parameters(), 5e-3, weight_decay=1e-2)
            for _ in range(400):
                optimiser.zero_grad()
                F.cross_entropy(layers(x[fitted]), label[fitted]).backward()
                optimiser.step()
            with torch.no_grad():
                best = max(best, int((layers.eval()(x[tested]).argmax(1) == label[tested]).sum()))
    return best, len(tested)


def wide_inverse(steps: int) -> nn.Module:
    """The inverse model of a space of WIDE numbers without noise, trained on pairs of rooms of its own."""
    config = LatentTraining(core=LatentConfig(dim=WIDE, noise=False))
    pairs = room_pairs(range(WIDE_SEED, WIDE_SEED + WIDE_ROOMS))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LatentActionModel(config.core)
    optimiser = torch.optim.AdamW(model.parameters(), config.rate, weight_decay=config.weight_decay)
    for step in range(steps):
        stream = torch.Generator().manual_seed(step)
        chosen = pairs[torch.randint(len(pairs), (WIDE_BATCH,), generator=stream)]
        optimiser.zero_grad()
        errors(model, chosen, stream, recolour=False, back=False).loss(0.0, 0.0, config.matching).backward()
        nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
        optimiser.step()
    return model.inverse.eval()
