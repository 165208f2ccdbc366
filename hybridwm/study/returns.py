"""Walks that come back: to shifted cameras, after waiting, full circle, round a square, round a point, and mirrored.

All begin alike, with 11 observed views: a step aside, four turns, a step aside, four turns, so that 120 degrees of
headings are seen and two pairs of views have 0.25 m of parallax. What is imagined is `steps` long, never touches
anything, and is a function of the seed. The actions are the walker's own discrete ones.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..actions.walker import ACTIONS
from ..worlds.rooms.layout import RoomBatch
from ..worlds.rooms.rig import RoomsRig
from .episodes import Episode
from .walks import fits, ground_track, named_actions, plan

OBSERVED = 11  # views
AWAY = 6  # turns of 15 degrees past the observed sector's edge: with 77 degrees of view, none of it is in sight
STROLL = 4  # turns further, within which one waits: the sector's other end stays out of sight
CORNER = 6  # turns
LONGEST_SIDE = 14  # steps: 3.5 m
HELD = 24  # steps for each action of a mirrored path (MIND)
LEAST_SHIFT = 0.15  # metres between a camera of the return and any earlier one of its heading
SAME_HEADING = 5.0  # degrees
OPPOSITE = {"left": "right", "right": "left", "forward": "back", "back": "forward", "stay": "stay",
            "strafe_left": "strafe_right", "strafe_right": "strafe_left"}  # fmt: skip
# Ten symmetric paths as in MIND: translations, rotations, and one with the other.
MIRRORED_PATHS = (
    ("forward", "back"), ("back", "forward"), ("strafe_left", "strafe_right"), ("strafe_right", "strafe_left"),
    ("left",), ("right",), ("forward", "left"), ("forward", "right"), ("back", "left"), ("back", "right"),
)  # fmt: skip


def shifted_return(seed: int, steps: int, rig: RoomsRig | None = None) -> Episode:
    """Out over the observed sector and past it, a step of 0.25 m to the side, and back at that distance from the way
    out, heading by heading.

    No camera of the return is nearer than 0.15 m to an earlier one of its heading, so nothing stored can be replayed.
    Home, as at the turning point, the shift is within 45 degrees of sideways. With an even number of steps the last
    camera is that beside the first imagined one, with an odd number that beside the last observed one.
    """
    _check("shifted_return", steps, 6)

    def propose(rng: np.random.Generator, attempt: int, rooms: RoomBatch, start: Tensor):
        before, back = observed_beginning(rng)
        out = steps // 2
        names = [str(rng.choice(["forward", "back", "strafe_left", "strafe_right"]))] * int(rng.integers(1, 3))
        ahead = int(rng.integers(1, 4)) * max(1, out // 14)
        # Of the turns that are left, the most after which sideways there is sideways at home, too.
        turns = max(n for n in range(max(0, out - len(names) - ahead) + 1) if n % 12 <= 3 or n % 12 >= 9)
        first = min(turns, int(rng.integers(4, 7)))
        names += [back] * first + ["forward"] * max(0, out - len(names) - turns) + [back] * (turns - first)
        names = names[:out]
        aside = str(rng.choice(["strafe_left", "strafe_right"]))
        return_ = [OPPOSITE[name] for name in names[::-1]][: steps - out - 1]
        walk = [*before, *names, aside, *return_]
        far = OBSERVED + out  # the first camera of the return
        return (walk, OBSERVED) if _is_apart(start, walk, far) else None

    return plan(seed, 4, propose, rig)


def leave_wait_return(seed: int, steps: int, rig: RoomsRig | None = None) -> Episode:
    """Six turns away, so that nothing observed is in sight; there a stroll of stays and turns; six turns back home.

    steps is the whole: with 28, one waits 16 of them. Below 13 steps, the turns away are fewer.
    """
    _check("leave_wait_return", steps, 3)

    def propose(rng: np.random.Generator, attempt: int, rooms: RoomBatch, start: Tensor):
        before, back = observed_beginning(rng)
        on = OPPOSITE[back]
        away = min(AWAY, (steps - 1) // 2)
        at, names = 0, [on] * away
        for left in range(steps - 2 * away, 0, -1):
            # -1, 0 or 1 turns, as far as one can be back in time
            choices = [move for move in (-1, 0, 0, 1) if 0 <= at + move <= min(STROLL, left - 1)]
            move = int(rng.choice(choices))
            at += move
            names.append({-1: back, 0: "stay", 1: on}[move])
        return [*before, *names, *[back] * away], OBSERVED

    return plan(seed, 5, propose, rig)


def full_turn(seed: int, steps: int, rig: RoomsRig | None = None) -> Episode:
    """On in the direction of the observed turns, 15 degrees a step: after 24 steps home again, and on."""
    _check("full_turn", steps, 1)

    def propose(rng: np.random.Generator, attempt: int, rooms: RoomBatch, start: Tensor):
        before, back = observed_beginning(rng)
        return [*before, *[OPPOSITE[back]] * steps], OBSERVED

    return plan(seed, 6, propose, rig)


def square_loop(seed: int, steps: int, rig: RoomsRig | None = None) -> Episode:
    """Four sides, each ahead and then 90 degrees about, towards the observed sector; home again, and on round.

    The sides are as long as the room allows and the steps suffice for: (steps - 24) / 4 actions of 0.25 m at most.
    With fewer than 28 steps the loop is not closed.
    """
    _check("square_loop", steps, 1)
    longest = min(LONGEST_SIDE, max(1, (steps - 4 * CORNER) // 4))
    each = 30  # tries

    def propose(rng: np.random.Generator, attempt: int, rooms: RoomBatch, start: Tensor):
        before, back = observed_beginning(rng)
        side = ["forward"] * max(1, longest - attempt // each) + [back] * CORNER
        loop = side * (steps // len(side) + 1)
        return [*before, *loop[:steps]], OBSERVED

    return plan(seed, 7, propose, rig, tries=each * longest + 400)


def orbit(seed: int, steps: int, rig: RoomsRig | None = None) -> Episode:
    """Round a point ahead that stays in view: a turn towards the observed sector after every second step aside, which
    is a circle of 1.9 m radius (72 steps); where the room has none, after every one (0.96 m, 48 steps).

    Where neither fits, as far round as it does, back the same way, and so on.
    """
    _check("orbit", steps, 1)
    one_way = 300  # tries

    def propose(rng: np.random.Generator, attempt: int, rooms: RoomBatch, start: Tensor):
        before, back = observed_beginning(rng)
        aside = "strafe_" + OPPOSITE[back]  # turning right about a point ahead, one moves to the left
        arc = [aside, back, aside] if attempt < 100 else [aside, back]
        reach = steps if attempt < one_way else max(2, steps // (2 + (attempt - one_way) // 50))
        way = (arc * (reach // len(arc) + 1))[:reach]
        there_and_back = [*way, *(OPPOSITE[name] for name in way[::-1])]
        return [*before, *(there_and_back * (steps // len(there_and_back) + 1))[:steps]], OBSERVED

    return plan(seed, 8, propose, rig, tries=one_way + 50 * max(2, steps // 2))


def mirrored(seed: int, steps: int, rig: RoomsRig | None = None) -> Episode:
    """One of MIND's ten symmetric paths, and the mirrored path: camera i is camera steps - 1 - i.

    Each action is held for 24 steps, or until the room ends: 24 steps of 0.25 m do not fit into it. The path is
    steps / 2 long; then one stay, so that the cameras pair exactly, and the way back to the first imagined camera.
    Raises ValueError for an odd number of steps.
    """
    _check("mirrored", steps, 4)
    if steps % 2:
        raise ValueError(f"mirrored: expected an even number of steps, out and back; got {steps}; do add one")

    def propose(rng: np.random.Generator, attempt: int, rooms: RoomBatch, start: Tensor):
        before, _ = observed_beginning(rng)
        path = MIRRORED_PATHS[int(rng.integers(len(MIRRORED_PATHS)))]
        # Where it cannot even be begun, a try is over.
        out = _held(path, steps // 2, rooms, start, before)
        if out is None:
            return None
        return [*before, *out, "stay", *(OPPOSITE[name] for name in out[:0:-1])], OBSERVED

    return plan(seed, 9, propose, rig)


RETURNS: dict[str, Callable[..., Episode]] = {
    "shifted_return": shifted_return,
    "leave_wait_return": leave_wait_return,
    "full_turn": full_turn,
    "square_loop": square_loop,
    "orbit": orbit,
    "mirrored": mirrored,
}


def observed_beginning(rng: np.random.Generator) -> tuple[list[str], str]:
    """The observed actions, and the turn that leads back over what they showed."""
    side = "left" if rng.random() < 0.5 else "right"
    other = OPPOSITE[side]
    # One moves against the turn, so that what is in the middle stays in view.
    return ["strafe_" + other, *[side] * 4] * 2, other


def _held(path: tuple[str, ...], count: int, rooms: RoomBatch, start: Tensor, before: list[str]) -> list[str] | None:
    """The path's actions in turn, each held for 24 steps or as long as it is free; None where it goes under 4 steps."""
    if not fits(rooms, ground_track(start, named_actions(before))):
        return None
    names: list[str] = []
    for index in range(count):
        name = path[index % len(path)]
        most = min(HELD, count - len(names))
        track = ground_track(start, named_actions([*before, *names, *[name] * most]))[-most - 1 :]
        free = 0
        while free < most and fits(rooms, track[free : free + 2]):
            free += 1
        if free < min(most, 4):
            return None
        names += [name] * free
        if len(names) == count:
            break
    return names


def _is_apart(start: Tensor, names: list[str], first: int) -> bool:
    """Whether the cameras from `first` on are nowhere near an earlier one of the same heading."""
    track = ground_track(start, named_actions(names))
    yaw = torch.cumsum(torch.tensor([0.0, *(ACTIONS[name][2] for name in names)]), 0)
    turn = torch.rad2deg((yaw[first:, None] - yaw[None, :first] + torch.pi).remainder(2 * torch.pi) - torch.pi).abs()
    away = (track[first:, None] - track[None, :first]).norm(dim=-1)
    return not bool(((turn < SAME_HEADING) & (away < LEAST_SHIFT)).any())


def _check(name: str, steps: int, least: int) -> None:
    if steps < least:
        raise ValueError(f"{name}: expected at least {least} steps to imagine; got {steps}; do raise steps")
