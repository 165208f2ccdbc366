"""Walks through Doom's level with a known truth: the player's own, out and back, and the stare test.

The level is the same for every seed, and weights may know it: a test of memory says something only beside its
controls. Its distractors are other views of the same level, chosen so that what was last in view does not give the
right one away.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from render.transforms import invert_rigid

from ..worlds.collection import play
from ..worlds.doom.env import NAMES, DoomEnv
from ..worlds.doom.players import INVERSE
from ..worlds.episodes import Episode as Recorded
from .episodes import Episode
from .retrieval import CANDIDATES, palette_distances
from .trajectories import FULL_TURN, THIRD_TURN, StareTest
from .world_episodes import Film, cut, seen_from

TRIES = 60
PLACES, HEADINGS = 160, 8  # of the level's views that distractors are taken from
FIRST_PLACE = 20_000_000  # their first seed; no other walk begins there
ALIKE = 45  # of them, those that are painted most like the right one
ELSEWHERE = 1.5  # metres away at least, or …
TURNED = math.radians(50)  # … by so much another heading, for a view to be another one
TURNS = (5, 12)  # of 15 degrees, from the last heading that was seen to the one that is asked for


def walk(seed: int, frames: int, size: int = 64) -> tuple[Recorded, None]:
    """What the scripted player of a seed sees and does."""
    (recorded,) = play("doom", [seed], frames, size)
    return recorded, None


def out_and_back(seed: int, out_steps: int, size: int = 64) -> Episode:
    """Nine views of a third of a turn are observed; then back over it with some steps, past its other end, and all the
    way home. Of the places that the seed leads to, the first from which nothing is in the way."""
    for attempt in range(TRIES):
        rng = np.random.default_rng([seed, attempt, 0xD1])
        side, other = ("left", "right") if rng.random() < 0.5 else ("right", "left")
        names = [str(rng.choice(["forward", "back", "strafe_left", "strafe_right"]))] * int(rng.integers(1, 3))
        names += [side] * int(rng.integers(4, 7)) + ["forward"] * int(rng.integers(1, 4))
        names += [side] * max(0, out_steps - len(names))
        out = [NAMES.index(name) for name in names[:out_steps]]
        ways = [NAMES.index(other)] * (THIRD_TURN - 1) + out + [INVERSE[way] for way in reversed(out)]
        recorded = _filmed(_game(seed, attempt), ways, size)
        if recorded is not None:
            return cut(recorded, 0, THIRD_TURN, 2 * out_steps)
    raise ValueError(f"expected a free walk for seed {seed}; found none in {TRIES} tries; do use another seed")


def stare(seed: int, still: int, size: int = 64) -> StareTest:
    """A whole turn is observed; then, imagined: `still` steps of standing, and 5 to 12 turns to one side.

    The 15 other candidates are views of the level from elsewhere, or of a heading 50 degrees or more away: of the 45
    whose palettes are most like the right one's, those as far in it from what was last in view. wrong: a whole turn at
    another place.
    """
    rng = np.random.default_rng([seed, 0xD2])
    turns, side = int(rng.integers(TURNS[0], TURNS[1] + 1)), str(rng.choice(["left", "right"]))
    ways = [NAMES.index("left")] * (FULL_TURN - 1)
    dream = [NAMES.index("stay")] * still + [NAMES.index(side)] * turns
    for attempt in range(TRIES):
        recorded = _filmed(_game(seed, attempt), ways + dream, size)
        elsewhere = _filmed(_game(seed, attempt + TRIES), ways, size)
        if recorded is None or elsewhere is None or _near(recorded, elsewhere):
            continue
        episode = cut(recorded, 0, FULL_TURN, len(dream))
        wrong = seen_from(elsewhere.views(), [view.camera for view in episode.views])
        shown = episode.truth[:still]
        return StareTest(episode, wrong, _candidates(episode, shown, size), shown)
    raise ValueError(f"expected two places for seed {seed}; found none in {TRIES} tries; do use another seed")


def _game(seed: int, attempt: int) -> int:
    """As play_episode: the seed's own game, then others that follow from it."""
    return seed if attempt == 0 else int(np.random.SeedSequence([seed, attempt]).generate_state(1)[0])


@functools.lru_cache(maxsize=2)
def _env(size: int, continuous: bool = False) -> DoomEnv:
    return DoomEnv(size, continuous=continuous)


def _filmed(game: int, ways: Sequence[int], size: int) -> Recorded | None:
    """What these keys show; None where something stopped a move or the game ended."""
    env = _env(size)
    seen, info = env.reset(seed=game)
    film = Film(seen, info)
    for way in ways:
        seen, _, over, _, info = env.step(way)
        if over or seen["touch"]:
            return None
        film.add(seen, info)
    return film.episode("doom", game, fps=env.fps)


def _near(one: Recorded, other: Recorded) -> bool:
    assert one.w2c is not None and other.w2c is not None
    places = [invert_rigid(w2c[0])[:3, 3] for w2c in (one.w2c, other.w2c)]
    return float((places[0] - places[1]).norm()) < 2 * ELSEWHERE


def _candidates(episode: Episode, shown: Float[Tensor, "S H W 3"], size: int) -> Float[Tensor, "16 H W 3"]:
    """The right view, then 15 others: of ALIKE that are painted most like it, those that lie as far from `shown`."""
    images, w2c = _views_of_the_level(size)
    right, last = episode.truth[-1], episode.cameras[-1]
    away = (invert_rigid(w2c)[:, :3, 3] - last.center).norm(dim=1)
    turned = torch.arccos((w2c[:, 2, :3] @ last.w2c[2, :3]).clamp(-1, 1))
    other = ((away > ELSEWHERE) | (turned > TURNED)).nonzero()[:, 0]
    alike = images[other[palette_distances(right[None], images[other]).argsort(stable=True)[:ALIKE]]]
    distances = palette_distances(shown, torch.cat([right[None], alike]))
    order = (distances[1:] - distances[0]).abs().argsort(stable=True)[: CANDIDATES - 1]
    return torch.cat([right[None], alike[order]])


@functools.lru_cache(maxsize=1)
def _views_of_the_level(size: int) -> tuple[Float[Tensor, "N H W 3"], Float[Tensor, "N 4 4"]]:
    """Views from places of the level, eight headings at each."""
    env, images, w2c = _env(size, True), [], []
    for place in range(PLACES):
        seen, _ = env.reset(seed=FIRST_PLACE + place)
        for _ in range(HEADINGS):
            images.append(torch.from_numpy(seen["rgb"]).float() / 255)
            w2c.append(torch.from_numpy(seen["camera"]))
            seen = env.step(np.array([0, 0, 2 * math.pi / HEADINGS], np.float32))[0]
    return torch.stack(images), torch.stack(w2c)
