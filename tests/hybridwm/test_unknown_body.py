"""A body of which nothing is known: where the dream has gone is told from its own frames."""

from dataclasses import replace

import torch

import hybridwm as hw
from hybridwm.actions.still import UnknownBody
from hybridwm.actions.walker import NAMES
from hybridwm.study import arms
from hybridwm.study.trajectories import random_walk


def off(a, b):
    """Degrees and metres between two cameras."""
    d = a.w2c @ torch.linalg.inv(b.w2c)
    angle = torch.rad2deg(((d[:3, :3].trace() - 1) / 2).clamp(-1, 1).acos())
    return float(angle), float(d[:3, 3].norm())


def test_a_view_is_located_by_what_it_shows():
    """True frames, whose own cameras are hidden: weights that were trained with cameras go where these tell them to."""
    near = moved = 0
    for seed in (9_000_020, 9_000_021):
        walk = random_walk(seed, 8 + 10, arms.rig("rooms-64"))
        world = hw.load("rooms-64", memory="splat", depth="stereo")
        world.body = UnknownBody(NAMES)
        for t in range(1, 9):
            state = world.start(walk.views[t - 1 : t], seed=1)
            hidden = replace(walk.views[t], depth=None, camera=state.camera)
            found, camera = world._located(hidden, state), walk.views[t].camera
            if off(state.camera, camera)[0] > 5 or off(state.camera, camera)[1] > 0.15:
                moved += 1
                near += off(found.camera, camera)[0] < 2 and off(found.camera, camera)[1] < 0.06
    assert moved >= 10
    assert near >= 0.8 * moved, "a camera that stays would be near in none"


def test_without_depth_or_texture_it_stays():
    episode = random_walk(9_000_020, 8 + 2, arms.rig("rooms-64")).window(0, 8, 2)
    video = hw.load("rooms-64", memory="recent")
    video.body = UnknownBody(NAMES)
    state = video.start(list(episode.views), list(episode.start_actions), seed=1)
    assert torch.equal(video.step(state, episode.actions[0])[1].camera.w2c, state.camera.w2c)

    grounded = hw.load("rooms-64", memory="splat", depth="stereo")
    assert grounded._measure is not None
    blank = [replace(view, image=torch.full_like(view.image, 0.5)) for view in episode.views[-2:]]
    blank = [replace(view, right=view.image) for view in blank]
    assert grounded._measure.motion(blank[1], (grounded._measure(blank[0], (), None)[0],)) is None


def test_a_step_goes_where_its_frame_was_found_unless_the_camera_is_commanded(monkeypatch):
    episode = random_walk(9_000_020, 8 + 2, arms.rig("rooms-64")).window(0, 8, 2)
    world = hw.load("rooms-64", memory="splat", depth="stereo")
    world.body = UnknownBody(NAMES)
    state = world.start(list(episode.views), list(episode.start_actions), seed=1)
    found = state.camera.w2c.clone()
    found[2, 3] += 0.125
    monkeypatch.setattr(world._measure, "motion", lambda view, earlier: found)
    after, frame = world.step(state, episode.actions[0])
    assert torch.equal(frame.camera.w2c, found) and torch.equal(after.camera.w2c, found)
    assert torch.equal(after.context.camera.w2c, found)
    commanded = episode.cameras[0]
    assert torch.equal(world.step(state, episode.actions[0], camera=commanded)[1].camera.w2c, commanded.w2c)
