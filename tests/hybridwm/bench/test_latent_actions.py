"""The bench of latent actions: probes find what is there and nothing else, cameras differ by shares of the motion."""

import math

import pytest
import torch

from hybridwm.actions.keyboard import typed_actions
from hybridwm.actions.latent.bodies import fit_keys
from hybridwm.actions.latent.space import load_latent_actions
from hybridwm.actions.walker import Walker, action_vectors
from hybridwm.bench.core_table import lines
from hybridwm.bench.latent_actions import codes_of, elsewhere, measure_labels
from hybridwm.bench.latent_cameras import difference, ended, measure_cameras
from hybridwm.bench.latent_scenes import ABOVE, WIDE, probed
from hybridwm.bench.latent_table import AREA, rows
from hybridwm.study.inverse_dynamics import index_of
from hybridwm.training.latent_actions.pairs import room_pairs


@pytest.fixture(scope="module")
def space():
    return load_latent_actions()


def test_a_probe_finds_a_scene_that_is_there_and_none_that_is_not():
    stream = torch.Generator().manual_seed(0)
    label = torch.arange(16).repeat(60)
    blind = torch.randn(960, 6, generator=stream)
    own = torch.randn(16, 4, generator=stream)[label] + 0.3 * torch.randn(960, 4, generator=stream)
    leaky = torch.cat([blind, own], 1)
    found, of = probed(blind, label, 16)
    assert found / of < 1 / 16 + ABOVE
    found, of = probed(leaky, label, 16)
    assert found / of > 0.8


def test_a_linear_map_names_what_is_linear():
    stream = torch.Generator().manual_seed(0)
    codes = torch.randn(300, 4, generator=stream)
    label = codes[:, :3].argmax(1)
    named = fit_keys(codes[:99], label[:99], 3).scores(codes[99:]).argmax(1)
    assert (named == label[99:]).float().mean() > 0.9
    shuffled = fit_keys(codes[:99], label[:99].roll(1), 3).scores(codes[99:]).argmax(1)
    assert (shuffled == label[99:]).float().mean() < 0.55


def test_each_pair_is_replayed_in_another_room():
    room = torch.arange(5).repeat_interleave(7)
    assert bool((room[elsewhere(room)] != room).all())


@pytest.mark.parametrize(("keys", "wrong"), [("j-1", 0.0), ("l-1", 2.0), ("j-1,w-1", 1.0), ("j-2", 1.0)])
def test_cameras_differ_by_shares_of_the_motion(keys, wrong):
    told = typed_actions("j-1")
    found = difference(ended(Walker(), told), ended(Walker(), typed_actions(keys)), told)
    assert found == pytest.approx(wrong, abs=1e-4)


def test_a_degree_off_is_a_fifteenth_of_a_step():
    told = typed_actions("j-1")
    off = told.clone()
    off[0, 2] += math.radians(1)
    assert difference(ended(Walker(), told), ended(Walker(), off), told) == pytest.approx(1 / 15, rel=1e-3)


def test_keys_velocities_and_words_come_to_one_camera(space):
    figures = measure_cameras(space)
    assert figures["turn left a little: largest difference"] <= 0.1
    assert figures["held-out phrases within a tenth"].value > 0.8
    assert figures["random codes: held-out phrases within a tenth"].value < 0.4


def test_held_out_rooms_are_read_and_random_codes_are_not(space):
    table = action_vectors()

    def keys(stream, count):
        return table[torch.randint(len(table), (count,), generator=stream)]

    labelled, tested = (room_pairs(range(first, first + 8), keys) for first in (9_000_300, 9_000_310))
    figures = measure_labels(space, labelled[slice(0, 99)], index_of(labelled.actions)[:99], tested)
    assert figures["action named, each as often"] > 0.6
    assert figures["random codes: action named, each as often"] < 0.3
    still = codes_of(space, tested[index_of(tested.actions) == 8])
    assert still.norm(dim=1).max() < codes_of(space, tested).norm(dim=1).max() / 2


def test_the_table_says_which_control_passes():
    told = {AREA: {"action named": 0.9, "random codes: action named": 0.85, "room found, beyond chance": 0.01,
                   f"{WIDE} numbers: room found, beyond chance": 0.4}}  # fmt: skip
    named, scene = lines(told, rows())
    assert named.met and named.control_fails is False and "passes" in named.control
    assert scene.met and scene.control_fails
