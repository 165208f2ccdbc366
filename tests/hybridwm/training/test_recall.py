"""Point splatting for training: geometry against the ray caster, and the corruptions that it must survive."""

import torch

from hybridwm.training.config import RecallConfig
from hybridwm.training.recall import Sources, corrupt, splat
from hybridwm.worlds.rooms.layout import make_room, stack_rooms
from hybridwm.worlds.rooms.raycast import raycast
from hybridwm.worlds.rooms.rig import RoomsRig
from hybridwm.worlds.rooms.walkers import walk

RIG = RoomsRig(size=32)


def scene(steps: int = 4, seed: int = 5):
    rooms = stack_rooms([make_room(seed)], torch.device("cpu"))
    w2c = walk(rooms, steps, seed=seed).w2c[:, :steps]
    seen = raycast(rooms, RIG.camera(w2c))
    return Sources(seen.rgb, seen.depth, torch.ones(1, steps), w2c)


def shown(sources: Sources, known, w2c):
    eyes = RIG.stereo(w2c)
    return splat(sources, known, eyes.K[0, 0, 0], eyes.w2c)


def test_a_frame_splatted_into_its_own_camera_is_itself():
    sources = scene()
    recall = shown(sources, torch.eye(4, dtype=torch.bool)[None], sources.w2c)
    left = recall[0, :, :3]
    truth = sources.rgb[0].movedim(-1, -3) * 2 - 1
    inner = (slice(None), slice(None), slice(2, -2), slice(2, -2))
    assert (recall[0, :, 6] > 0.5).float().mean() > 0.97
    # only the blur of the Gaussians is between them
    assert ((left - truth)[inner] / 2).square().mean() < 0.006


def test_the_right_eye_sees_near_things_further_left():
    """A source splatted into the right eye moves by the disparity, to the left."""
    sources = scene(1)
    depth = torch.full_like(sources.depth, RIG.focal * RIG.baseline / 4)  # four pixels of disparity
    sources = Sources(sources.rgb, depth, sources.observed, sources.w2c)
    recall = shown(sources, torch.ones(1, 1, 1, dtype=torch.bool), sources.w2c)
    left, right = recall[0, 0, :3], recall[0, 0, 3:6]
    assert torch.allclose(left[:, 3:-3, 7:-3], right[:, 3:-3, 3:-7], atol=1e-4)


def test_unknown_sources_are_not_shown_and_nothing_known_is_blind():
    sources = scene()
    recall = shown(sources, torch.zeros(1, 4, 4, dtype=torch.bool), sources.w2c)
    assert recall.abs().max() == 0


def test_observed_hides_imagined_of_the_same_surface():
    sources = scene(1)
    twice = Sources(
        torch.cat([torch.zeros_like(sources.rgb), sources.rgb], 1),
        sources.depth.repeat(1, 2, 1, 1),
        torch.tensor([[0.0, 1.0]]),
        sources.w2c.repeat(1, 2, 1, 1),
    )
    recall = shown(twice, torch.ones(1, 1, 2, dtype=torch.bool), sources.w2c)
    alone = shown(sources, torch.ones(1, 1, 1, dtype=torch.bool), sources.w2c)
    assert torch.allclose(recall[0, 0, :3], alone[0, 0, :3])
    assert recall[0, 0, 8].median() == 1


def test_corruption_is_a_function_of_its_generator_and_stays_in_range():
    sources = scene()
    half = Sources(sources.rgb, sources.depth, torch.tensor([[1.0, 1, 0, 0]]), sources.w2c)
    a, b = (corrupt(half, RecallConfig(), 5.0, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(a.depth, b.depth) and torch.equal(a.rgb, b.rgb)
    assert torch.equal(a.rgb[:, :2], sources.rgb[:, :2]), "observed colours stay as they were measured"
    assert not torch.equal(a.rgb[:, 2:], sources.rgb[:, 2:])
    assert a.depth.isfinite().all() and (a.depth >= 0).all()
    assert 0.02 < (a.depth == 0).float().mean() < 0.3


def test_wrong_splats_are_a_share_of_half_of_the_clips():
    sources = scene()
    fields = (sources.rgb, sources.depth, sources.observed, sources.w2c)
    many = Sources(*(x.repeat(40, *[1] * (x.ndim - 1)) for x in fields))
    config = RecallConfig(disparity_noise=0.0, outliers=0.0, holes=0.0, wrong=0.5)
    made = corrupt(many, config, 5.0, torch.Generator().manual_seed(0))
    share = ((made.depth - many.depth).abs() > 1e-3 * many.depth).float().flatten(1).mean(1)
    assert 0.2 < (share < 0.01).float().mean() < 0.8
    assert share.max() < 0.55 and share.max() > 0.2
