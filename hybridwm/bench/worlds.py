"""Steps a second of every world, through Gymnasium as a user has it: `python -m hybridwm.bench.worlds doom arm rooms`.

A step is one decision with all that the environment then shows (rgb, depth, camera; both eyes where it has two) and
`info["view"]`. Actions are random and sticky; resets are not counted. Gymnasium's own checks at every step are off.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import gymnasium
import torch
from rich.console import Console
from rich.table import Table

from ..single_threaded import one_thread_each

STICKY = 0.7
WARM = 20  # steps before the clock runs: kernels are compiled, caches filled

# each makes the world at a size; arguments are those of the figures that are asked of it
WORLDS: dict[str, Callable[[int], gymnasium.Env]] = {
    "rooms": lambda size: gymnasium.make("hybridwm/Rooms-v0", size=size, disable_env_checker=True),
    "rooms-one-eye": lambda size: gymnasium.make("hybridwm/Rooms-v0", size=size, eyes=1, disable_env_checker=True),
    "doom": lambda size: gymnasium.make("hybridwm/Doom-v0", size=size, frame_skip=4, disable_env_checker=True),
    "arm": lambda size: gymnasium.make("hybridwm/Arm-v0", size=size, disable_env_checker=True),
}


@dataclass(frozen=True)
class Pace:
    """What one process did: steps and their seconds; keys that a step showed."""

    steps: int
    seconds: float
    keys: tuple[str, ...]


def pace(world: str, size: int, seconds: float, seed: int = 0, threads: int = 1) -> Pace:
    """Steps through one world for about so many seconds."""
    torch.set_num_threads(threads)
    env = WORLDS[world](size)
    try:
        env.action_space.seed(seed)
        action: Any = env.action_space.sample()
        steps, walked, games, over = -WARM, 0.0, 0, True
        seen: dict[str, Any] = {}
        while walked < seconds:
            if over:
                seen, _ = env.reset(seed=seed + games)
                games += 1
            if env.action_space.np_random.random() > STICKY:
                action = env.action_space.sample()
            start = time.perf_counter()
            _, _, terminated, truncated, _ = env.step(action)
            walked += time.perf_counter() - start if steps >= 0 else 0.0
            steps, over = steps + 1, terminated or truncated
        return Pace(steps, walked, tuple(sorted(seen)))
    finally:
        env.close()


def measure(world: str, size: int, seconds: float, workers: int, threads: int) -> list[Pace]:
    """One Pace for each of `workers` processes at once, each with seeds of its own."""
    with one_thread_each(), ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        started = [pool.submit(pace, world, size, seconds, 1000 * i, threads) for i in range(workers)]
        return [each.result() for each in started]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m hybridwm.bench.worlds", description="Steps a second of worlds.")
    parser.add_argument("worlds", nargs="*", metavar="WORLD", help=f"some of {', '.join(WORLDS)}; by default all")
    parser.add_argument("--size", type=int, default=64, help="pixels of a side")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each is stepped")
    parser.add_argument("--workers", type=int, default=1, help="processes at once; their steps a second are added")
    parser.add_argument("--threads", type=int, default=1, help="torch threads in each")
    given = parser.parse_args(arguments)
    unknown = sorted(set(given.worlds) - set(WORLDS))
    if unknown:
        parser.error(f"expected some of {', '.join(WORLDS)}; got {', '.join(unknown)}; choose from them")
    table = Table("world", "size", "workers", "steps/s", "keys", box=None, header_style="bold")
    for world in given.worlds or WORLDS:
        found = measure(world, given.size, given.seconds, given.workers, given.threads)
        rate = sum(each.steps / each.seconds for each in found)
        table.add_row(world, str(given.size), str(given.workers), f"{rate:.0f}", " ".join(found[0].keys))
    console = Console()
    console.print(table)
    console.print(f"{len(os.sched_getaffinity(0))} cores; load {os.getloadavg()[0]:.1f} before the end", style="dim")


if __name__ == "__main__":
    main()
