"""Goal-image reaching: of 16 plans, which one ends where the goal image was taken? Dreams rank, the simulator judges.

A metric task: a memory whose pictures are right and whose metres are wrong chooses plans that fall short.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from render.camera import Camera

from ..actions.walker import Walker
from ..worlds.rooms.collision import sample_free_pose
from ..worlds.rooms.layout import RoomBatch, make_room, stack_rooms
from ..worlds.rooms.raycast import raycast
from ..worlds.rooms.rig import RoomsRig
from .episodes import Episode, record
from .retrieval import CANDIDATES, view_distances
from .returns import OBSERVED, observed_beginning
from .walks import SPACE, TRIES, centers, fits, follow, ground_track, named_actions

MOVES = {"forward": 0.4, "left": 0.2, "right": 0.2, "strafe_left": 0.1, "strafe_right": 0.1}
STICKY = 0.6  # probability that a plan repeats its last action
APART = 1.0  # of the units below: two plans end at least this far from each other
METRES, DEGREES = 0.25, 15.0  # one step and one turn of the walker
WITHIN_METRES, WITHIN_DEGREES = 0.3, 15.5  # of the goal: reached
PLAN_TRIES = 4000


@dataclass(frozen=True)
class ReachTest:
    """episode: the plan that ends at the goal, whose last true frame is the goal image. plans [16, L, 4]: that one
    first, then others from the same place; w2c [16, L, 4, 4]: where each leads, free of collisions; last [16, H, W, 3]:
    what is truly seen there."""

    episode: Episode
    plans: Float[Tensor, "P L 4"]
    w2c: Float[Tensor, "P L 4 4"]
    last: Float[Tensor, "P H W 3"]

    @property
    def goal(self) -> Float[Tensor, "H W 3"]:
        return self.episode.truth[-1]

    def cameras(self, plan: int) -> list[Camera]:
        """The commanded cameras of a plan."""
        like = self.episode.cameras[0]
        return [Camera(like.K, w2c, like.width, like.height) for w2c in self.w2c[plan]]


@dataclass(frozen=True)
class Reached:
    """What the chosen plan comes to in the simulator: metres and degrees from the goal; within both bounds, reached is
    1. rank_correlation: Spearman's, over all plans, of the distance to the goal image of the frame dreamt and of the
    true one: whether the dream orders plans as the simulator does.
    """

    reached: float
    metres: float
    degrees: float
    rank_correlation: float


def reach(seed: int, steps: int, rig: RoomsRig | None = None) -> ReachTest:
    """A beginning that looks 120 degrees about with two steps aside (11 views), then 16 plans of `steps` actions.

    Raises ValueError where room `seed` leaves too few plans.
    """
    rooms, rng = stack_rooms([make_room(seed)]), np.random.default_rng([seed, 11])
    for attempt in range(TRIES):
        start = sample_free_pose(rooms, seed=attempt, radius=SPACE)[0]
        before, back = observed_beginning(rng)
        begun = named_actions(before)
        if not fits(rooms, ground_track(start, begun)):
            continue
        here = follow(start, begun, OBSERVED).w2c[-1]
        plans = _plans(rng, rooms, here, back, steps)
        if len(plans) < CANDIDATES:
            continue
        actions = torch.stack([named_actions(names) for names in plans])
        w2c = torch.stack([follow(here, each, 1).w2c[1:] for each in actions])
        episode = record(rooms, follow(start, torch.cat([begun, actions[0]]), OBSERVED), seed, rig)
        like = (rig or RoomsRig()).camera(w2c[:, -1])
        ends = Camera(like.K.expand(1, len(w2c), 3, 3), like.w2c[None], like.width, like.height)
        return ReachTest(episode, actions, w2c, raycast(rooms, ends).rgb[0])
    raise ValueError(f"expected {CANDIDATES} free plans in room {seed}; found fewer in {TRIES} tries; use another seed")


def judge(test: ReachTest, last: Float[Tensor, "P H W 3"]) -> Reached:
    """What choosing by the last imagined frames comes to: the plan whose frame is nearest to the goal image."""
    dreamt = view_distances(test.goal, last).double().numpy()
    metres, degrees = distances(test.w2c[:, -1], test.w2c[0, -1])
    chosen = int(dreamt.argmin())
    far, turned = float(metres[chosen]), float(degrees[chosen])
    true = view_distances(test.goal, test.last).double().numpy()
    reached = far <= WITHIN_METRES and turned <= WITHIN_DEGREES
    return Reached(float(reached), far, turned, rank_correlation(dreamt, true))


def distances(w2c: Float[Tensor, "P 4 4"], goal: Float[Tensor, "4 4"]) -> tuple[Tensor, Tensor]:
    """Metres between centres and degrees between headings, of each camera to the goal."""
    metres = (centers(w2c) - centers(goal[None])).norm(dim=-1)
    traces = torch.einsum("pij,ij->p", w2c[:, :3, :3].double(), goal[:3, :3].double())
    return metres.double(), torch.rad2deg(torch.arccos(((traces - 1) / 2).clamp(-1, 1)))


def rank_correlation(a: Float[np.ndarray, " P"], b: Float[np.ndarray, " P"]) -> float:
    """Spearman's: the correlation of ranks, ties sharing theirs. nan where one of them is constant."""
    ranks = [np.unique(x, return_inverse=True, return_counts=True)[1:] for x in (a, b)]
    x, y = (np.cumsum(counts)[inverse] - (counts[inverse] - 1) / 2 for inverse, counts in ranks)
    x, y = x - x.mean(), y - y.mean()
    scale = np.sqrt((x**2).sum() * (y**2).sum())
    return float((x * y).sum() / scale) if scale > 0 else float("nan")


def _plans(
    rng: np.random.Generator, rooms: RoomBatch, here: Float[Tensor, "4 4"], back: str, steps: int
) -> list[list[str]]:
    """Plans that are free and end apart; they begin with a turn back over what was observed."""
    found: list[list[str]] = []
    ends: list[Tensor] = []
    for _ in range(PLAN_TRIES):
        names = [back] * int(rng.integers(1, max(2, steps // 2)))
        name = "forward"
        while len(names) < steps:
            if rng.random() > STICKY:
                name = str(rng.choice(list(MOVES), p=list(MOVES.values())))
            names.append(name)
        actions = named_actions(names[:steps])
        if not fits(rooms, ground_track(here, actions)):
            continue
        end = Walker().move(here, actions[0])
        for action in actions[1:]:
            end = Walker().move(end, action)
        if ends:
            metres, degrees = distances(torch.stack(ends), end)
            if float((metres / METRES + degrees / DEGREES).min()) < APART - 1e-3:
                continue
        found.append(names[:steps])
        ends.append(end)
        if len(found) == CANDIDATES:
            break
    return found
