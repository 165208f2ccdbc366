"""Processes of one thread each: as many as there are cores then finish more than the threads of one would.

Imports nothing heavy, so that a worker can be held to one thread before torch is loaded in it. `torch.set_num_threads`
comes too late for that: threads of OpenMP that wait for work spin, and take each other's core.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Processes started meanwhile inherit one thread each; this one's environment is as before afterwards."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
