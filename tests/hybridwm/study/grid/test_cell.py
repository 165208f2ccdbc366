"""A cell of the study: what an arm is given, what is measured of it, and that nothing else moves it."""

from dataclasses import replace
from math import log10

import pytest
import torch

from hybridwm.study.grid.arm import add_noise, check_arms, noise_seed, repeats_of
from hybridwm.study.grid.cell import GUARD, Cell, measure_cell
from hybridwm.study.grid.config import ArmConfig, StudyConfig, TrajectoryConfig
from hybridwm.study.grid.setting import setting_of

STUDY = StudyConfig(
    arms={
        "video only": ArmConfig(),
        "true depth": ArmConfig("splat", "truth"),
        "shuffled": ArmConfig("splat", "shuffled"),
        "noisy": ArmConfig("splat", "truth", plant="noise"),
        "frozen": ArmConfig(plant="frozen"),
    },
    trajectories={"out": TrajectoryConfig("out_and_back", 8)},
    scenes=1,
    videos=0,
)


def level(found, mask="all") -> float:
    columns = found["frames"]
    return 10 * log10(255**2 * sum(columns[f"n_{mask}"]) / sum(columns[f"se_{mask}"]))


@pytest.fixture(scope="module")
def measured():
    return {name: measure_cell(Cell("out", 0, name, 0), STUDY)["rollouts"] for name in (*STUDY.arms, GUARD)}


def test_the_same_cell_gives_the_same_figures_bit_for_bit(measured):
    again = measure_cell(Cell("out", 0, "true depth", 0), STUDY)["rollouts"][0]
    assert again["frames"] == measured["true depth"][0]["frames"]
    other = measure_cell(Cell("out", 0, "true depth", 1), replace(STUDY, noise_seeds=2))["rollouts"][0]
    assert other["frames"] != again["frames"]  # another noise seed is another dream


def test_arms_differ_in_what_they_should(measured):
    assert level(measured["true depth"][0], "seen") > level(measured["shuffled"][0], "seen") + 1
    assert sum(measured["frozen"][0]["frames"]["change"]) == 0
    assert measured["video only"][0]["rollout"].get("gaussians") is None
    assert measured["true depth"][0]["rollout"]["gaussians"] > 1000
    assert [found["arm"] for found in measured[GUARD]] == ["frozen frame", "nearest past frame", "pure warp"]


def test_a_planted_decibel_is_a_decibel(measured):
    assert level(measured["true depth"][0]) - level(measured["noisy"][0]) == pytest.approx(1, abs=0.1)


def test_masks_are_all_of_a_frame(measured):
    columns = measured["video only"][0]["frames"]
    assert [a + b for a, b in zip(columns["n_seen"], columns["n_never"], strict=True)] == columns["n_all"]
    assert 0 < sum(columns["n_seen"]) < sum(columns["n_all"])


def test_the_placebo_is_depth_of_another_room():
    setting = setting_of(STUDY.trajectories["out"], STUDY.first_seed, (64, 64))
    camera, depth = setting.episode.cameras[0], setting.episode.depth[0]
    other = setting.shuffled(camera)
    assert bool((other > 0).all()) and torch.equal(other, setting.shuffled(camera))
    assert float(((other - depth).abs() / depth).median()) > 0.05
    assert torch.allclose(setting.episode.oracle(camera), depth, atol=1e-4)


def test_repeats_are_noise_seeds_then_training_seeds():
    study = replace(STUDY, noise_seeds=3, seed_scenes=1)
    one, two = ArmConfig(), ArmConfig(weights="rooms-64, rooms-64")
    assert repeats_of(study, one, 0) == [0, 1, 2] and repeats_of(study, one, 1) == [0]
    assert repeats_of(study, two, 0) == [0, 1, 2, 3, 4, 5] and repeats_of(study, two, 1) == [0, 3]
    seeds = {noise_seed(7, repeat, ArmConfig(noise_seed=n)) for repeat in (0, 1) for n in (0, 1)}
    assert noise_seed(7, 0, one) == 7 and len(seeds) == 4


def test_noise_adds_to_the_error_what_it_says():
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(3, 64, 64, 3, generator=generator)
    frames = truth + 0.1 * torch.randn(truth.shape, generator=generator)
    worse = add_noise(frames, truth, 1.0, 0)
    gain = 10 * torch.log10(((worse - truth) ** 2).mean() / ((frames - truth) ** 2).mean())
    assert float(gain) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    "arm, said",
    [
        (ArmConfig("splat"), "needs a depth source"),
        (ArmConfig("recent", "stereo"), "uses no depth"),
        (ArmConfig("spalt", "stereo"), "expected one of"),
        (ArmConfig("splat", "sterio"), "depth source must be one of"),
        (ArmConfig("no_such_module:Memory"), "module:name"),
    ],
)
def test_a_wrong_arm_is_named_before_anything_is_measured(arm, said):
    with pytest.raises(ValueError, match=f"study arm 'mine': .*{said}"):
        check_arms(replace(STUDY, arms={"mine": arm}))
