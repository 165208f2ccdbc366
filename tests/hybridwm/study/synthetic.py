"""Measurements of made-up scenes whose figures are known, so that tables and reports are tested in no time."""

from __future__ import annotations

import numpy as np

from hybridwm.study import arms
from hybridwm.study.measure_stares import PALETTE, WRONG

GUARDS = ("frozen", "nearest past frame", "pure warp", "composite")
PIXELS = 100.0


def errors(mse: float, steps: int) -> list[list[float]]:
    return [[mse * PIXELS, PIXELS]] * steps


def walk(config, index: int) -> dict:
    """Grounding has a tenth of copy's error at every step; yaw makes flow at once."""
    yaw = np.random.default_rng(index).choice([-0.26, 0.0, 0.26], size=config.walk_steps)
    mse = {"copy": 1000.0, arms.VIDEO: 500.0, arms.STEREO: 100.0, "pure warp": 200.0}
    pair = {"true": 1.0, "mirrored": 2.0, "permuted": 2.0, "frozen": 1.5}
    return {
        "seed": config.first_seed + index,
        "errors": {name: errors(value, config.walk_steps) for name, value in mse.items()},
        "one_step": {name: errors(value, 4) for name, value in mse.items()},
        "following": {"1": [pair] * 4, "4": [pair] * 3 + [pair | {"mirrored": 0.5, "permuted": 0.5}]},
        "yaw": yaw.tolist(),
        "flow": {name: (40 * yaw).tolist() for name in ("truth", arms.VIDEO, arms.STEREO)},
        "timing": {arms.VIDEO: True, arms.STEREO: True},
        "seconds": {arms.VIDEO: {"frames": config.walk_steps, "denoise": 1.0}},
    }


def out_and_back(config, index: int) -> dict:
    """Where it has seen, grounding has a quarter of video only's error (6 dB); elsewhere the same."""
    steps = 2 * config.out_steps
    wobble = 1 + 0.1 * (index % 3)
    mse = {arms.NO_MEMORY: 800.0, arms.VIDEO: 400.0, arms.STEREO: 100.0, arms.TRUTH: 80.0}
    mse |= {"frozen": 1600.0, "nearest past frame": 500.0, "pure warp": 150.0, "composite": 200.0}
    found = {}
    for name, value in mse.items():
        never = 400.0 if name in arms.ARMS else value
        kinds = {"all": value, "seen": value, "never": never, "covered": value}
        found[name] = {kind: errors(wobble * v, steps) for kind, v in kinds.items()}
    found["raw render"] = {"covered": errors(120.0 * wobble, steps)}
    looks = {name: {"ssim": 0.8, "motion": 1.0, "gradient": 0.9, "drift": 1.2} for name in mse}
    looks["frozen"] = {"ssim": 0.3, "motion": 0.0, "gradient": 1.0, "drift": 3.0}
    return {
        "seed": config.first_seed + index,
        "errors": found,
        "wrong_splats": {arms.STEREO: errors(100.0, steps), "raw render": errors(200.0, steps)},
        "looks": looks,
        "seconds": {arms.STEREO: {"frames": steps, "denoise": 1.0, "render": 0.2, "depth": 0.1, "fuse": 0.1}},
        "covered": 0.8,
        "gaussians": 1234,
    }


def stare(config, index: int) -> dict:
    """The grounded arms are right nine times in ten, all else one time in sixteen."""
    right, chance = float(index % 10 != 0), float(index % 16 == 0)
    hits = {arms.STEREO: right, arms.TRUTH: right, "pure warp": 1.0, "nearest past frame": 1.0}
    hits |= {name: chance for name in (arms.NO_MEMORY, arms.VIDEO, WRONG, PALETTE, "frozen")}
    return {"gaussians": 4321, "seed": config.first_seed + index, "hits": hits, "seconds": {}}


def endurance(config, index: int) -> dict:
    blocks = config.long_steps // 10
    arm = {
        "frames": config.long_steps,
        "seconds": {"frames": config.long_steps, "denoise": 0.05 * config.long_steps},
        "block_seconds": [0.05] * blocks,
        "slope": 0.0,
        "splats": [1000] * blocks,
        "megabytes": [500.0] * blocks,
        "finite": True,
    }
    grounded = arm | {"seconds": arm["seconds"] | {"render": 0.02 * config.long_steps}}
    return {
        "seed": config.first_seed,
        "block": 10,
        arms.VIDEO: arm,
        arms.STEREO: grounded,
        "cached_error": 1e-6,
        "uncached_seconds": {"8": 0.1, "32": 0.4},
    }


def records(config) -> dict[str, list[dict]]:
    return {
        "walk": [walk(config, i) for i in range(config.scenes)],
        "return": [out_and_back(config, i) for i in range(config.scenes)],
        "stare": [stare(config, i) for i in range(config.stares)],
        "endurance": [endurance(config, 0)],
    }
