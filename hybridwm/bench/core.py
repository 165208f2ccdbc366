"""The video core in held-out rooms: the figures of every area, by one command and in one table.

An area is a module core_AREA here, with measure(weights, setup, folder) -> figures by name (nested where it suits).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .recon import flattened

if TYPE_CHECKING:
    from ..run_folder import RunFolder
    from .core_setup import CoreSetup

# Area: what is measured. In the order of the table.
AREAS = {
    "speed": "frames a second and milliseconds by part, cached beside uncached, time and memory over 500 steps",
    "actions": "action following and an inverse-dynamics probe, with the render dropped",
    "drift": "rollouts of 64 and 128 frames by four bounds, beside guards that must break one",
    "noise": "a noise level for each frame: edits to the future, noisy histories, schedules of sampling",
    "steps": "1, 2, 4 and 32 solver steps, one frame ahead",
    "guidance": "history guidance: exact at its ends, calls, and what it does to motion and FD_r",
    "fork": "rooms that go on in two ways: samples are one or the other, not their average",
    "recall": "the stare test by delay, for every memory",
    "scaling": "three sizes trained on the same tokens, and on exchanged targets",
}
ONLY_BY_NAME = ("recall", "scaling")  # each takes longer than all others together
RECALL_TESTS, QUICK_RECALL_TESTS = 64, 8


def measure_area(area: str, setup: CoreSetup, folder: RunFolder | None = None) -> dict[str, float]:
    """The area's figures, flat: nested names are joined by ": "."""
    if area == "recall":
        return dict(flattened(_recall(setup)))
    module = importlib.import_module(f".core_{area}", __package__)
    return dict(flattened(module.measure(setup.weights, setup, folder)))


def _recall(setup: CoreSetup) -> dict[str, Any]:
    """Shares of tests by memory and delay with their Wilson intervals, and paired differences."""
    from .core_recall import RecallBench, measure
    from .core_setup import described

    tests = QUICK_RECALL_TESTS if setup.quick else RECALL_TESTS
    found = measure(RecallBench(setup.weights, tests=tests, first_seed=setup.first_seed), setup.workers)
    kinds = {"hits": found.hits, "memory of another layout": found.wrong, "ahead": found.ahead}
    figures: dict[str, Any] = {
        kind: {name: {f"delay {delay}": described(each) for delay, each in by.items()} for name, by in shares.items()}
        for kind, shares in kinds.items()
    }
    return figures | {"ms a step": found.milliseconds, "reads remembered frames": float(found.reads_frames)}
