"""The touch head on made-up hands: it foretells from what is seen and asked for, and not from what another felt."""

import pytest
import torch

from hybridwm.study.touch_scores import force_r2, onset_f1
from hybridwm.training.touch import (
    ACTIONS,
    TouchConfig,
    TouchHead,
    fit,
    hand_pictures,
    latest_actions,
    load_touch,
    save_touch,
)
from hybridwm.worlds.episodes import Episode
from render import FormatError

SMALL = TouchConfig(steps=150, batch=32, width=8, rate=5e-3)


def hold(seed, frames=40):
    """A bright thing is between the fingers in some frames; shut with it there, the next frame feels 8 N."""
    g = torch.Generator().manual_seed(seed)
    there = (torch.rand(frames // 8, generator=g) > 0.5).repeat_interleave(8)
    grip = torch.where(torch.rand(frames // 4, generator=g) > 0.5, 1.0, -1.0).repeat_interleave(4)
    rgb = torch.randint(60, 90, (frames, 16, 16, 3), generator=g, dtype=torch.uint8)
    rgb[there, 10:14, 7:12] = 250
    actions = torch.zeros(frames - 1, 5)
    actions[:, 4] = grip[:-1]
    felt = torch.cat([torch.zeros(1), 8.0 * (there[:-1] & (grip[:-1] < 0))])
    touch = torch.stack([felt, felt, felt / 8, (felt > 0).float()], 1)
    return Episode(
        rgb, None, None, actions, right=rgb.flip(2), baseline=0.07, touch=touch, world="arm", seed=seed,
        action_names=tuple("abcde"), touch_names=tuple("lrhc"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def head():
    return fit([hold(i) for i in range(24)], SMALL)


def scores(head, episodes, truth):
    found = [head.foretold(e.rgb, e.right, e.actions) for e in episodes]
    felt = [e.touch[1:] for e in truth]
    return (
        onset_f1([c.numpy() for c, _ in found], [t[:, 3].numpy() for t in felt]),
        force_r2(torch.cat([f[:, 0] for _, f in found]).numpy(), torch.cat([t[:, 0] for t in felt]).numpy()),
    )


def test_it_foretells_what_vision_and_action_tell(head):
    held_out = [hold(1000 + i) for i in range(8)]
    f1, r2 = scores(head, held_out, held_out)
    assert f1 >= 0.9 and r2 >= 0.8
    f1, r2 = scores(head, held_out, [*held_out[1:], held_out[0]])  # the control: what another felt
    assert f1 < 0.8 and r2 < 0.2


def test_without_the_actions_it_cannot_tell(head):
    held_out = [hold(1000 + i) for i in range(8)]
    blind = [
        Episode(e.rgb, None, None, e.actions.roll(7, 0), right=e.right, baseline=0.07, touch=e.touch,
                action_names=e.action_names, touch_names=e.touch_names)
        for e in held_out
    ]  # fmt: skip
    assert scores(head, blind, held_out)[1] < 0.6


def test_no_frame_is_told_by_itself_or_by_a_later_one(head):
    episode = hold(3)
    later = episode.rgb.clone()
    later[20:] = 0
    before = head.foretold(episode.rgb, episode.right, episode.actions)[0]
    after = head.foretold(later, episode.right, episode.actions)[0]
    assert torch.equal(before[:20], after[:20])  # foretold[19] is of frame 20, from frames up to 19
    assert not torch.equal(before[20:], after[20:])


def test_imagined_frames_are_read_like_true_ones(head):
    episode = hold(4)
    floats = (episode.rgb.float() / 255, episode.right.float() / 255)
    for a, b in zip(head.foretold(*floats, episode.actions),
                    head.foretold(episode.rgb, episode.right, episode.actions), strict=True):  # fmt: skip
        assert torch.equal(a, b)
    assert hand_pictures(*floats, SMALL).shape == (40, 6, 9, 12)


def test_actions_before_the_first_are_the_first():
    led = latest_actions(torch.arange(6.0)[:, None])
    assert led[0, :, 0].tolist() == [0] * ACTIONS and led[5, :, 0].tolist() == [2, 3, 4, 5]


def test_a_head_comes_back_from_its_file(head, tmp_path):
    path = save_touch(head, tmp_path, "touch")
    again, episode = load_touch(path), hold(5)
    one, other = (h.foretold(episode.rgb, episode.right, episode.actions)[0] for h in (head, again))
    assert torch.allclose(one, other, atol=0.02)  # kept in half precision
    path.with_suffix(".json").write_text('{"touch": {"forces": 0}}')
    with pytest.raises(FormatError, match="touch head"):
        load_touch(path)


def test_what_cannot_be_fitted_is_refused():
    episode = hold(6)
    one_eye = Episode(episode.rgb, None, None, episode.actions, touch=episode.touch,
                      action_names=episode.action_names, touch_names=episode.touch_names)  # fmt: skip
    with pytest.raises(ValueError, match="two eyes and touch"):
        fit([one_eye], SMALL)
    with pytest.raises(ValueError, match="within the picture"):
        TouchConfig(left=(0.5, 0.5, 0.6, 0.5))
    with pytest.raises(ValueError, match="a width that 4 divides"):
        TouchHead(TouchConfig(width=6))
