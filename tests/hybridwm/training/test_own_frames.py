"""What the network learns from itself, and what it is shown: shortcuts, its own frames, remembered ones, parallax."""

from dataclasses import replace

import pytest
import torch

from hybridwm.core import flow
from hybridwm.core.config import CoreConfig
from hybridwm.core.network import VideoNetwork
from hybridwm.training.clips import make_batch, step_generator
from hybridwm.training.config import EpisodesConfig, TrainConfig
from hybridwm.training.episodes import make_episodes
from hybridwm.training.own_frames import with_own_rollouts, with_shortcut_targets
from hybridwm.training.parallax import parallax_loss
from hybridwm.training.remembering import SLOTS, WHOLE, remembered_tokens, remembers
from hybridwm.worlds.rooms.rig import RoomsRig

CPU = torch.device("cpu")
CORE = CoreConfig(height=32, width=32, dim=24, depth=2, heads=3, window=2)
CONFIG = TrainConfig(
    core=CORE, episodes=EpisodesConfig(episodes=3, validation=1, steps=24), batch=3, clip=4
)
RIG = RoomsRig(size=32)


@pytest.fixture(scope="module")
def walks():
    return make_episodes([9_000_001, 9_000_002, 9_000_003], 24, RIG, CPU)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    made = VideoNetwork(CORE)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return made


def batch_of(walks, step=0, **changes):
    return make_batch(walks, replace(CONFIG, **changes), RIG, step_generator(0, step, CPU))


def test_shortcut_clips_learn_from_two_smaller_steps_and_the_others_from_the_truth(walks, network):
    batch = batch_of(walks, shortcut=0.5, batch=8)
    some = batch.shortcut
    assert some.any() and not some.all()
    last = CORE.levels - 1
    level = batch.conditions.level
    assert (level[:, :4] == last).all() and (level[~some, 4:] == last).all() and (level[some, 4:] < last).all()
    target = with_shortcut_targets(network, batch)
    assert torch.equal(target[~some], batch.clean[~some])
    i = int(some.nonzero()[0, 0])
    one = batch.take(torch.tensor([i]))

    def denoise(noisy, t, level):
        told = replace(
            one.conditions,
            t=torch.cat([one.conditions.t[:, :4], t], 1),
            level=torch.cat([one.conditions.level[:, :4], level], 1),
        )
        with torch.no_grad():
            return network(torch.cat([one.noisy[:, :4], noisy], 1), told, one.sight, first=4).frames

    expected = flow.shortcut_target(denoise, one.noisy[:, 4:], one.t, one.conditions.level[:, 4:])
    assert (target[i] - expected[0]).abs().max() < 1e-5


def test_without_shortcuts_targets_are_the_truth(walks, network):
    batch = batch_of(walks, shortcut=0.0)
    assert with_shortcut_targets(network, batch) is batch.clean


def test_own_frames_replace_the_context_and_nothing_else(walks, network):
    batch, always = batch_of(walks), replace(CONFIG, own_rollouts=1.0)
    own = with_own_rollouts(network, batch, always, step_generator(0, 5, CPU))
    again = with_own_rollouts(network, batch, always, step_generator(0, 5, CPU))
    assert torch.equal(own.noisy, again.noisy)  # a function of the step
    assert not torch.equal(own.noisy[:, :4], batch.noisy[:, :4])
    assert torch.equal(own.noisy[:, 4:], batch.noisy[:, 4:]) and torch.equal(own.clean, batch.clean)
    # shown at the same noise: what is taken off the noise is a frame of 256 levels
    t = batch.conditions.t[:, :4, None, None, None]
    frames = (own.noisy[:, :4] - t * batch.noise[:, :4]) / (1 - t)
    levels = ((frames + 1) * 127.5)[(t < 0.3).expand_as(frames)]
    assert (levels - levels.round()).abs().max() < 0.01 and levels.min() > -0.01 and levels.max() < 255.01
    never = replace(CONFIG, own_rollouts=0.0)
    assert with_own_rollouts(network, batch, never, step_generator(0, 5, CPU)) is batch


def test_remembered_frames_come_from_the_past_of_the_same_walk(walks):
    """Of both kinds; patches of a marked future frame are never among them."""
    marked = replace_frames(walks, 20, 255)
    frames = torch.arange(20, 24).expand(2, -1)
    kinds = set()
    for step in range(6):
        told = remembered_tokens(marked, torch.tensor([0, 1]), frames, CORE, RIG, step_generator(0, step, CPU))
        kinds.add(told.patches.shape[1])
        assert told.patches.max() < 1  # 255 is +1
        assert told.rays.shape == (2, 4, told.patches.shape[1], 6)
        assert torch.allclose(told.rays[..., 3:].norm(dim=-1), torch.ones(()), atol=1e-5)
    assert kinds == {WHOLE * 16, SLOTS * 2}  # 32 x 32: 4 x 4 patches; a half by three eighths: 2 x 1


def replace_frames(walks, first, value):
    rgb = walks.rgb.clone().clamp(max=254)
    rgb[:, first:] = value
    return replace(walks, rgb=rgb)


def test_a_step_remembers_in_all_of_its_units_or_in_none(walks):
    config = replace(CONFIG, remembered=0.25)
    share = [remembers(config, step) for step in range(400)]
    assert 0.15 < sum(share) / len(share) < 0.35
    assert not any(remembers(replace(CONFIG, remembered=0.0), step) for step in range(50))
    generator = step_generator(0, 0, CPU)
    assert make_batch(walks, config, RIG, generator, remembering=True).conditions.remembered is not None
    assert make_batch(walks, config, RIG, generator).conditions.remembered is None


@pytest.mark.parametrize("context", ["clean", "dropped", "shared", "noisy"])
def test_controls_show_the_context_otherwise(walks, context):
    batch = batch_of(walks, context=context, batch=32, shortcut=0.0)
    t = batch.conditions.t[:, :4]
    if context == "clean":
        assert (t == 0).all()
    elif context == "dropped":
        assert set(t.unique().tolist()) == {0.0, 1.0} and 0.1 < t.mean() < 0.35
    elif context == "shared":
        assert torch.equal(t, batch.t) and (t == t[:, :1]).all()
    else:
        assert t.unique().numel() > 100 and t.median() < 0.1 and t.max() > 0.8


def test_the_parallax_loss_asks_for_the_true_depth(walks, network):
    """Carried by true inverse depth the loss is lower than by a plane, and by a wrong one higher."""
    from hybridwm.core.carry import carry
    from hybridwm.core.network import Prediction

    batch = batch_of(walks, batch=12)
    generator = step_generator(0, 0, CPU)
    from hybridwm.training.clips import pick

    walk, frames = pick(3, replace(CONFIG, batch=12), generator)
    depth = walks.depth[walk[:, None], frames].float().clamp(min=0.2)
    previous = walks.rgb[walk[:, None], frames - 1, 0].movedim(-1, -3).float() / 127.5 - 1
    told = batch.conditions

    def of(inverse_depth):
        carried, inside = carry(previous, told.K[:, 4:], told.motion[:, 4:, 0], inverse_depth)
        return parallax_loss(Prediction(batch.clean, carried[:, :, None], inside[:, :, None]), one_eye)

    left = {name: getattr(batch, name)[:, :, :3] for name in ("noisy", "noise", "clean")}
    one_eye = replace(batch, **left)
    true, plane, wrong = of(1 / depth), of(torch.full_like(depth, 0.4)), of(3 / depth)
    assert true < 0.8 * plane and plane < wrong
