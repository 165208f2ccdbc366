"""Scenarios as episodes, with what there is to judge: true motion, which pixels move, and the outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from ...actions.walker import action_vectors
from ..episodes import Episode
from .moments import TOUCH_NAMES, Moment, first_moment, next_moment, planned, see_moments, stacked
from .movers import with_movers
from .physics import energy
from .rig import RoomsRig
from .scenarios import Speeds, make_scenario
from .walkers import walk

AT_ONCE = 16  # frames
WALK_SEED = 0


@dataclass(frozen=True)
class Labels:
    """The truth of T frames with N bodies. facts: the scenario's own labels, its odds and its outcome."""

    movers: UInt8[Tensor, "T H W"]  # 1 + the mover that the left eye's pixel shows; 0: what stands still
    position: Float[Tensor, "T N 3"]  # metres, world
    velocity: Float[Tensor, "T N 3"]  # m/s
    energy: Float[Tensor, "T N"]  # joules
    facts: dict[str, Any]

    @property
    def moving(self) -> Bool[Tensor, "T H W"]:
        """The pixels that show a mover."""
        return self.movers > 0


def scenario_episode(
    name: str,
    seed: int,
    frames: int = 32,
    size: int = 64,
    *,
    speeds: Speeds = "train",
    outcome: int | None = None,
    actions: Sequence[int] | None = None,
    free: bool = False,
    rig: RoomsRig | None = None,
    nudge: float = 0.0,
) -> tuple[Episode, Labels]:
    """An episode of a scenario and its truth, a function of the arguments alone.

    The walker follows the scenario's plan; or `actions` (indices); or, `free`, walks about. `nudge` adds that many m/s
    to each moving body's start, for a second take of one scene. Raises ValueError for fewer than 2 frames.
    """
    if frames < 2:
        raise ValueError(f"expected at least 2 frames in an episode, for one action; got {frames}")
    scenario = make_scenario(name, seed, speeds=speeds, outcome=outcome)
    rig, rooms = rig or RoomsRig(size=size), stacked(scenario)
    moment = first_moment(scenario)
    if nudge and moment.bodies is not None:
        moment = nudged(moment, nudge)
    wishes = [planned(scenario, t) for t in range(frames - 1)]
    if free:
        closed = with_movers(rooms, [scenario.script(0)], scenario.materials[None])
        wishes = list(walk(closed, frames - 1, WALK_SEED, start=scenario.start[None], rig=rig).actions[0])
    elif actions is not None:
        wishes = [action_vectors()[list(actions)[t]] for t in range(frames - 1)]
    moments = [moment]
    for wish in wishes:
        moments.append(next_moment(scenario, rooms, moments[-1], wish, rig))
    sights = [see_moments(scenario, rooms, moments[i : i + AT_ONCE], rig) for i in range(0, frames, AT_ONCE)]
    rgb, right, depth, w2c = (torch.cat([getattr(s, k) for s, _ in sights]) for k in ("rgb", "right", "depth", "w2c"))
    episode = Episode(
        rgb, w2c, rig.camera(w2c[0]).K, torch.stack([m.action for m in moments[1:]]), right=right, depth=depth,
        baseline=rig.baseline, world="rooms", seed=seed, touch=torch.stack([m.touch for m in moments]),
        touch_names=TOUCH_NAMES, fps=float(scenario.fps),
    )  # fmt: skip
    facts = scenario.labels | {"scenario": name, "odds": scenario.odds, "outcome": scenario.outcome, "speeds": speeds}
    return episode, labels_of(moments, torch.cat([ids for _, ids in sights]).to(torch.uint8), facts)


def labels_of(moments: list[Moment], movers: UInt8[Tensor, "T H W"], facts: dict[str, Any]) -> Labels:
    """Where the bodies were at each moment, with the rest."""
    bodies = [m.bodies for m in moments if m.bodies is not None]
    if not bodies:
        none = torch.zeros(len(moments), 0, 3)
        return Labels(movers, none, none, none[..., 0], facts)
    position, velocity = (torch.stack([getattr(b, k)[0] for b in bodies]).float() for k in ("position", "velocity"))
    return Labels(movers, position, velocity, torch.stack([energy(b)[0] for b in bodies]).float(), facts)


def nudged(moment: Moment, by: float) -> Moment:
    """Moving bodies start faster by `by` m/s (slower, if negative); what falls from rest, that much downwards."""
    assert moment.bodies is not None
    b = moment.bodies
    size = torch.linalg.vector_norm(b.velocity, dim=-1, keepdim=True)
    down = (b.position[..., 2:] > b.radius[..., None] + 1e-3) * torch.tensor([0.0, 0.0, -1.0]).to(b.velocity)
    way = torch.where(size > 0, b.velocity / size.clamp(min=1e-9), down)
    spin = torch.where(size > 0, b.spin * (1 + by / size.clamp(min=1e-9)), b.spin)
    return replace(moment, bodies=replace(b, velocity=b.velocity + by * way, spin=spin))
