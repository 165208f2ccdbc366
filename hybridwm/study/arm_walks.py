"""Walks of the arm's wrist eyes with a known truth: the player's own, out and back, and the stare test.

In the scripted ones the hand glides over the table at one height and touches nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from recon.view import View

from ..worlds.arm.env import ACTIONS, ArmEnv
from ..worlds.arm.layout import Table, make_table
from ..worlds.arm.players import Player
from ..worlds.arm.rig import DECISION
from ..worlds.episodes import Episode as Recorded
from .episodes import Episode
from .retrieval import CANDIDATES
from .trajectories import LAYOUTS, TRIES, StareTest
from .world_episodes import Film, cut, seen_from

HEIGHT = 0.14  # metres of the tip over the table: the eyes, 17 cm higher, see 23 cm to each side
SIDE = 0.26  # metres from the middle to where a sweep begins and ends: the two show nothing in common
OBSERVED = 9  # views of out and back
GLIDE, FAST = 0.03, 0.04  # metres a step
SETTLE = 4  # steps until the hand stands still
IN_VIEW = 0.06  # metres from the middle on that side: where things are in view from the end of a sweep
LEAST = 2  # things in view there, in each of the layouts that are compared
GRIP = 1.0


def walk(seed: int, frames: int, size: int = 64) -> tuple[Recorded, Tensor | None]:
    """What the scripted player of a seed sees and does, and the pixels that show the robot or an object."""
    env = _env(size)
    seen, info = env.reset(seed=seed)
    film, player = Film(seen, info, env.moving()), Player(seed)
    for _ in range(frames - 1):
        seen, *_, info = env.step(player.act(env.simulation))
        film.add(seen, info, env.moving())
    return _episode(film, seed), film.moving()


def out_and_back(seed: int, out_steps: int, size: int = 64) -> Episode:
    """Nine views of a sweep across a third of the table; then back over it, a little higher or lower, past where it
    began, and all the way home. What moves is the robot's own fingers: nothing is touched."""
    rng = np.random.default_rng([seed, 0xE1])
    way = 1.0 if rng.random() < 0.5 else -1.0
    env = _env(size)
    env.reset(seed=seed)
    x, y, yaw = rng.uniform(0.40, 0.50), way * rng.uniform(-0.02, 0.06), rng.uniform(-0.4, 0.4)
    film = _begun(env, np.array([x, y, HEIGHT, yaw]))
    out = [_step(0, way * GLIDE, 0) for _ in range(OBSERVED - 1)]
    aside = _step(float(rng.choice([-0.03, 0.03])), 0, float(rng.uniform(0.0, 0.03)))
    there = [aside] * int(rng.integers(1, 3))
    there += [_step(0, -way * FAST, 0) for _ in range(out_steps - len(there))]
    home = [_undone(action) for action in reversed(there)]
    _drive(env, film, [*out, *there, *home])
    return cut(_episode(film, seed), 0, OBSERVED, 2 * out_steps, film.moving())


def stare(seed: int, still: int, size: int = 64) -> StareTest:
    """A sweep across the whole table is observed; then, imagined: `still` steps of standing at its end, which shows
    nothing of where it began, and the way back there.

    candidates: the last camera's true view in 16 layouts of one style. wrong: the sweep over yet another layout.
    """
    rng = np.random.default_rng([seed, 0xE2])
    way = 1.0 if rng.random() < 0.5 else -1.0
    begin = np.array([rng.uniform(0.42, 0.50), way * SIDE, HEIGHT, rng.uniform(-0.3, 0.3)])
    count = round(2 * SIDE / GLIDE)
    sweep = [_step(0, -way * 2 * SIDE / count, 0)] * count
    fast = round(2 * SIDE / FAST)
    back = [_step(0, 0, 0)] * still + [_step(0, way * 2 * SIDE / fast, 0)] * fast
    env, tables = _env(size), _alike(seed, way)
    _lay(env, tables[0])
    film, poses = _begun(env, begin), [_pose(env)]
    for action in [*sweep, *back]:
        _drive(env, film, [action])
        poses.append(_pose(env))
    episode = cut(_episode(film, seed), 0, count + 1, len(back), film.moving())
    others = [_seen(env, table, poses[-1:])[0].image for table in tables[1:-1]]
    candidates = torch.cat([episode.truth[-1:], torch.stack(others)])
    wrong = seen_from(_seen(env, tables[-1], poses[: count + 1]), [view.camera for view in episode.views])
    return StareTest(episode, wrong, candidates, episode.truth[:still])


@functools.lru_cache(maxsize=2)
def _env(size: int) -> ArmEnv:
    return ArmEnv(size)


def _step(x: float, y: float, z: float) -> Float[np.ndarray, "5"]:
    return np.array([x, y, z, 0, GRIP], np.float32)


def _undone(action: Float[np.ndarray, "5"]) -> Float[np.ndarray, "5"]:
    """The way back, with the same grip."""
    return np.array([*-action[:4], action[4]], np.float32)


def _begun(env: ArmEnv, tip: Float[np.ndarray, "4"]) -> Film:
    """A film that begins with the hand at rest over `tip` (x, y, z metres, yaw)."""
    largest = np.array([FAST, FAST, FAST, 0.25])
    high = np.array([*env.simulation.tip[:2], max(tip[2], env.simulation.tip[2]), env.simulation.tip[3]])
    for goal in (high, np.array([*tip[:2], high[2], tip[3]]), tip):
        while np.abs(goal - env.simulation.tip).max() > 1e-3:
            env.step(np.array([*np.clip(goal - env.simulation.tip, -largest, largest), GRIP], np.float32))
    for _ in range(SETTLE):
        seen, *_, info = env.step(_step(0, 0, 0))
    return Film(seen, info, env.robot())


def _drive(env: ArmEnv, film: Film, actions: Iterable[np.ndarray]) -> None:
    for action in actions:
        seen, *_, info = env.step(action)
        film.add(seen, info, env.robot())


def _lay(env: ArmEnv, table: Table) -> None:
    env.reset(seed=table.seed, options={"style_seed": table.style_seed, "layout_seed": table.layout_seed})


def _pose(env: ArmEnv) -> tuple[np.ndarray, float]:
    return env.simulation.joints, env.simulation.opening


def _seen(env: ArmEnv, table: Table, poses: Iterable[tuple[np.ndarray, float]]) -> list[View]:
    """Another table from where the arm was."""
    _lay(env, table)
    return [env.put(*pose)[1]["view"] for pose in poses]


def _alike(seed: int, way: float) -> list[Table]:
    """The table of a style and 16 others of it, each with things in view where the hand comes back to."""
    tables: list[Table] = []
    for attempt in range(TRIES):
        layout = seed if attempt == 0 else LAYOUTS + (seed % 1_000_000) * TRIES + attempt
        table = make_table(seed, style_seed=seed, layout_seed=layout)
        if sum(way * thing.place[1] > IN_VIEW for thing in table.things) >= LEAST:
            tables.append(table)
        if len(tables) == CANDIDATES + 1:
            return tables
    raise ValueError(f"expected {CANDIDATES + 1} layouts of style {seed}; found {len(tables)}; do use another seed")


def _episode(film: Film, seed: int) -> Recorded:
    return film.episode("arm", seed, action_names=ACTIONS["ee"], fps=1 / DECISION)
