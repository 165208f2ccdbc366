"""What fusion keeps out, clears and stays within, measured in rooms: `python -m hybridwm.bench.recon_fusion`.

moving: a ball crosses the view; of the Gaussians that its pixels would make, the share that the scene holds at the
end, with and without the dynamic gate. removed: a ball stands there for a lap and is gone in the next; the share that
is cleared, with and without carving. known ground: what the laps after the first add. milliseconds: of a step's parts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch

from recon import DepthContext, GaussianScene, View, depth_source
from recon.agreement import FuseConfig
from recon.dynamic_gate import without_moving
from recon.fuse import fuse
from recon.lift import trusted_pixels
from recon.observing import observe as observe_one
from render import rasterize
from render.transforms import invert_rigid

from .fusion_walks import (
    ON_GROUND,
    ball_pixels,
    ball_room,
    in_ball,
    jittered,
    on_ground,
    passing,
    room,
    there_and_back,
    turning,
    views_along,
    with_ball,
)

Measured = Callable[[View], View]
EARLIER = 4  # views that the gate compares with, as many as a world model keeps
RADIUS, AHEAD, BELOW = 0.3, 1.8, -0.3  # of the ball, metres; before and beside the eye
NEAR_BALL = 0.05  # metres round the ball within which a Gaussian counts as the ball's
NO_CARVING = FuseConfig(refute_confidence=2.0)  # trust that no view has


def stereo(view: View) -> View:
    """The view as stereo measures it."""
    depth, confidence = depth_source("stereo")([view], DepthContext())
    return replace(view, depth=depth, confidence=confidence)


def noisy(sigma: float, seed: int = 0) -> Measured:
    """True depth with independent noise, a share `sigma` of the depth, in every pixel of every view."""
    generator = torch.Generator().manual_seed(seed)

    def measured(view: View) -> View:
        assert view.depth is not None
        noise = torch.randn(view.depth.shape, generator=generator)
        return replace(view, depth=view.depth * (1 + sigma * noise).clamp(min=0.1), confidence=torch.ones_like(noise))

    return measured


def observe(
    views: Iterable[View],
    *,
    scene: GaussianScene | None = None,
    first: int = 0,
    gate: bool = True,
    config: FuseConfig | None = None,
) -> GaussianScene:
    """The scene after measured views, each recalled, gated and fused as in a world model's loop."""
    scene = GaussianScene.empty() if scene is None else scene
    earlier: list[View] = []
    for step, view in enumerate(views, first):
        if gate:
            scene = observe_one(scene, view, earlier, step=step, config=config)
        else:
            scene = fuse(scene, view, observed=True, step=step, config=config)
        earlier = [*earlier, view][-EARLIER:]
    return scene


def moving(seed: int, measured: Measured, *, gate: bool = True, steps: int = 24, reach: float = 0.9) -> float:
    """The share of a moving ball's Gaussians that stays in the scene: it crosses the view over 2 * reach metres while
    the camera walks past. What the room itself has in those places is not the ball's."""
    rooms, start = ball_room(seed)
    path, centers = passing(start, steps, 0.8), _across(start, steps, reach)
    seen = [next(views_along(with_ball(rooms, c, RADIUS), w[None])) for c, w in zip(centers, path, strict=True)]
    made = sum(int(ball_pixels(view, c, RADIUS).sum()) for view, c in zip(seen, centers, strict=True))
    scene = observe(map(measured, seen), gate=gate)
    empty = observe(map(measured, views_along(rooms, path)), gate=gate)
    return (_held(scene, centers) - _held(empty, centers)) / made


def removed(seed: int, measured: Measured, *, laps: int = 1, config: FuseConfig | None = None) -> float:
    """The share of a standing ball's Gaussians that one lap without it clears, after `laps` laps with it."""
    rooms, start = ball_room(seed)
    center, path = _across(start, 3, 0.0)[1], turning(start, 24)
    there = [measured(view) for _ in range(laps) for view in views_along(with_ball(rooms, center, RADIUS), path)]
    scene = observe(there, config=config)
    gone = [measured(view) for view in views_along(rooms, path)]
    after = observe(gone, scene=scene, first=len(there), config=config)
    room_itself = _held(observe(gone), [center])
    return 1 - (_held(after, [center]) - room_itself) / (_held(scene, [center]) - room_itself)


class Added(NamedTuple):
    """What the laps after the first add, as shares of what the first left: in all; on ground that no view of the first
    lap measured, and a later one did."""

    all: float
    on_new_ground: float


def known_ground(seed: int, measured: Measured, *, steps: int = 1000, lap: int = 100, beside: float = 0.0) -> Added:
    """What more laps add; each camera `beside` metres (and radians) off its place, anew in every lap."""
    rooms = room(seed)
    path, scene, done, after_first = there_and_back(rooms, lap), GaussianScene.empty(), 0, 0
    first: list[View] = []
    later: list[View] = []
    for turn in range(max(2, round(steps / len(path)))):
        cameras = jittered(path, beside, beside, turn) if beside else path
        views = list(views_along(rooms, cameras))
        seen = [measured(view) for view in views]
        scene = observe(seen, scene=scene, first=done)
        (later if turn else first).extend(_trusted_truth(*pair) for pair in zip(views, seen, strict=True))
        done += len(cameras)
        after_first = after_first or len(scene)
    points = scene.gaussians.means[scene.step >= len(path)]
    new = on_ground(points, later) & ~on_ground(points, first)
    return Added(len(scene) / after_first - 1, int(new.sum()) / after_first)


def step_milliseconds(gaussians: int = 50_000, repeats: int = 60) -> dict[str, float]:
    """Medians of the parts of an imagined step at 64 x 64 on one thread, in a scene of so many Gaussians."""
    source, rooms = depth_source("stereo"), room(10_000_000)
    views = list(views_along(rooms, jittered(there_and_back(rooms, 60), 0.02, 0.02, 0)))
    known = [stereo(view) for view in views]
    # other rooms' scenes beside this one: known, in memory, and out of sight
    scene = observe(known)
    parts, held, offset = [scene], len(scene), 0.0
    while held < gaussians:
        offset += 20.0
        aside = torch.eye(4)
        aside[0, 3] = offset
        parts.append(scene[: min(len(scene), gaussians - held)].transform(aside))
        held += len(parts[-1])
    scene = GaussianScene.cat(parts)
    spent: dict[str, list[float]] = {"depth": [], "gate": [], "lift and fuse": [], "all": []}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for step in range(repeats):
            i = EARLIER + step % (len(views) - EARLIER)
            recalled = rasterize(scene.with_observed_share(), views[i].camera)
            begun = time.perf_counter()
            depth, confidence = source([views[i]], None)
            view = replace(views[i], depth=depth, confidence=confidence)
            lap = [begun, time.perf_counter()]
            static = without_moving(view, recalled, known[i - EARLIER : i])
            lap.append(time.perf_counter())
            scene = fuse(scene, static, observed=False, step=1000 + step, recalled=recalled)
            lap.append(time.perf_counter())
            for name, a, b in zip(spent, (0, 1, 2, 0), (1, 2, 3, 3), strict=True):
                spent[name].append(1000 * (lap[b] - lap[a]))
    finally:
        torch.set_num_threads(threads)
    return {name: median(values) for name, values in spent.items()}


def measure(data_folder: Path | None = None, *, steps: int = 1000, first_seed: int = 10_000_000) -> dict[str, float]:
    """The figures of fusion; needs no recorded data. Shares, and milliseconds of one thread."""
    figures: dict[str, float] = {}
    for name, measured in (("stereo", stereo), ("2 % noise", noisy(0.02))):
        for seed in (first_seed, first_seed + 1):
            where = f"{name}, room {seed}"
            figures[f"moving ball left, {where} (<= .02)"] = moving(seed, measured)
            figures[f"moving ball left without the gate, {where}"] = moving(seed, measured, gate=False)
            figures[f"removed ball cleared, {where} (>= .95)"] = removed(seed, measured)
            figures[f"removed ball cleared without carving, {where}"] = removed(seed, measured, config=NO_CARVING)
            added = known_ground(seed, measured, steps=steps)
            figures[f"added on known ground in {steps} steps, {where} (<= .05)"] = added.all
            added = known_ground(seed, measured, steps=steps, beside=0.02)
            figures[f"the same, each lap 2 cm and 1 degree off, {where}"] = added.all
            figures[f"of these on ground that the first lap did not measure, {where}"] = added.on_new_ground
    for name, worst in (("moving ball left", max), ("removed ball cleared", min), ("added on known ground", max)):
        figures[f"{name}, worst"] = worst(
            value for key, value in figures.items() if key.startswith(f"{name}") and "without" not in key
        )
    for name, value in step_milliseconds().items():
        figures[f"milliseconds a step at 50k Gaussians: {name}" + (" (<= 15)" if name == "all" else "")] = value
    return figures


def _trusted_truth(view: View, measured: View) -> View:
    """The true view with depth only where the measured one is to be trusted and right."""
    assert view.depth is not None and measured.depth is not None
    right = trusted_pixels(measured) & ((measured.depth - view.depth).abs() <= ON_GROUND * view.depth)
    return replace(view, depth=torch.where(right, view.depth, 0.0))


def _across(start: torch.Tensor, steps: int, reach: float) -> list[list[float]]:
    """Centres of the ball: from the left to the right before the camera."""
    c2w = invert_rigid(start)
    middle = c2w[:3, 3] + AHEAD * c2w[:3, 2] + torch.tensor([0.0, 0.0, BELOW])
    return [(middle + side * c2w[:3, 0]).tolist() for side in torch.linspace(-reach, reach, steps)]


def _held(scene: GaussianScene, centers: Sequence[Sequence[float]]) -> int:
    """Gaussians of the scene in or on a ball at any of these places."""
    held = torch.zeros(len(scene), dtype=torch.bool)
    for center in centers:
        held |= in_ball(scene.gaussians.means, center, RADIUS, NEAR_BALL)
    return int(held.sum())


if __name__ == "__main__":
    for line, figure in measure().items():
        print(f"{figure:10.4f}  {line}", flush=True)
