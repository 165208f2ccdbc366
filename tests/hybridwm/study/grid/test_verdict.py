"""Planted truths come out: equal arms differ in nothing, a better one is found, a frozen or copying one never wins."""

import math

import numpy as np
import pytest

from hybridwm.study.grid.config import ArmConfig
from hybridwm.study.grid.flags import looks
from hybridwm.study.grid.per_scene import per_scene
from hybridwm.study.grid.planted import planted_checks
from hybridwm.study.grid.roles import roles_of
from hybridwm.study.grid.tasks import EVERYWHERE
from hybridwm.study.grid.verdict import controls, judge


def judged(made, study, gains, measure="psnr_seen", **options):
    """{(trajectory, arm): verdict}."""
    results, _ = made.tables(study, gains, **options)
    values = per_scene(results)
    roles = roles_of(study, values.arms)
    found = judge(values, roles, looks(results, values), measure)
    return {(v.trajectory, v.role.name): v for v in found}


def test_the_planted_order_is_found(made):
    found = judged(made, made.config(), made.GAINS | {"monocular": 0.25, "multiview": -1.0})
    words = {arm: found[EVERYWHERE, arm].word for arm in ("stereo", "truth", "multiview")}
    assert words == {"stereo": "needed", "truth": "needed", "multiview": "hurts"}
    stereo = found[EVERYWHERE, "stereo"]
    assert stereo.gain.corrected.low < 2.0 < stereo.gain.corrected.high
    assert stereo.share.low < 0.8 < stereo.share.high and found[EVERYWHERE, "truth"].share is None
    assert stereo.best_rival.against in ("loopy", "retrieved") and not stereo.failed
    assert set(stereo.placebos) == {"plane", "shuffled"} and len(stereo.rivals) == 6


def test_equal_arms_show_no_effect_in_nearly_every_study(made):
    """Holm over 4 sources and 2 trajectories: of 12 studies without any difference, at most two say a word."""
    wrong = 0
    for seed in range(12):
        found = judged(made, made.config(), {}, seed=seed)
        each = [v for (trajectory, _), v in found.items() if trajectory != EVERYWHERE]
        wrong += any(v.word != "no effect seen" for v in each)
    assert wrong <= 2


def test_a_gain_that_a_placebo_has_too_only_helps(made):
    found = judged(made, made.config(), made.GAINS | {"shuffled": 2.0})
    stereo = found[EVERYWHERE, "stereo"]
    assert stereo.word == "helps" and stereo.failed == ("shuffled",)


def test_a_gain_that_another_memory_has_too_only_helps(made):
    found = judged(made, made.config(), made.GAINS | {"loopy": 2.0})
    assert found[EVERYWHERE, "stereo"].word == "helps" and "loopy" in found[EVERYWHERE, "stereo"].failed


def test_without_placebos_nothing_is_needed(made):
    arms = {name: arm for name, arm in made.ARMS.items() if name not in ("plane", "shuffled")}
    found = judged(made, made.config(arms), made.GAINS)
    assert found[EVERYWHERE, "truth"].word == "helps" and found[EVERYWHERE, "truth"].failed == ()


def test_placebos_count_only_in_the_same_memory(made):
    found = judged(made, made.config(made.ARMS | {"routed": ArmConfig("routed", "truth")}), made.GAINS | {"routed": 2})
    assert found[EVERYWHERE, "routed"].word == "helps" and found[EVERYWHERE, "routed"].placebos == ()


def test_own_weights_are_compared_with_own_weights(made):
    own = {"own video": ArmConfig("recent", weights="a"), "own truth": ArmConfig("splat", "truth", weights="b")}
    found = judged(made, made.config(made.ARMS | own), made.GAINS | {"own video": 2.5, "own truth": 2.5})
    assert found[EVERYWHERE, "own truth"].gain.against == "own video"
    assert found[EVERYWHERE, "own truth"].word == "no effect seen"


@pytest.mark.parametrize("look", [{"flow": 0.02}, {"copied": 0.8}])
def test_frozen_or_copying_rollouts_never_win(made, look):
    found = judged(made, made.config(), made.GAINS, looks={"stereo": look})
    stereo = found[EVERYWHERE, "stereo"]
    assert (stereo.word, stereo.numbers) == ("not ranked", "") and stereo.flags
    assert found[EVERYWHERE, "truth"].word == "needed"


def test_blur_is_flagged_with_its_numbers_beside(made):
    found = judged(made, made.config(), made.GAINS, looks={"stereo": {"flow": 0.8}})
    stereo = found["back", "stereo"]
    assert (stereo.word, stereo.numbers) == ("not ranked", "needed") and "0.80" in stereo.flags[0]


def test_a_replay_on_one_trajectory_is_one_everywhere(made):
    study = made.config()
    results, _ = made.tables(study, made.GAINS, looks={"truth": {"copied": 0.2}})
    index = results.schema.get_field_index("copied")
    turn = np.array(results.column("trajectory").to_pylist()) == "turn"
    copied = [
        0.7 if t and c is not None else c for t, c in zip(turn, results.column("copied").to_pylist(), strict=True)
    ]
    results = results.set_column(index, results.schema.field(index), [copied])
    values = per_scene(results)
    found = looks(results, values)
    assert not found["back", "truth"].outright and found["turn", "truth"].outright
    assert found[EVERYWHERE, "truth"].outright and "turn" in found[EVERYWHERE, "truth"].words[0]


def test_a_word_always_mirrors_its_intervals(made):
    """Over gains of every size: needed just where all corrected intervals are above 0, and then it helps, too."""
    gains = {"stereo": 0.4, "monocular": 0.3, "multiview": 0.2, "truth": 0.5, "loopy": 0.1, "plane": 0.1}
    said = set()
    for seed in range(6):
        for verdict in judged(made, made.config(), gains, seed=seed, spread=0.25).values():
            lows = [rival.corrected.low for rival in verdict.rivals]
            assert (verdict.word == "needed") == (min(lows) > 0)
            assert verdict.word != "needed" or verdict.gain.corrected.low > 0
            assert (verdict.gain.corrected.low > 0) == (verdict.word in ("needed", "helps"))
            said.add(verdict.word)
    assert said >= {"needed", "helps", "no effect seen"}


def test_where_video_only_has_no_scene_the_placebos_are_beaten_or_not(made):
    errors = {"stereo": 0.1, "truth": 0.01, "monocular": 0.5, "plane": 0.5, "shuffled": 0.6}
    study = made.config()
    results, _ = made.tables(study, {}, measures={arm: {"depth_error": e} for arm, e in errors.items()})
    values = per_scene(results)
    found = judge(values, roles_of(study, values.arms), {}, "depth_error")
    words = {v.role.name: v.word for v in found if v.trajectory == EVERYWHERE}
    assert words["stereo"] == "beats the placebos" and words["monocular"] == "no better than a placebo"
    assert words["multiview"] == "not measured"


def test_planted_faults_are_found(made):
    plants = {
        "again": ArmConfig("splat", "truth", noise_seed=1),
        "noisy frames": ArmConfig("recent", plant="noise"),
        "stands": ArmConfig("recent", plant="frozen"),
        "replays": ArmConfig("splat", "truth", plant="copy-paste"),
        "lonely": ArmConfig("loopy", plant="noise", weights="other"),
    }
    study = made.config(made.ARMS | plants)
    gains = made.GAINS | {"again": 2.5, "noisy frames": -1.0}
    results, _ = made.tables(study, gains, looks={"stands": {"flow": 0.0}, "replays": {"copied": 0.9}})
    values = per_scene(results)
    roles, found = roles_of(study, values.arms), looks(results, values)
    checks = planted_checks(values, roles, found, controls(values, roles, "psnr_seen"))
    holds = {(c["arm"], c["what"].split(",")[0]): c["holds"] for c in checks}
    assert holds.pop(("lonely", "noise")) is None
    assert len(holds) == 5 and all(holds.values()), checks
    assert not any(v.role.name in plants for v in judge(values, roles, found, "psnr_seen"))  # nor are they ranked


def test_a_plant_that_was_not_planted_is_missed(made):
    plants = {"noisy frames": ArmConfig("recent", plant="noise"), "stands": ArmConfig("recent", plant="frozen")}
    study = made.config(made.ARMS | plants | {"again": ArmConfig("splat", "truth", noise_seed=1)})
    results, _ = made.tables(study, made.GAINS | {"shuffled": 1.0, "again": 3.5})
    values = per_scene(results)
    roles, found = roles_of(study, values.arms), looks(results, values)
    checks = planted_checks(values, roles, found, controls(values, roles, "psnr_all"))
    assert checks and not any(check["holds"] for check in checks)


def test_still_truth_flags_nobody(made):
    results, _ = made.tables(made.config(), {}, looks={arm: {"flow": 0.0} for arm in made.ARMS})
    index = results.schema.get_field_index("flow_true")
    results = results.set_column(index, results.schema.field(index), [[0.001] * len(results)])
    found = looks(results, per_scene(results))
    assert not any(look.words for look in found.values()) and math.isnan(found["back", "video"].motion)


def test_three_scenes_are_too_few_whatever_they_show(made):
    found = judged(made, made.config(scenes=3), made.GAINS | {"stereo": 7.0})
    assert found[EVERYWHERE, "stereo"].word == "too few scenes"
