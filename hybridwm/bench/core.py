"""The video core in held-out rooms: the figures of every area, by one command and in one table.

An area is a module core_AREA here, with measure(weights, setup, folder) -> figures by name (nested where it suits).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from .recon import flattened

if TYPE_CHECKING:
    from ..run_folder import RunFolder
    from .core_setup import CoreSetup

# Area: what is measured. In the order of the table.
AREAS = {
    "speed": "frames a second and milliseconds by part, cached beside uncached, time and memory over 500 steps",
    "drift": "rollouts of 64 and 128 frames by four bounds, beside guards that must break one",
    "noise": "a noise level for each frame: edits to the future, noisy histories, schedules of sampling",
    "steps": "1, 2, 4 and 32 solver steps, one frame ahead",
}


def measure_area(area: str, setup: CoreSetup, folder: RunFolder | None = None) -> dict[str, float]:
    """The area's figures, flat: nested names are joined by ": "."""
    module = importlib.import_module(f".core_{area}", __package__)
    return dict(flattened(module.measure(setup.weights, setup, folder)))
