"""The score of the simulator's second take is 100, and the controls' are far below; energy and tracks by hand."""

import math

import pytest
import torch

from hybridwm.study.physics_score import (
    coast_on,
    copy_on,
    energy,
    energy_drift,
    moving_mask,
    nearest_clip,
    physics_score,
    similarities,
    track_of,
)
from hybridwm.worlds.rooms import RoomsRig, raycast, stack_rooms
from hybridwm.worlds.rooms.scenario_episodes import scenario_episode
from hybridwm.worlds.rooms.scenarios import make_scenario

SIZE, FRAMES, CONTEXT, TAKES = 40, 24, 4, 0.05


def scene(name, seed):
    """(take, second take, third take, plate, labels, episode) at held-out speeds."""
    given = dict(speeds="held_out")
    takes = [scenario_episode(name, seed, FRAMES, SIZE, nudge=n, **given) for n in (0.0, TAKES, -TAKES)]
    episode, labels = takes[0]
    room = stack_rooms([make_scenario(name, seed, speeds="held_out").room])
    plate = (raycast(room, RoomsRig(size=SIZE).camera(episode.w2c[None, :1])).rgb[0, 0] * 255).round() / 255
    return *[e.rgb.float() / 255 for e, _ in takes], plate, labels, episode


@pytest.fixture(scope="module", params=["drop", "bounce", "slide", "collide"])
def played(request):
    clips = [scenario_episode(request.param, 1450 + k, FRAMES, SIZE)[0].rgb.float() / 255 for k in range(2)]
    return *scene(request.param, 1400), torch.stack(clips), request.param


def test_a_true_take_scores_high_and_the_controls_low(played):
    take, second, third, plate, _, _, clips, _ = played
    after = FRAMES - CONTEXT
    rest = (take[CONTEXT:], second[CONTEXT:], plate)

    def score(frames):
        return physics_score(frames, *rest)

    assert score(take[CONTEXT:]) == 100 and score(second[CONTEXT:]) == pytest.approx(100)
    ceiling = score(third[CONTEXT:])
    assert ceiling >= 80
    controls = [copy_on(take[:CONTEXT], after), coast_on(take[:CONTEXT], plate, after)]
    controls.append(nearest_clip(take[:CONTEXT], clips))
    assert all(score(frames) < 60 < ceiling for frames in controls), [score(frames) for frames in controls]


def test_energy_of_a_true_track_does_not_drift_and_of_a_coasting_one_does(played):
    take, _, _, _, labels, episode, _, name = played
    radius = None if name == "slide" else float(make_scenario(name, 1400, speeds="held_out").bodies.radius[0, 0])
    track = track_of(episode.depth, labels.movers == 1, episode.w2c[0], episode.K, radius)
    seen = ~track.isnan().any(-1)
    upto = int(seen.int().cumprod(0).sum())
    assert upto >= 6
    truth = labels.position[:upto, 0]
    if radius is not None:
        assert float((track[:upto] - truth).norm(dim=-1).max()) < 0.01
    assert energy_drift(track[:upto], truth, 24.0) <= (0.1 if radius is not None else 0.25)
    if name in ("drop", "bounce"):  # on and on at the speed of the context
        pace = truth[CONTEXT] - truth[CONTEXT - 1]
        coasting = truth[CONTEXT] + torch.arange(10)[:, None] * pace
        assert energy_drift(torch.cat([truth[:CONTEXT], coasting])[:upto], truth[: CONTEXT + 10], 24.0) > 0.1


def test_energy_by_hand():
    t = torch.arange(15) / 24.0
    fall = torch.stack([0.5 * t, 0 * t, 2 - 9.81 * t**2 / 2], -1)
    e = energy(fall, 24.0)
    assert float(e.max() - e.min()) < 1e-4  # a free fall keeps it; spans of three frames see a little less than all
    assert float(e.mean()) == pytest.approx(2 * 9.81 + 0.125, rel=0.01)
    assert energy_drift(fall, fall, 24.0) == 0
    assert energy_drift(fall[::2], fall[:8], 24.0) > 0.1  # twice as fast


def test_measures_by_hand():
    plate = torch.zeros(6, 8, 3)
    take = plate.repeat(4, 1, 1, 1)
    for t in range(4):
        take[t, 2, 2 * t : 2 * t + 2] = 1.0
    assert moving_mask(take, plate).flatten(1).sum(1).tolist() == [2] * 4
    assert similarities(take, take, plate) == (1, 1, 1, 0)
    late = take[[0, 0, 1, 2]]  # a frame late: at the same places but for the last, at the wrong times
    spatial, timed, weighted, error = similarities(late, take, plate)
    assert spatial == pytest.approx(6 / 8) and timed == pytest.approx(2 / 14) and error > 0.5
    assert weighted == pytest.approx(6 / 10)
    assert torch.equal(coast_on(take[:2], plate, 2), take[2:]) and torch.equal(copy_on(take[:2], 2)[1], take[1])
    assert torch.equal(nearest_clip(take[:2], torch.stack([late, take])), take[2:])


def test_a_thing_that_is_out_of_sight_has_no_place():
    track = track_of(torch.ones(2, 8, 8), torch.zeros(2, 8, 8, dtype=torch.bool), torch.eye(4), torch.eye(3))
    assert all(math.isnan(x) for x in track.flatten().tolist())
