from dataclasses import replace

import pytest
import torch

from hybridwm.worlds.alignment import alignment_of, check_alignment, image_motion, shifted
from hybridwm.worlds.collection import walk_rooms
from hybridwm.worlds.episodes import Episode
from hybridwm.worlds.rooms import RoomsRig


@pytest.fixture(scope="module")
def walks():
    return walk_rooms([3, 4], 60, RoomsRig(size=32))


def blind(episode):
    return replace(episode, w2c=None, K=None)


def off_by(episode, rows):
    """As a loader that is off by so many rows gives it: each action that much later than it was taken."""
    return replace(episode, actions=episode.actions.roll(rows, 0))


@pytest.mark.parametrize("seen", [lambda episode: episode, blind], ids=["cameras", "images"])
@pytest.mark.parametrize("rows", [0, 1, -1, 2])
def test_a_loader_off_by_some_rows_is_caught(walks, seen, rows):
    given = [seen(off_by(episode, rows)) for episode in walks]
    found = alignment_of(given)
    assert found.lag == -rows, found
    assert found.by == ("images" if seen is blind else "cameras")
    if rows == 0:
        assert check_alignment(given, "walks").lag == 0
        return
    with pytest.raises(ValueError, match=rf"walks: expected each action beside.*--shift={-rows}[;]"):
        check_alignment(given, "walks")
    # and what the error says to do helps
    assert check_alignment([shifted(episode, -rows) for episode in given], "walks").lag == 0


def test_actions_that_explain_nothing_have_no_lag(walks):
    made = torch.Generator().manual_seed(0)
    noise = [replace(episode, actions=torch.randn(59, 4, generator=made)) for episode in walks]
    found = check_alignment(noise, "walks")
    assert found.lag is None
    assert "not measurable (106 steps" in found.words()
    assert alignment_of([]).lag is None


def test_a_shift_moves_actions_by_rows():
    frames = torch.arange(5, dtype=torch.uint8)[:, None, None, None].expand(5, 2, 2, 3)
    episode = Episode(frames, None, None, torch.arange(4.0)[:, None], action_names=("a",))
    later, earlier = shifted(episode, 1), shifted(episode, -1)
    assert later.rgb[:, 0, 0, 0].tolist() == [1, 2, 3, 4]
    assert later.actions[:, 0].tolist() == [0, 1, 2]  # the action of row 0 now stands beside frame 1
    assert earlier.rgb[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert earlier.actions[:, 0].tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="more than 5 frames; got 5"):
        shifted(episode, 4)


def test_image_motion_is_the_shift_in_pixels():
    picture = torch.nn.functional.interpolate(torch.rand(1, 3, 20, 20), (90, 90), mode="bicubic").clamp(0, 1)[0]
    picture = (picture.permute(1, 2, 0) * 255).to(torch.uint8)
    frames = torch.stack([picture[10:74, 10 - x : 74 - x] for x in (0, 3, 1)])
    motion = image_motion(frames)
    assert motion[:, 0].tolist() == pytest.approx([3, -2], abs=0.3)
    assert motion[:, 1].tolist() == pytest.approx([0, 0], abs=0.3)
