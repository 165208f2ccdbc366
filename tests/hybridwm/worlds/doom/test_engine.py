"""The plan of pushes by its own arithmetic; and the camera and the depth against what the engine itself drew."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from hybridwm.worlds.doom.engine import KEPT, PUSH, STRONGEST, TICK, Engine, along, plan
from hybridwm.worlds.doom.lens import UNITS_PER_METRE, Lens
from hybridwm.worlds.reprojection import reproject
from recon import View
from render import Camera

STEP = 7.13  # map units: one step of the engine's depth buffer, in pictures 480 high
LOWEST = 11.0  # where it begins


@pytest.fixture
def engine():
    pytest.importorskip("vizdoom", reason="vizdoom is not installed: pip install 'hybridwm[doom]'")
    made = []

    def make(scenario="my_way_home", size=256, depth_buffer=True):
        made.append(Engine(scenario, Lens(size), depth_buffer))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("wish", [(0.25, 0, 0), (0, -0.25, 0), (0, 0, 0.2618), (0.3, 0.3, -0.785), (0, 0, 0)])
@pytest.mark.parametrize("speed", [(0.0, 0.0), (1.7, -0.6)])
def test_a_plan_leads_where_it_was_asked_to(wish, speed):
    pushes, turns, end = plan(0.7, speed, *wish, 4)
    (x, y), (vx, vy), angle = (0.0, 0.0), speed, 0.7
    for (ahead, aside), turn in zip(pushes, turns, strict=True):
        assert max(abs(ahead), abs(aside)) <= STRONGEST
        angle += turn * TICK
        vx += PUSH * (ahead * math.cos(angle) + aside * math.sin(angle))
        vy += PUSH * (ahead * math.sin(angle) - aside * math.cos(angle))
        x, y, vx, vy = x + vx, y + vy, vx * KEPT, vy * KEPT
    assert (x, y) == pytest.approx(end)
    assert angle == pytest.approx(0.7 + wish[2], abs=TICK)
    assert along(x, y, angle) == pytest.approx([w * UNITS_PER_METRE for w in wish[:2]], abs=0.05)


def walk_about(engine, seed, looks=6, decisions=3):
    engine.start(seed)
    for _ in range(looks):
        yield engine.look()
        for _ in range(decisions):
            engine.walk(0.3, 0.0, 0.35, 4)


def kinds(engine, seeds=(1, 2, 3)):
    """Share of pixels where the level says wall and the engine drew floor or ceiling, or the other way round."""
    wrong, count = 0, 0
    for seed in seeds:
        for sight in walk_about(engine, seed):
            wall = np.abs(sight.depth - sight.depth[len(sight.depth) // 2]) < 1e-4
            drawn = sight.labels < 2
            wrong, count = wrong + int((wall != (sight.labels == 0))[drawn].sum()), count + int(drawn.sum())
    return wrong / count


@pytest.mark.parametrize("size", [64, 256])
def test_the_level_is_where_the_engine_draws_it(engine, size):
    assert kinds(engine(size=size)) < 0.004


@pytest.mark.parametrize("change", ["field of view", "height of the horizon"])
def test_another_camera_would_not_fit(engine, change):
    one = engine(size=64)
    one._rays = one._rays * 0.9 if change == "field of view" else one._rays + 1.0 / 64
    assert kinds(one) > 0.01


def test_depth_fits_the_engines_own_buffer(engine):
    """The buffer is linear in depth along the axis, in steps of 22 cm; ours lies in the step that it shows."""
    inside, wide, count = 0, 0, 0
    for sight in walk_about(engine("health_gathering_supreme"), 4):
        assert sight.buffer is not None
        step = (sight.depth * UNITS_PER_METRE - LOWEST) / STEP
        judged = (sight.labels < 2) & (sight.buffer > 1) & (sight.buffer < 250)
        off = np.abs(step - (sight.buffer + 0.5))[judged]
        inside, wide, count = inside + (off < 0.75).sum(), wide + (off < 1.25).sum(), count + off.size
    assert count > 50_000 and inside / count > 0.95 and wide / count > 0.98  # measured: 0.964 and 0.986


def test_the_buffer_alone_reprojects_only_within_its_steps(engine):
    """What the engine itself stores agrees from frame to frame when its steps are forgiven; 2 % is finer than them."""
    one, views, exact = engine("health_gathering_supreme"), [], []
    for sight in walk_about(one, 4, decisions=1):
        (x, y, z), angle = one.eye()
        size, focal = one.lens.size, one.lens.focal
        K = torch.tensor([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1.0]])
        R = torch.tensor([[math.sin(angle), -math.cos(angle), 0], [0, 0, -1], [math.cos(angle), math.sin(angle), 0]])
        w2c = torch.eye(4)
        w2c[:3, :3], w2c[:3, 3] = R, -R @ torch.tensor([x, y, z]) / UNITS_PER_METRE
        depth = torch.from_numpy((sight.buffer + 0.5) * STEP + LOWEST).float() / UNITS_PER_METRE
        depth[torch.from_numpy((sight.buffer < 2) | (sight.labels > 1))] = 0
        views.append(View(torch.zeros(size, size, 3), Camera(K, w2c, size, size), depth=depth))
        exact.append(replace(views[-1], depth=torch.from_numpy(sight.depth)))
    pairs = list(zip(views[:-1], views[1:], strict=True))
    stepped = [reproject(a, b, step=STEP / UNITS_PER_METRE).agreeing for a, b in pairs]
    strict = [reproject(a, b).agreeing for a, b in pairs]
    true = [reproject(a, b).agreeing for a, b in zip(exact[:-1], exact[1:], strict=True)]
    assert min(stepped) > 0.95 and min(true) > 0.99 and np.mean(strict) < 0.95


def test_things_stand_where_their_depth_says(engine):
    """Medikits lie on the floor: their lowest row shows the floor's depth there, by the height of the eye."""
    one, off = engine("health_gathering", size=128, depth_buffer=False), []
    down = one.lens.rays() + 0.5 / one.lens.focal
    for seed in range(3):
        for sight in walk_about(one, seed, decisions=1):
            for value in np.unique(sight.labels[sight.labels > 1]):
                shown = sight.labels == value
                row = int(np.flatnonzero(shown.any(1))[-1])
                if shown.sum() > 20 and row < len(down) - 1:  # not cut off by the picture's lower edge
                    off.append(float(sight.depth[shown].min()) / (41 / UNITS_PER_METRE / down[row]) - 1)
    assert len(off) > 10 and np.median(np.abs(off)) < 0.06


def test_what_is_not_there_is_refused(engine):
    with pytest.raises(ValueError, match="scenario: expected one of my_way_home"):
        Engine("doom_eternal", Lens(64))
    with pytest.raises(RuntimeError, match="start"):
        engine(size=64).look()


def test_without_vizdoom_one_line_names_the_command(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError) as error:
        Engine("my_way_home", Lens(64))
    assert "pip install 'hybridwm[doom]'" in str(error.value) and "\n" not in str(error.value)
