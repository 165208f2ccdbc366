"""From rows to values: squared errors are pooled before the logarithm, medians skip failures, seeds are averaged."""

import math

import numpy as np
import pytest

from hybridwm.study.grid import table
from hybridwm.study.grid.per_scene import by_step, per_scene, pooled_ratios
from hybridwm.study.grid.recompute import recompute
from hybridwm.study.grid.tasks import ALL, EVERYWHERE


def rows(trajectory="back", scene=1, arm="video", noise_seed=0, frames=(), **rollout):
    keys = {"trajectory": trajectory, "scene": scene, "arm": arm, "noise_seed": noise_seed}
    return [keys | {"step": -1} | rollout, *(keys | {"step": i} | frame for i, frame in enumerate(frames))]


def test_decibels_are_of_pooled_errors():
    frames = [{"se_seen": 400.0, "n_seen": 1.0}, {"se_seen": 0.0, "n_seen": 3.0}, {"se_seen": 0.0, "n_seen": 0.0}]
    values = per_scene(table.results_table(rows(frames=frames)))
    assert values.scene_values("back", "psnr_seen", "video") == pytest.approx([10 * math.log10(255**2 / 100)])
    assert "psnr_moving" not in values.values
    assert by_step(table.results_table(rows(frames=frames)), "seen")["back", "video"] == [
        pytest.approx(10 * math.log10(255**2 / 400)),
        100.0,  # no error at all: the ceiling
    ]


def test_ratios_medians_shares_and_rollouts():
    frames = [
        {"flow": 1.0, "flow_true": 4.0, "rotation_error": 1.0, "followed": 1.0, "revisit": 100.0},
        {"flow": 3.0, "flow_true": 4.0, "followed": 0.0},
        {"flow": 5.0, "rotation_error": 5.0, "followed": 1.0},
        {"rotation_error": 2.0, "followed": 1.0},
    ]
    values = per_scene(table.results_table(rows(frames=frames, nmr=0.7, copied=0.1)))
    found = {name: float(values.scene_values("back", name, "video")[0]) for name in values.values}
    assert found["flow_ratio"] == 0.5  # only of frames that have both
    assert found["rotation_error"] == 2.0 and found["followed"] == 0.75
    assert found["revisit"] == pytest.approx(10 * math.log10(255**2 / 100))
    assert found["nmr"] == 0.7 and found["copied"] == 0.1


def test_seeds_are_averaged_and_pairs_share_theirs():
    made = rows(nmr=0.2) + rows(nmr=0.6, noise_seed=1) + rows(arm="stereo", nmr=0.5, noise_seed=1)
    values = per_scene(table.results_table(made))
    assert values.scene_values("back", "nmr", "video") == pytest.approx([0.4])
    assert np.nanmean(values.differences("back", "nmr", "stereo", "video")) == pytest.approx(-0.1)
    assert np.isnan(values.rollouts("back", "nmr", "nobody")).all()


def test_all_trajectories_need_each_that_has_the_measure():
    made = rows(nmr=0.2) + rows("turn", nmr=0.4) + rows(scene=2, nmr=0.9)
    made += rows("walk", scene=1) + rows("walk", scene=2)  # which has no nmr at all
    values = per_scene(table.results_table(made))
    everywhere = values.scene_values(EVERYWHERE, "nmr", "video")
    assert everywhere[0] == pytest.approx(0.3) and math.isnan(everywhere[1])


def test_lower_is_better_turns_differences():
    made = rows(depth_error=0.3, arm="plane") + rows(depth_error=0.1, arm="stereo")
    values = per_scene(table.results_table(made))
    assert values.differences("back", "depth_error", "stereo", "plane")[0, 0] == pytest.approx(0.2)


def test_pooled_ratio_of_frozen_and_of_still_truth():
    made = rows(frames=[{"flow": 0.0, "flow_true": 2.0}] * 3)
    made += rows("wait", frames=[{"flow": 0.0, "flow_true": 0.0}])
    ratios = pooled_ratios(table.results_table(made), "flow")
    assert ratios["back", "video"] == (0.0, 2.0) and math.isnan(ratios["wait", "video"][0])
    assert ratios[EVERYWHERE, "video"] == (0.0, 1.5)


def test_every_measure_says_how_it_is_made():
    for measure in ALL:
        assert measure.formula and measure.source and measure.title
        assert set(measure.columns) <= set(table.FRAME) | set(table.ROLLOUT), measure.name


def test_one_number_again():
    made = [
        row for s in range(8) for row in rows(scene=s, nmr=0.1 * s) + rows(scene=s, arm="stereo", nmr=0.1 * s + 0.2)
    ]
    values = per_scene(table.results_table(made))
    test, scenes = recompute(values, "back", "nmr", "stereo", "video")
    assert test.mean == pytest.approx(0.2) and len(scenes) == 8
    assert recompute(values, "back", "nmr", "video")[0].mean == pytest.approx(0.35)
    with pytest.raises(ValueError, match="expected arm of video, stereo; got 'sterio'"):
        recompute(values, "back", "nmr", "sterio")
