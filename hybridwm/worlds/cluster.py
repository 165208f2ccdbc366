"""Episodes played on the machines of a Ray cluster (extra [cluster]) for one writer, in order of seeds.

A task is a batch of seeds on one core. It is a function of its seeds alone, so Ray may run it again elsewhere when a
machine is lost, and the episodes have the same bytes as those of `--workers`. Every machine needs this package.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from .lerobot import Encoded
from .workers import AHEAD, Job, answer

LOCAL = "local"  # a Ray of our own on this machine, as Ray calls it
RETRIES = 3  # of a task whose machine is lost


def import_ray() -> Any:
    """Ray, which tells nobody of its use unless the user wants it. Raises ModuleNotFoundError, with what to install."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"collect.ray: spreading over machines needs ray ({error}). Run: pip install 'hybridwm[cluster]'"
        ) from error
    return ray


def episodes_by_ray(
    job: Job, seeds: Sequence[int], *, address: str = LOCAL, workers: int = 1, batch: int = 1
) -> Iterator[Encoded]:
    """The encoded episode of each seed, in that order.

    address: "auto" (the cluster that this machine is in), "host:port", "ray://host:port", or "local": `workers`
    processes here. A task of job.device "cuda" asks for a GPU. Raises what a world raised; ConnectionError where
    there is no cluster.
    """
    ray = import_ray()
    ours = not ray.is_initialized()
    if ours:
        here = {"num_cpus": workers, "include_dashboard": False} if address == LOCAL else {}
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **here)
    try:
        play = ray.remote(num_cpus=1, num_gpus=int(job.device == "cuda"), max_retries=RETRIES)(answer)
        batches = (list(seeds[at : at + batch]) for at in range(0, len(seeds), batch))
        most = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
        running: deque[Any] = deque()
        for some in batches:
            running.append(play.remote(job, some))
            if len(running) >= most:
                yield from _told(ray.get(running.popleft()))
        while running:
            yield from _told(ray.get(running.popleft()))
    finally:
        if ours:
            ray.shutdown()


def _told(found: tuple[list[Encoded], Exception | None]) -> list[Encoded]:
    made, error = found
    if error is not None:
        raise error
    return made
