"""The summary is JSON, the page needs nothing but itself and says the answer first, the terminal fits."""

import io
import json
import re

import numpy as np
import pytest
from rich.console import Console

from hybridwm.study.grid import table, words
from hybridwm.study.grid.config import ArmConfig
from hybridwm.study.grid.forest import Line, forest, sweep
from hybridwm.study.grid.recompute import main
from hybridwm.study.grid.report import render_study
from hybridwm.study.grid.summary import summarise
from hybridwm.study.grid.terminal import show
from render.images import write_png

SWEEP = {f"noise {n}": ArmConfig("splat", f"noisy({n})") for n in (0.01, 0.1)} | {
    "near": ArmConfig("splat", "scaled(0.8)")
}


def summed(made, gains, arms=None, scenes=16, **options):
    study = made.config(arms, scenes, seeds=2)
    return json.loads(json.dumps(summarise(study, *made.tables(study, gains, **options)), allow_nan=False))


@pytest.fixture(scope="module")
def summary(made):
    plants = {"stands": ArmConfig("recent", plant="frozen")}
    gains = made.GAINS | {"noise 0.01": 2.4, "noise 0.1": 1.0, "near": 0.1}
    measures = {"stereo": {"gaussians": 9000, "scene_bytes": 2e6, "depth_error": 0.1}, "plane": {"depth_error": 0.5}}
    options = {"seed_spread": 0.2, "guards": True, "looks": {"stands": {"flow": 0.0}}, "measures": measures}
    return summed(made, gains, made.ARMS | SWEEP | plants, **options)


@pytest.fixture(scope="module")
def page(summary, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    (folder / "rollouts").mkdir()
    write_png(folder / "rollouts" / "back-00.png", np.zeros((8, 8, 3), np.uint8))
    (folder / "rollouts" / "back-00.mp4").write_bytes(b"not really a video")
    return render_study(summary, folder)


def test_the_page_is_self_contained(page):
    assert not re.findall(r"https?://|<link|<script|url\(|@import", page)
    for source in re.findall(r'(?:src|poster)="([^"]*)"', page):
        assert source.startswith("data:")
    assert page.count("data:video/mp4;base64,") == 1 and page.count("data:image/png;base64,") == 1


def test_every_link_leads_to_a_command(page):
    targets = set(re.findall(r' id="([^"]+)"', page))
    links = re.findall(r'href="#([^"]+)"', page)
    assert len(links) > 50 and set(links) <= targets
    assert page.count("python -m hybridwm.study.grid.recompute runs/study ") > 100
    assert "hybridwm study runs/study/config.yaml --fresh" in page


def test_the_answer_comes_first(page, summary):
    first = page[: page.index("<h2>")]
    assert "Yes: depth is needed" in first and "Stereo +" in first and "true depth +" in first
    assert summary["answer"].startswith("Yes: depth is needed. stereo +")
    for verdict in words.leading(summary["verdicts"]):
        assert words.bounds(verdict["gain"]) in first
    assert "true depth 1 % off" not in first  # the sweep has its own figure


def test_what_is_missing_is_said(page):
    assert "LPIPS, DINO and FVD: no local weights were named" in page
    assert "Not measured: PSNR, what moves" in page


def test_the_page_shows_guards_flags_checks_and_costs(page):
    for text in (
        "guard: </td>",
        "guard: frozen frame",
        "planted: stands",
        "0.00 ⚑",
        "How good must depth be?",
        "9,000",
    ):
        assert text in page or text == "guard: </td>", text
    assert "scenes for 0.5 dB" in page and "variance of seeds" in page


@pytest.mark.parametrize(
    ("gains", "drop", "starts"),
    [
        ({}, (), "No effect of depth was seen."),
        ({"truth": 2.5}, (), "With true depth, yes; with measured depth it was not shown. true depth +"),
        (
            {"stereo": 2.0, "shuffled": 2.0, "truth": 2.0},
            (),
            "A memory in 3D helps; that it needs depth was not shown.",
        ),
        (
            {"stereo": 2.0},
            ("plane", "shuffled"),
            "A memory in 3D helps; that it needs depth was not shown: the study has",
        ),
        ({"stereo": -2.0, "multiview": -2, "monocular": -2, "truth": -1}, (), "Depth made things worse."),
        ({}, ("video",), "Not measured"),
    ],
)
def test_the_answer_follows_the_verdicts(made, gains, drop, starts):
    arms = {name: arm for name, arm in made.ARMS.items() if name not in drop}
    assert summed(made, gains, arms)["answer"].startswith(starts)


def test_blur_everywhere_is_said_on_the_first_screen(made, tmp_path):
    found = summed(made, made.GAINS, looks={arm: {"flow": 0.8} for arm in made.ARMS})
    assert found["blurred_share"] == 1.0
    assert found["answer"].startswith("Not ranked: rollouts are flagged. By numbers alone, needed: stereo +")
    page = render_study(found, tmp_path)
    first = page[: page.index("<h2>")]
    assert "100 % of the arms move less than .9 of the truth" in first and "numbers alone: needed" in first
    assert '<span class="word needed">' not in page


def test_few_scenes_and_no_placebo_are_cautioned(made, tmp_path):
    arms = {name: arm for name, arm in made.ARMS.items() if name not in ("plane", "shuffled")}
    said = " ".join(words.cautions(summed(made, made.GAINS, arms, scenes=5)))
    assert "5 scenes are few" in said and "has no placebo" in said


@pytest.mark.parametrize("scenes", [1, 2, 3])
def test_studies_too_small_to_say_anything_still_have_a_page(made, tmp_path, scenes):
    found = summed(made, made.GAINS, scenes=scenes)
    assert not {v["word"] for v in found["verdicts"]} & {"needed", "helps", "hurts"}
    assert "<h2>" in render_study(found, tmp_path)
    show(Console(file=io.StringIO(), width=80), found)


def test_the_terminal_says_the_answer(summary):
    out = io.StringIO()
    show(Console(file=out, width=150), summary)
    text = out.getvalue()
    assert "stereo" in text and "needed" in text and summary["answer"][:40] in text
    assert all(len(line) <= 150 for line in text.splitlines())


def test_one_number_of_the_report_again(made, summary, tmp_path, capsys):
    study = made.config(seeds=2)
    results, _ = made.tables(study, made.GAINS, seed_spread=0.2)
    table.write(tmp_path / "results.parquet", results)
    found = summarise(study, results, made.tables(study, {})[1])
    listed = next(c for c in found["comparisons"] if c["name"] == "back · psnr_seen · stereo · video")
    main([str(tmp_path), "back", "psnr_seen", "stereo", "video"])
    printed = capsys.readouterr().out
    assert printed.startswith(f"{listed['value']:+.4f} dB ({listed['low']:+.4f} … {listed['high']:+.4f}), n = 16")
    with pytest.raises(SystemExit, match="usage"):
        main([])


def test_the_same_table_gives_the_same_summary(made):
    assert summed(made, made.GAINS) == summed(made, made.GAINS)


def test_figures_of_nothing_are_words():
    assert "Nothing was measured" in forest([Line("back")], "dB")
    assert sweep({}, "dB", {}) == ""
