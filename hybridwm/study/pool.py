"""Units of work on a few single-threaded processes, with a progress bar that knows what is left.

Imports nothing heavy, so that a worker can be held to one thread before torch is loaded in it.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from typing import Any

from ..single_threaded import one_thread_each


@dataclass(frozen=True)
class Unit:
    """One thing to measure: `function(config, index)`; `cost` is its share of the work, for the time left."""

    kind: str
    index: int
    function: Callable[[Any, int], dict[str, Any]]
    cost: float = 1.0

    @property
    def key(self) -> tuple[str, int]:
        return self.kind, self.index


def measure(units: Sequence[Unit], config: Any, workers: int) -> Iterator[tuple[Unit, dict[str, Any], float]]:
    """Yields each unit with what it measured and the seconds it took, as they finish.

    One worker measures in this process. Raises RuntimeError, naming the units that were under way, when a
    worker process dies; an exception of a unit is raised as it is. What was yielded before stays good.
    """
    if workers == 1 or len(units) <= 1:
        for unit in units:
            yield unit, *_timed(unit.function, config, unit.index)
        return
    with one_thread_each():
        pool = ProcessPoolExecutor(
            min(workers, len(units)), mp_context=get_context("spawn"), initializer=_end_with_parent
        )
        futures = {pool.submit(_timed, unit.function, config, unit.index): unit for unit in units}
        try:
            for future in as_completed(futures):
                try:
                    yield futures[future], *future.result()
                except BrokenProcessPool:
                    unit = futures[future]
                    raise RuntimeError(
                        f"a worker process died while measuring ({unit.kind} {unit.index} or one beside it); "
                        "was memory short? Run the same command again: finished scenes are kept"
                    ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def peak_megabytes(workers: int) -> float:
    """At most this much memory was held at once, in MB: this process and `workers` times its largest child.

    nan where the system does not say.
    """
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    # kilobytes on Linux, bytes on macOS
    unit = 2**20 if sys.platform == "darwin" else 2**10
    own, child = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return (own + (child * workers if workers > 1 else 0)) / unit


def _end_with_parent() -> None:
    """Ends this worker when the process that started it is killed; it would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def _timed(function: Callable[[Any, int], dict[str, Any]], config: Any, index: int) -> tuple[dict, float]:
    began = time.monotonic()
    return function(config, index), time.monotonic() - began
