"""Walks with a known truth: an observed beginning, then commanded cameras that are equal in every arm.

Everything is planned in the simulator, free of collisions, and is a function of a seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from recon.view import View
from render.camera import Camera

from ..actions.walker import TURN, Walker
from ..worlds.rooms.collision import clearance, free_path, sample_free_pose
from ..worlds.rooms.layout import Room, make_room, stack_rooms
from ..worlds.rooms.raycast import raycast
from ..worlds.rooms.rig import RoomsRig
from .episodes import Episode, Route, record
from .retrieval import CANDIDATES
from .walks import SPACE, TRIES, centers, fits, follow, named_actions

LAYOUTS = 20_000_000  # first layout seed of the rooms that look alike; no other room uses these
FULL_TURN, THIRD_TURN = 24, 9  # observed views, 15 degrees apart
STICKY = 0.6  # probability that a random walk repeats its last action
MOVES = {"forward": 0.36, "left": 0.2, "right": 0.2, "strafe_left": 0.07, "strafe_right": 0.07, "back": 0.04,
         "look_up": 0.03, "look_down": 0.03}  # fmt: skip
LOOKS = 2  # a random walk looks at most this many turns up or down
PITCH_STEPS = 4  # looks down of 15 degrees: the floor 1.2 m below fills most of the view


@dataclass(frozen=True)
class StareTest:
    """Look round, stare at the floor, come up at another heading: which of the candidates was it?

    candidates [16, H, W, 3]: the last camera's true view in 16 rooms of one style, the right one first.
    shown: the true frames that were in view just before coming up. wrong: views of the same cameras in yet
    another layout, for the memory of the wrong episode.
    """

    episode: Episode
    wrong: tuple[View, ...]
    candidates: Float[Tensor, "16 H W 3"]
    shown: Float[Tensor, "S H W 3"]


def random_walk(seed: int, frames: int, rig: RoomsRig | None = None) -> Episode:
    """A sticky random walk in which every step moves the camera, all but its last frame observed.

    Each action is repeated with probability .6, else drawn anew; one that would touch something is a turn
    instead. Cut it with `Episode.window`.
    """
    rooms, rng = stack_rooms([make_room(seed)]), np.random.default_rng([seed, 3])
    w2c, taken = [sample_free_pose(rooms, seed=0, radius=SPACE)[0]], []
    name = "forward"
    for _ in range(frames - 1):
        if rng.random() > STICKY:
            name = str(rng.choice(list(MOVES), p=list(MOVES.values())))
        after = Walker().move(w2c[-1], named_actions([name])[0])
        way = centers(torch.stack([w2c[-1], after]))
        pitched = name.startswith("look") and float(Walker().pitch(after).abs()) > LOOKS * TURN + 1e-3
        if pitched or not bool(free_path(rooms, way[None, :1], way[None, 1:]).all()):
            name = str(rng.choice(["left", "right"]))
            after = Walker().move(w2c[-1], named_actions([name])[0])
        w2c.append(after)
        taken.append(name)
    return record(rooms, Route(torch.stack(w2c), named_actions(taken), frames - 1), seed, rig)


def out_and_back(seed: int, out_steps: int, rig: RoomsRig | None = None) -> Episode:
    """Nine views of a third of a turn are observed; then back over known ground, past its edge, and all
    the way home.

    The second half undoes the first, camera by camera. The way out turns over the observed sector, walks
    into it, and goes on past its other end, so that both seen and never-seen pixels come into view.
    """
    rooms = stack_rooms([make_room(seed)])
    rng = np.random.default_rng([seed, 1])
    for attempt in range(TRIES):
        side = "left" if rng.random() < 0.5 else "right"
        other = "right" if side == "left" else "left"
        # a step first, so that no imagined camera is one of the observed ones before it is home again
        names = [str(rng.choice(["forward", "back", "strafe_left", "strafe_right"]))] * int(rng.integers(1, 3))
        names += [side] * int(rng.integers(4, 7)) + ["forward"] * int(rng.integers(1, 4))
        names += [side] * max(0, out_steps - len(names))
        out = named_actions(names[:out_steps])
        start = sample_free_pose(rooms, seed=attempt, radius=SPACE)[0]
        there = follow(start, torch.cat([named_actions([other] * (THIRD_TURN - 1)), out]), observed=THIRD_TURN)
        back = there.w2c[THIRD_TURN - 1 : -1].flip(0)
        route = Route(torch.cat([there.w2c, back]), torch.cat([there.actions, -out.flip(0)]), THIRD_TURN)
        if fits(rooms, centers(there.w2c)):
            return record(rooms, route, seed, rig)
    raise ValueError(f"expected a free walk in room {seed}; found none in {TRIES} tries; do use another seed")


def stare(seed: int, stare_steps: int, rig: RoomsRig | None = None) -> StareTest:
    """The stare test in 16 rooms of one style, with the camera in free space in all of them.

    24 observed turns of 15 degrees; then, imagined: four looks down, `stare_steps` at the floor of which 5
    to 12 (all to one side, at random times) turn on the spot, and four looks up. The last heading is 75 to
    180 degrees away from the last one observed.
    """
    if stare_steps < 5:
        raise ValueError(f"expected at least 5 steps at the floor; got {stare_steps}; do raise stare_steps")
    rng = np.random.default_rng([seed, 2])
    start = sample_free_pose(stack_rooms([make_room(seed)]), seed=0, radius=SPACE)[0]
    rooms = stack_rooms(_alike(seed, start, CANDIDATES + 1))
    turns = int(rng.integers(5, min(12, stare_steps) + 1))
    names = [str(rng.choice(["left", "right"]))] * turns + ["stay"] * (stare_steps - turns)
    names = ["look_down"] * PITCH_STEPS + [str(n) for n in rng.permutation(names)] + ["look_up"] * PITCH_STEPS
    route = follow(start, named_actions(["left"] * (FULL_TURN - 1) + names), observed=FULL_TURN)
    episode = record(rooms[:1], route, seed, rig)
    wrong = record(
        rooms[CANDIDATES:], Route(route.w2c[:FULL_TURN], route.actions[: FULL_TURN - 1], FULL_TURN), seed, rig
    )
    last = (rig or RoomsRig()).camera(route.w2c[-1:])
    batch = Camera(last.K.expand(CANDIDATES, 1, 3, 3), last.w2c.expand(CANDIDATES, 1, 4, 4), last.width, last.height)
    candidates = raycast(rooms[:CANDIDATES], batch).rgb[:, 0]
    return StareTest(episode, wrong.views, candidates, episode.truth[-PITCH_STEPS - 4 : -PITCH_STEPS])


def _alike(seed: int, start: Float[Tensor, "4 4"], count: int) -> list[Room]:
    """The room of `seed` and others of its style with other layouts, in all of which the camera stands
    free."""
    rooms, position = [make_room(seed)], centers(start[None])[None]
    for attempt in range(TRIES):
        if len(rooms) == count:
            return rooms
        layout_seed = LAYOUTS + (seed % 1_000_000) * TRIES + attempt
        room = make_room(layout_seed, style_seed=seed, layout_seed=layout_seed)
        if float(clearance(stack_rooms([room]), position)) >= SPACE:
            rooms.append(room)
    raise ValueError(f"expected {count} rooms like {seed}; found {len(rooms)}; do use another seed")
