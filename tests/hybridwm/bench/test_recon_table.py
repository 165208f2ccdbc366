"""The published table: what is asked of ours is held against ours, and what was not measured is not claimed."""

import math

from hybridwm.bench.recon import flattened
from hybridwm.bench.recon_table import OTHER, OURS, ROWS, Row, lines, markdown

WITHIN = Row("stereo", "error", {OURS: "a", OTHER: "b"}, "OpenCV", "{:.1f} %", ("<=", 2.0))
ABOVE = Row("stereo", "gain", {OURS: "a", OTHER: "b"}, "warp", "{:.1f} dB", (">=", 1.5, OTHER))


def test_a_figure_is_held_against_what_was_asked():
    met, failed = (lines({"stereo": {"a": a, "b": 1.0}}, [WITHIN])[0] for a in (2.0, 2.1))
    assert (met.cells, met.asked, met.met, met.other) == (("2.0 %", "–", "1.0 %"), "≤ 2.0 %", True, "OpenCV")
    assert failed.met is False and "**not met**" in markdown([failed]) and "not met" not in markdown([met])


def test_a_bound_on_another_s_figure_moves_with_it():
    (met,) = lines({"stereo": {"a": 26.5, "b": 25.0}}, [ABOVE])
    (failed,) = lines({"stereo": {"a": 26.5, "b": 25.1}}, [ABOVE])
    assert (met.met, failed.met, met.asked) == (True, False, "≥ warp + 1.5 dB")


def test_what_was_not_measured_is_left_out():
    assert lines({}, [WITHIN]) == lines({"stereo": {"b": 1.0}}, [WITHIN]) == []
    assert lines({"stereo": {"a": math.nan}}, [WITHIN]) == []
    (line,) = lines({"stereo": {"a": 26.5}}, [ABOVE])
    assert line.met is None and line.cells[2] == "–"


def test_nested_figures_become_flat():
    nested = {"tsukuba": {"ours": {"bad2": 1, "sure": True}, "bins": [1, 2]}, "x": 0.5}
    assert dict(flattened(nested)) == {"tsukuba: ours: bad2": 1.0, "tsukuba: ours: sure": 1.0, "x": 0.5}


def test_rows_are_distinct():
    assert len({(row.words, row.other, *row.names.values()) for row in ROWS}) == len(ROWS)
