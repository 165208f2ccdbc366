"""Run as a program: `hybridwm collect` in a forked child for each line that comes in, with a world that costs nothing.

Starting Python takes seconds, a fork milliseconds, and where playing is free most kills hit the writing.
"""

import os
import sys

import torch
import tqdm  # noqa: F401  (what a child would import, once for all of them)

from hybridwm import run_folder  # noqa: F401
from hybridwm.cli import collect, main  # noqa: F401
from hybridwm.worlds import collection, workers  # noqa: F401
from hybridwm.worlds.episodes import Episode


def noise(seed, frames, size):
    """An episode whose length and content are its seed's."""
    made = torch.Generator().manual_seed(seed)
    length = frames - seed % 2
    return Episode(
        rgb=torch.randint(0, 256, (length, size, size, 3), generator=made, dtype=torch.uint8),
        w2c=torch.rand(length, 4, 4, generator=made),
        K=torch.eye(3),
        actions=torch.randn(length - 1, 4, generator=made),
        depth=torch.rand(length, size, size, generator=made),
        world="rooms",
        seed=seed,
        task=f"task {seed % 5}",
    )


def play(world, seeds, frames, size, device="cpu"):
    for seed in seeds:
        yield noise(seed, frames, size)


if __name__ == "__main__":
    collection.play = play
    print("ready", flush=True)
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(1, 2)
            os._exit(main(line.split()))
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)
