"""Threads for kernels that let go of the GIL: our own small pool, since Numba's parallel layer spins and forks."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
_pools: dict[int, ThreadPoolExecutor] = {}


def run(threads: int, work: Callable[[int], T]) -> list[T]:
    """[work(0), ..., work(threads - 1)], each in a thread of its own, the first in this one."""
    if threads == 1:
        return [work(0)]
    pool = _pools.get(threads)
    if pool is None:
        pool = _pools.setdefault(threads, ThreadPoolExecutor(threads - 1, thread_name_prefix="render-cpu"))
    others = [pool.submit(work, thread) for thread in range(1, threads)]
    try:
        first = work(0)
    finally:
        # Also after an error: the others write to memory that this call owns.
        rest = [other.exception() for other in others]
    for error in rest:
        if error is not None:
            raise error
    return [first] + [other.result() for other in others]


# A forked child has the pools but not their threads.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)
