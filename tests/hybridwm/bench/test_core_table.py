"""The table of `bench core`: bounds, ends of intervals, controls that pass where they must not."""

import math

from hybridwm.bench.core_table import ROWS, Asked, Control, Row, lines, markdown

LEAST = Row("drift", "ratio", "a", asked=Asked(high=2.0), control=Control("noise", "b"))
LOWER = Row("drift", "excess", "a", "{:+.2f}", Asked(high=0.0, of="low"))


def interval(name, value, low, high):
    return {f"{name}: value": value, f"{name}: low": low, f"{name}: high": high, f"{name}: n": 8.0}


def test_a_figure_and_its_control_are_held_against_one_bound():
    (line,) = lines({"drift": interval("a", 1.5, 1.2, 2.4) | {"b": 2.1}}, [LEAST])
    assert (line.figure, line.interval, line.asked, line.verdict) == ("1.50", "1.20 … 2.40", "≤ 2.00", "met")
    assert (line.control, line.control_fails) == ("noise 2.10", True)


def test_a_control_that_passes_is_named():
    (line,) = lines({"drift": {"a": 2.5, "b": 1.9}}, [LEAST])
    assert (line.met, line.control_fails) == (False, False)
    assert "**not met**" in markdown([line]) and "noise 1.90: **passes**" in markdown([line])


def test_an_end_of_the_interval_may_be_what_is_held():
    (met,) = lines({"drift": interval("a", 0.1, -0.01, 0.2)}, [LOWER])
    (failed,) = lines({"drift": interval("a", 0.1, 0.01, 0.2)}, [LOWER])
    assert (met.met, failed.met) == (True, False)


def test_bounds_in_words():
    assert Asked(low=20.0).words("{:.0f}") == "≥ 20"
    assert Asked(0.6, 1.6).words("{:.1f}") == "0.6 to 1.6"
    assert not Asked(high=2.0).holds(math.nan)


def test_what_was_not_measured_is_left_out():
    assert lines({}, ROWS) == [] == lines({"speed": {"b": 1.0}}, ROWS)


def test_rows_are_distinct():
    assert len({(row.area, row.name) for row in ROWS}) == len(ROWS) == len({(row.area, row.words) for row in ROWS})
