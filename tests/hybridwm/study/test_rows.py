"""The table from measurements whose figures are known; a target that is missed must say so."""

import dataclasses
import math

import numpy as np
import pytest

from hybridwm.study import arms, figures, headline, rows
from hybridwm.study.demo_config import DemoConfig
from hybridwm.study.statistics import Interval

CONFIG = DemoConfig(scenes=24, stares=128)


@pytest.fixture(scope="module")
def table(synthetic):
    return {f.name: f for f in rows.table(synthetic.records(CONFIG))}


def test_row_12_has_the_known_gains(table):
    seen = table[headline.SEEN]
    assert seen.value == pytest.approx(10 * math.log10(4)) and seen.holds and seen.n == 24 and seen.p < 0.01
    assert table[headline.NEVER].value == pytest.approx(0) and table[headline.NEVER].holds
    wrong = table["where alpha > .5, 10 % wrong splats: grounded over the raw render"]
    assert wrong.value == pytest.approx(10 * math.log10(2))
    assert table["whole frame: grounded over the composite"].value == pytest.approx(10 * math.log10(2))


def test_row_1_has_the_known_gains(table):
    assert table["one step, grounded: PSNR over copy"].value == pytest.approx(10)
    assert table["one step, video only: PSNR over copy"].value == pytest.approx(10 * math.log10(2))
    assert table["action following, 1 step ahead, render dropped"].value == 1
    assert table["action following, 4 steps ahead, render dropped"].value == pytest.approx(0.75)
    assert not table["action following, 4 steps ahead, render dropped"].holds
    assert table["action following of the frozen frame"].value == 0.5


def test_row_2_knows_an_off_by_one_loader(table):
    assert table["lag of flow behind the yaw command: truth"].value == 0
    control = table["lag with a loader that is off by one"]
    assert control.kind == "control" and control.value == 1 and control.holds


def test_row_9_counts_and_bounds(table):
    grounded = next(f for f in table.values() if f.row == 9)
    assert grounded.value == pytest.approx(115 / 128) and grounded.low > 0.6 and grounded.holds
    assert all(f.holds for f in table.values() if f.row == 9 and f.kind == "control")


def test_row_7_holds_and_its_control_fails(table):
    assert table["cached against full forward pass: largest difference"].holds
    assert table["grounded rollout, end to end"].value == pytest.approx(1 / 0.07)
    control = next(f for f in table.values() if f.row == 7 and f.kind == "control")
    assert control.value == pytest.approx(300) and control.holds


def test_a_memory_that_leaks_into_its_controls_is_not_believed(synthetic):
    records = synthetic.records(CONFIG)
    for record in records["stare"]:
        record["hits"][arms.NO_MEMORY] = 1.0
    off = next(f for f in rows.table(records) if f.name == "stare test, memory off (last frame only)")
    assert off.holds is False


def test_a_frozen_model_is_flagged(synthetic):
    table = {row["name"]: row for row in figures.arm_table(synthetic.records(CONFIG)["return"])}
    assert table["frozen"]["flagged"] and not table[arms.STEREO]["flagged"]


def test_no_measurements_give_no_rows():
    assert rows.table({}) == []


@pytest.mark.parametrize(
    ("target", "holds"),
    [("≥ 2", True), ("≥ 3", False), ("≤ 2.5", True), ("≥ 2, excludes 0", True), ("≥ −.3", True),
     ("≥ 1, low ≥ 1.5", True), ("≥ 1, low ≥ 2.2", False), ("= 2.5", True), ("≠ 0", True), ("", None)],
)  # fmt: skip
def test_targets_are_read(target, holds):
    assert figures.figure(1, "x", Interval(2.5, 1.5, 3.5, 4), "dB", target).holds is holds


def test_nothing_measured_neither_holds_nor_fails():
    assert figures.figure(1, "x", Interval(math.nan, math.nan, math.nan, 0), "dB", "≥ 2").holds is None


def test_figures_survive_json():
    item = figures.Figure(12, "x", 1.0, unit="dB", n=3)
    assert "NaN" not in str(figures.as_mapping(item))
    back = figures.from_mapping(figures.as_mapping(item))
    assert math.isnan(back.low) and dataclasses.replace(back, low=0.0, high=0.0) == dataclasses.replace(
        item, low=0.0, high=0.0
    )


def test_holm_is_applied_over_all_comparisons():
    made = [figures.Figure(1, str(i), 1.0, unit="dB", n=9, p=0.01) for i in range(5)]
    assert [f.p for f in figures.with_holm(made)] == pytest.approx([0.05] * 5)


def test_curves_pool_over_scenes():
    records = [{"e": [[100.0, 1.0], [0.0, 0.0]]}, {"e": [[300.0, 1.0], [0.0, 0.0]]}]
    line = figures.curve(records, lambda r: r["e"])
    assert line[0] == pytest.approx(10 * np.log10(255**2 / 200)) and line[1] is None
