"""A long dream over known ground stays finite, flat in memory and bounded in Gaussians: `pytest -m long`."""

import ctypes
import gc
from pathlib import Path

import gymnasium
import pytest
import torch

from hybridwm.weights.store import names
from hybridwm.world_model import load

STEPS, SETTLED, LAP = 1000, 200, 24


def resident() -> float:
    """Megabytes that this process holds, after what was freed has been given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.skipif("rooms-64" not in names(), reason="needs the packaged weights rooms-64")
def test_a_thousand_grounded_steps():
    environment = gymnasium.make("hybridwm/Rooms-v0", size=64)
    _, info = environment.reset(seed=10_000_000)
    views, left = [info["view"]], info["actions"].index("left")
    for _ in range(LAP - 1):
        views.append(environment.step(left)[-1]["view"])
    world = load("rooms-64", memory="splat", depth="stereo")
    state = world.start(views)
    known = len(state.scene)
    memory, counts = {}, []
    for step in range(STEPS):
        state, frame = world.step(state, "left")
        assert torch.isfinite(frame.image).all()
        counts.append(len(state.scene))
        if step + 1 in (SETTLED, STEPS):
            memory[step + 1] = resident()
    growth = memory[STEPS] - memory[SETTLED]
    print(f"\n{known} Gaussians observed, {counts[SETTLED - 1]} after {SETTLED} steps, {counts[-1]} after {STEPS};")
    print(f"memory {memory[SETTLED]:.1f} MB after {SETTLED} steps, {growth:+.2f} MB after {STEPS}")
    assert all(torch.isfinite(t).all() for t in (state.scene.gaussians.means, state.scene.gaussians.sh))
    assert growth <= 1.0
    assert counts[-1] <= 1.5 * known, "the same ground, seen forty times"
