"""Studies beside each other: the gain grows with compute where it was made to, and own weights may disagree."""

import pytest

from hybridwm.study.grid.config import ArmConfig
from hybridwm.study.grid.report import render_study
from hybridwm.study.grid.summary import summarise
from hybridwm.study.grid.sweep import beside, beside_section, compute_curve, compute_section


def summed(made, gains, arms=None):
    study = made.config(arms)
    return summarise(study, *made.tables(study, gains))


def test_the_gain_against_compute(made):
    summaries = {budget: summed(made, {"stereo": gain}) for budget, gain in ((600, 1.0), (150, 0.0), (2400, 2.0))}
    curve = compute_curve(summaries)
    assert [point["budget"] for point in curve["stereo"]] == [150, 600, 2400]
    for point, true in zip(curve["stereo"], (0.0, 1.0, 2.0), strict=True):
        assert point["low"] < true < point["high"] and point["n"] == 16
    assert [point["word"] for point in curve["stereo"]] == ["no effect seen", "needed", "needed"]
    svg = compute_section(curve)
    assert "2400" in svg and "stereo" in svg
    with pytest.raises(ValueError, match="two training budgets or more; got 1"):
        compute_curve({1: summaries[150]})


def test_shared_beside_own_weights(made, tmp_path):
    own = {f"own {n}": ArmConfig(a.memory, a.depth, weights=n) for n, a in made.ARMS.items()}
    gains = made.GAINS | {"own truth": 2.0}
    found = summed(made, gains, made.ARMS | own)
    rows = {row["source"]: row for row in beside(found, found)}
    assert rows["true depth"]["agree"] and not rows["stereo"]["agree"]
    assert rows["stereo"]["own"]["word"] == "no effect seen"
    assert "Shared or own weights" in render_study(found, tmp_path)
    assert beside_section([]) == ""
