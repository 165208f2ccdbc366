"""The report holds every figure, needs nothing but itself, and says first what was found."""

import io
import json
import re

import pytest
from rich.console import Console

from hybridwm.study import demo, headline, plots, terminal
from hybridwm.study.demo_config import DemoConfig
from hybridwm.study.figures import from_mapping
from hybridwm.study.report import render_report
from render.images import write_png

CONFIG = DemoConfig(scenes=4, stares=8)


@pytest.fixture(scope="module")
def summary(synthetic):
    made = demo.summarise(CONFIG, synthetic.records(CONFIG), "0" * 64, 100.0)
    return json.loads(json.dumps(made, allow_nan=False))


@pytest.fixture(scope="module")
def page(summary, tmp_path_factory):
    import numpy as np

    folder = tmp_path_factory.mktemp("run")
    (folder / "rollouts").mkdir()
    write_png(folder / "scene.png", np.zeros((8, 8, 3), np.uint8))
    write_png(folder / "rollouts" / "return-00.png", np.zeros((8, 8, 3), np.uint8))
    (folder / "rollouts" / "return-00.mp4").write_bytes(b"not really a video")
    return render_report(summary, folder, None)


def test_the_page_is_self_contained(page):
    assert not re.findall(r"https?://|<link|<script|url\(|@import", page)
    for source in re.findall(r'(?:src|href|poster)="([^"]*)"', page):
        assert source.startswith("data:")
    assert page.count("data:video/mp4;base64,") == 1 and page.count("data:image/png;base64,") >= 2


def test_the_page_has_every_figure_and_its_command(page, summary):
    for item in map(from_mapping, summary["figures"]):
        assert headline.shown(item) in page
    assert page.count("hybridwm demo") >= 2
    assert "control: " in page and "guard: " in page


def test_the_answer_comes_first(page):
    answer = page.index('class="answer"')
    assert answer < page.index("<h2>")
    assert "+6.02 dB" in page[answer : answer + 400]
    assert "n = 4 is few" in page[: page.index("<h2>")]


def test_the_full_run_stands_beside(summary, tmp_path):
    full = {**summary, "scenes": 24, "stares": 128, "command": "hybridwm demo --full"}
    page = render_report(summary, tmp_path, full)
    assert "The full run, n = 24 rooms and 128 stare tests" in page and "hybridwm demo --full" in page


def test_text_is_escaped(summary, tmp_path):
    nasty = {**summary, "command": "<script>alert(1)</script>"}
    assert "<script>" not in render_report(nasty, tmp_path, None)


def test_the_terminal_shows_the_table_and_where_to_look(summary, tmp_path):
    for width in (80, 140):
        console = Console(width=width, record=True, file=io.StringIO())
        terminal.show(console, tmp_path, summary, None)
        text = console.export_text()
        assert "report.html" in text and "Row 12" in text and "+6.02 dB" in text


@pytest.mark.parametrize(
    ("gain", "low", "high", "holds", "verdict"),
    [(3.0, 2.5, 3.5, True, "Yes."), (1.0, 0.5, 1.5, False, "Yes, a little."), (0.1, 0.05, 0.2, False, "Hardly."),
     (0.5, -1.0, 2.0, False, "Not shown."), (-2.0, -3.0, -1.0, False, "It made things worse.")],
)  # fmt: skip
def test_the_verdict_is_what_the_interval_says(gain, low, high, holds, verdict):
    from hybridwm.study.figures import Figure

    found = Figure(12, headline.SEEN, gain, low, high, "dB", 24, "≥ 2, excludes 0", holds)
    answer = headline.headline([found])
    assert answer.verdict == verdict and answer.caution == ""
    assert headline.headline([]).verdict == "Not measured."


def test_blurred_arms_are_flagged_beside_the_answer():
    arm = {"name": "video only", "guard": False, "flagged": True, "motion": 0.16}
    assert "video only 0.16" in headline.flags([arm])
    assert headline.flags([arm | {"flagged": False}]) == "" and headline.flags([arm | {"guard": True}]) == ""


def test_plots_cut_at_gaps_and_ceilings():
    svg = plots.curves({"a <b>": [1.0, None, 3.0, 100.0]}, "step", "dB", ceiling=40.0)
    assert svg.count("<polyline") == 2 and "a &lt;b&gt;" in svg
    assert "100" not in re.findall(r">([\d.]+)</text>", svg)
    assert "Nothing was measured" in plots.curves({}, "step", "dB")
    assert "Nothing was measured" in plots.stacked_bars({"a": {}}, "ms")


@pytest.mark.parametrize(("low", "high"), [(0, 3), (10, 30), (-4, 4135), (0, 90_000), (20, 20.5)])
def test_ticks_suit_any_range(low, high):
    """A slow machine makes wide axes: they once had no ticks at all, and the report was lost."""
    from hybridwm.study.plots import ticks

    found = ticks(low, high)
    assert len(found) <= 9 and all(low <= tick <= high for tick in found)
    assert high - low < 2 or len(found) >= 3
