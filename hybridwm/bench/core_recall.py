"""What each memory recalls, by delay: `python -m hybridwm.bench.core_recall --weights rooms-64 --tests 64`.

The stare test: a whole turn is observed, the floor is stared at in imagination, and the last frame, at a heading of
the turn, must be nearest to its own one of 16 true views of rooms that look alike (chance 6.25 %). A delay is how many
frames before the last one the turn lies, from its newest view to its oldest: 21–44 and 101–124, which Loopy's 20 slots
reach and the last 20 frames do not, and 125–148, which the slots do not reach either. Every memory dreams the same
tests from the same weights, noise and commanded cameras.

Controls: a matcher of palettes, which must stay at chance, or what is in view gives the room away; and, at the shortest
delay, each memory filled from another layout, which must not find the room.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter
from typing import Any

import torch

from ..core.conditioning import Recalled, Remembered
from ..core.video_core import VideoCore
from ..memory import Memory, NothingMemory, make_memory
from ..study import arms, pool
from ..study.episodes import Episode
from ..study.pool import Unit
from ..study.retrieval import palette_distances, retrieved, view_distances
from ..study.statistics import Interval, paired_bootstrap, wilson
from ..study.trajectories import FULL_TURN, PITCH_STEPS, StareTest, stare
from ..world_model import WorldModel, imagine, load
from ..worlds.rooms.rig import RoomsRig

FIRST_SEED = 10_000_000  # held out: they judge, nothing is set by them
DELAYS = (21, 101, 125)
"""Frames before the last one at which the newest view of the turn lies; the oldest lies FULL_TURN - 1 before it."""
DEPTH = "stereo"
"""What measures depth for the memories that need it."""
LAST_20 = "recent, last 20"
MEMORIES = ("none", "recent", LAST_20, "loopy", "retrieved", "routed", "splat")
PALETTE = "palette"
PAIRS = (("loopy", LAST_20), ("splat", "loopy"), ("retrieved", "recent"), ("routed", "retrieved"), ("routed", "splat"))
"""Memories whose difference is measured, test by test."""


@dataclass(frozen=True)
class RecallBench:
    """What to measure: tests at each delay, of the same seeds."""

    weights: str = "rooms-64"
    tests: int = 64
    delays: tuple[int, ...] = DELAYS
    memories: tuple[str, ...] = MEMORIES
    first_seed: int = FIRST_SEED
    solver_steps: int = 1

    def __post_init__(self) -> None:
        shortest = 2 * PITCH_STEPS + 5
        if not self.delays or min(self.delays) < shortest:
            raise ValueError(f"core_recall: expected delays of at least {shortest} frames; got {list(self.delays)}.")
        if self.tests < 1:
            raise ValueError(f"core_recall: expected at least one test; got {self.tests}.")
        if set(self.memories) - set(MEMORIES):
            raise ValueError(f"core_recall: expected memories of {', '.join(MEMORIES)}; got {list(self.memories)}.")


@dataclass(frozen=True)
class RecallFigures:
    """hits: shares of tests by memory and delay; wrong: the same with the memory of another layout; ahead: paired
    differences of hits; milliseconds: of a step, the median over tests; reads_frames: see there."""

    hits: dict[str, dict[int, Interval]]
    wrong: dict[str, dict[int, Interval]]
    ahead: dict[str, dict[int, Interval]]
    milliseconds: dict[str, float]
    reads_frames: bool


def measure(bench: RecallBench, workers: int = 1) -> RecallFigures:
    """The figures; tests are shared among that many single-threaded processes (milliseconds are then those of one core,
    with the others busy)."""
    units = [Unit("recall", i, one_test) for i in range(bench.tests)]
    tests = [found for _, found, _ in sorted(pool.measure(units, bench, workers), key=lambda done: done[0].index)]

    def by_delay(kind: str, name: str) -> dict[int, list[float]]:
        return {d: [test[kind][name][d] for test in tests] for d in tests[0][kind][name]}

    def shares(kind: str) -> dict[str, dict[int, Interval]]:
        return {
            name: {d: wilson(sum(hits), len(hits)) for d, hits in by_delay(kind, name).items()}
            for name in tests[0][kind]
        }

    pairs = [(a, b) for a, b in PAIRS if {a, b} <= set(bench.memories)]
    ahead = {
        f"{a} - {b}": {d: paired_bootstrap(hits, by_delay("hits", b)[d]) for d, hits in by_delay("hits", a).items()}
        for a, b in pairs
    }
    milliseconds = {name: 1e3 * median(s for test in tests for s in test["seconds"][name]) for name in bench.memories}
    return RecallFigures(shares("hits"), shares("wrong"), ahead, milliseconds, reads_frames(_core(bench.weights)))


def one_test(bench: RecallBench, index: int) -> dict[str, Any]:
    """One style of room: {"hits", "wrong": {memory: {delay: hit}}, "seconds": {memory: [of a step, each delay]}}."""
    core = _core(bench.weights)
    height, width = core.config.image_size
    rig = RoomsRig(width, height=height)
    models = {name: _model(core, name, bench.solver_steps) for name in bench.memories}
    hits: dict[str, dict[int, float]] = {name: {} for name in (*bench.memories, PALETTE)}
    wrong: dict[str, dict[int, float]] = {name: {} for name in bench.memories if _keeps(name)}
    seconds: dict[str, list[float]] = {name: [] for name in bench.memories}
    for delay in bench.delays:
        test = stare(bench.first_seed + index, delay - 2 * PITCH_STEPS, rig)
        hits[PALETTE][delay] = retrieved(palette_distances(test.shown, test.candidates))
        for name, model in models.items():
            hits[name][delay], spent = _dreamed(model, test)
            seconds[name].append(spent)
            if name in wrong and delay == min(bench.delays):
                wrong[name][delay], _ = _dreamed(model, test, memory_of=replace(test.episode, views=test.wrong))
    return {"hits": hits, "wrong": wrong, "seconds": seconds}


@torch.no_grad()
def reads_frames(core: VideoCore) -> bool:
    """Whether a remembered frame changes what the core imagines: if not, loopy and retrieved are recent by another
    name."""
    cfg = core.config
    height, width = cfg.image_size
    rig = RoomsRig(width, height=height)
    camera = rig.camera(torch.eye(4))
    image = torch.rand(height, width, 3, generator=torch.Generator().manual_seed(0))
    frame = Remembered(image, camera, image if cfg.eyes == 2 else None)
    action = torch.zeros(cfg.action_dim)
    one, other = (
        core.imagine(core.begin(camera, 0, baseline=rig.baseline), recalled, camera, action)
        for recalled in (Recalled(), Recalled(frames=(frame,)))
    )
    return not torch.equal(one, other)


@functools.lru_cache(maxsize=1)
def _core(weights: str) -> VideoCore:
    return load(weights, memory="recent").core


def _model(core: VideoCore, name: str, solver_steps: int) -> WorldModel:
    cfg = core.config
    memory: Memory = (
        NothingMemory(frames=20)
        if name == LAST_20
        else make_memory(name, eyes=cfg.eyes, window=cfg.window, patch=cfg.patch)
    )
    return WorldModel(core, memory, depth=DEPTH if memory.grounded else None, solver_steps=solver_steps)


def _keeps(name: str) -> bool:
    """Whether the memory holds anything beside the core's own frames."""
    return name not in ("none", "recent", LAST_20)


def _dreamed(model: WorldModel, test: StareTest, *, memory_of: Episode | None = None) -> tuple[float, float]:
    """1 where the last frame was the right one of the candidates, and seconds a step. memory_of: the beginning that the
    memory saw in place of this one."""
    episode = test.episode
    state = arms.begin(model, episode)
    if memory_of is not None:
        state = arms.with_memory_of(state, arms.begin(model, memory_of))
    start = perf_counter()
    frames = imagine(model, state, episode.actions, cameras=list(episode.cameras)).frames
    spent = (perf_counter() - start) / len(frames)
    distances = view_distances(frames[-1], test.candidates)
    return (retrieved(distances) if bool(torch.isfinite(distances).all()) else 0.0), spent


def table(figures: RecallFigures) -> str:
    """The figures in lines of text."""
    delays = sorted(next(iter(figures.hits.values())))
    spans = [f"{delay}–{delay + FULL_TURN - 1}" for delay in delays]
    lines = [
        f"{'retrieval, of 16, at a delay of':34}" + "".join(f"{span:>22}" for span in spans) + f"{'ms a step':>12}"
    ]
    rows: list[tuple[str, dict[int, Interval], Any]] = [
        (name, by, figures.milliseconds.get(name)) for name, by in figures.hits.items()
    ]
    rows += [(f"{name}, of another layout", by, None) for name, by in figures.wrong.items()]
    rows += [(name, by, None) for name, by in figures.ahead.items()]
    for name, by, spent in rows:
        shown = [f"{by[d].value:.2f} ({by[d].low:.2f} … {by[d].high:.2f})" if d in by else "" for d in delays]
        cells = "".join(f"{cell:>22}" for cell in shown)
        lines.append(f"{name:34}{cells}" + ("" if spent is None else f"{spent:12.1f}"))
    n = next(iter(next(iter(figures.hits.values())).values())).n
    lines.append(f"{n} tests at each delay; 95 % intervals: Wilson, for differences a paired bootstrap.")
    if not figures.reads_frames:
        lines.append("These weights do not read remembered frames: loopy and retrieved are recent by another name.")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m hybridwm.bench.core_recall", description="What memories recall.")
    parser.add_argument("--weights", default="rooms-64", help="packaged weights by name, a folder or a file")
    parser.add_argument("--tests", type=int, default=64, help="stare tests at each delay")
    parser.add_argument("--delays", type=int, nargs="+", default=list(DELAYS), help="frames; of the turn's newest view")
    parser.add_argument("--memories", nargs="+", default=list(MEMORIES), choices=MEMORIES)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--solver-steps", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="processes")
    given = parser.parse_args(arguments)
    bench = RecallBench(
        given.weights,
        given.tests,
        tuple(given.delays),
        tuple(given.memories),
        given.first_seed,
        given.solver_steps,
    )
    print(table(measure(bench, given.workers)))


if __name__ == "__main__":
    main()
