"""A scenario as it goes on: one frame after another, what moves is where it is, and the walker feels what it meets."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...actions.walker import STEP, action_vectors
from .layout import RoomBatch, stack_rooms
from .movers import Shapes, mover_ids, with_movers
from .physics import Bodies, Pusher, advance
from .raycast import raycast
from .rig import RoomsRig
from .scenarios import Scenario
from .simulation import Sight, act
from .walkers import centers

WALKER_MASS = 20.0  # kg: what a stopped move is worth as an impulse
TOUCH_NAMES = ("bump", "bump_impulse", "contact", "contact_impulse")
"""0 or 1: a wall, a thing or another walker stopped the move; N s: WALKER_MASS times the speed (m/s) that it took away.
0 or 1: a moving body touched the walker; N s that they exchanged, at most what a stopped step is worth (a ball that is
pinned to a wall would be felt without bounds: nothing stops the walker's disc but the room)."""


@dataclass(frozen=True)
class Moment:
    """One frame of a scenario, as a value: keep it to fork, go back to it to restore."""

    frame: int
    w2c: Float[Tensor, "4 4"]
    bodies: Bodies | None
    touch: Float[Tensor, "4"]  # TOUCH_NAMES: what led to this frame
    action: Float[Tensor, "4"]  # forward m, right m, yaw rad, pitch rad, as carried out; zeros at the beginning


def first_moment(scenario: Scenario) -> Moment:
    return Moment(0, scenario.start, scenario.bodies, torch.zeros(len(TOUCH_NAMES)), torch.zeros(4))


@torch.no_grad()
def next_moment(
    scenario: Scenario, rooms: RoomBatch, moment: Moment, wish: Float[Tensor, "4"], rig: RoomsRig
) -> Moment:
    """After an action (forward m, right m, yaw rad, pitch rad). `rooms` is the scenario's room, stacked alone."""
    moves = bool((wish != 0).any())
    w2c, done, touched = moment.w2c[None], wish[None], torch.zeros(1, dtype=torch.bool)
    if moves:
        scripted = scenario.script(moment.frame + 1)
        blocked = with_movers(rooms, [scripted], scenario.materials[None])
        w2c, done, touched = act(blocked, w2c, wish[None], rig)
    lost = float((wish[:2] - done[0, :2]).norm()) if bool(touched) else 0.0
    bodies, felt = moment.bodies, 0.0
    if bodies is not None:
        for kick in scenario.kicks:
            bodies = kicked(bodies, kick.body, kick.velocity) if kick.frame == moment.frame else bodies
        start, end = (centers(m)[None, :2].double() for m in (moment.w2c, w2c[0]))
        bodies, impulse = advance(rooms, bodies, 1 / scenario.fps, Pusher(start, end, rig.radius))
        felt = min(float(impulse.sum()), WALKER_MASS * STEP * scenario.fps)
    touch = [float(touched), WALKER_MASS * lost * scenario.fps, float(felt > 1e-6), felt]
    return Moment(moment.frame + 1, w2c[0], bodies, torch.tensor(touch), done[0])


def kicked(bodies: Bodies, body: int, velocity: tuple[float, float, float]) -> Bodies:
    """A body with a new velocity, rolling."""
    speeds, spins = bodies.velocity.clone(), bodies.spin.clone()
    speeds[:, body] = torch.tensor(velocity).to(speeds)
    spins[:, body] = torch.tensor([-velocity[1], velocity[0], 0.0]).to(spins) / bodies.radius[:, body, None]
    return replace(bodies, velocity=speeds, spin=spins)


def shapes_of(scenario: Scenario, moment: Moment) -> Shapes:
    """Everything that moves, as it is at this moment."""
    shapes, bodies = Shapes(), moment.bodies
    if bodies is not None:
        for k, material in enumerate(scenario.body_materials):
            radius, place = float(bodies.radius[0, k]), tuple(bodies.position[0, k].tolist())
            if radius <= 0:
                continue
            turn = bodies.turn[0, k]
            if bool(bodies.rolls[0, k]):
                shapes.balls.append((*place, radius, material))
                shapes.turns.append(turn.float())
            else:
                yaw = math.atan2(float(turn[1, 0]), float(turn[0, 0]))
                shapes.boxes.append((*place, radius, radius, radius, yaw, material))
    return scenario.script(moment.frame) + shapes


@torch.no_grad()
def see_moments(
    scenario: Scenario, rooms: RoomBatch, moments: list[Moment], rig: RoomsRig
) -> tuple[Sight, Int[Tensor, "T H W"]]:
    """The rig's eyes and the left one's depth at each moment, and which mover the left eye's pixels show (0: none)."""
    repeated = rooms[[0] * len(moments)]
    materials = scenario.materials.expand(len(moments), -1, -1)
    moving = with_movers(repeated, [shapes_of(scenario, m) for m in moments], materials)
    w2c = torch.stack([m.w2c for m in moments])
    seen = raycast(moving, rig.see(w2c), materials=True)
    assert seen.material is not None
    return Sight.of(w2c, seen), mover_ids(repeated, seen.material[:, 0])


def planned(scenario: Scenario, frame: int) -> Float[Tensor, "4"]:
    """The planned action from `frame` to the next."""
    return action_vectors()[scenario.action(frame)]


def stacked(scenario: Scenario) -> RoomBatch:
    return stack_rooms([scenario.room])
