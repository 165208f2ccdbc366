"""The demo from end to end: on tiny random weights, and on made-up measurements that are cut short."""

import json
import math
import operator
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from rich.console import Console

from hybridwm.core.config import CoreConfig
from hybridwm.core.video_core import Context, VideoCore
from hybridwm.study import demo, measure_endurance, pool, trajectories
from hybridwm.study.demo_config import DemoConfig
from hybridwm.weights.store import save_weights
from hybridwm.world_model import Frame, WorldState
from hybridwm.worlds.rooms.rig import RoomsRig
from render import Camera


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Networks this small lose more to waiting for a second thread than they gain, most of all on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random weights of a tiny core: what it dreams is noise, and every part of the demo still has to work."""
    core = CoreConfig(height=32, width=32, dim=32, depth=2, heads=2)
    torch.manual_seed(0)
    network = VideoCore(core).network
    for parameter in network.parameters():
        if not bool(parameter.any()):
            torch.nn.init.normal_(parameter, std=0.02)
    folder = tmp_path_factory.mktemp("weights")
    save_weights(folder, "tiny", core, {}, network.state_dict(), {})
    return str(folder)


def quiet() -> Console:
    return Console(quiet=True)


@pytest.mark.timeout(600)  # seconds on two free cores; the limit is for busy ones
def test_demo_makes_its_run_folder(weights, tmp_path):
    out = tmp_path / "demo"
    config = DemoConfig(
        out=out, weights=weights, scenes=1, stares=1, walk_views=4, walk_steps=16, out_steps=12, stare_steps=8,
        long_steps=40, workers=1, videos=1,
    )  # fmt: skip
    summary = demo.run_demo(config, quiet())
    for name in ("report.html", "summary.json", "metrics.jsonl", "config.yaml", "versions.json", "scene/scene.ply",
                 "rollouts/return-00.mp4", "rollouts/stare-00.mp4"):  # fmt: skip
        assert (out / name).stat().st_size > 0, name
    assert json.loads((out / "summary.json").read_text())["figures"] == summary["figures"]
    named = {figure["name"]: figure for figure in summary["figures"]}
    assert {figure["row"] for figure in summary["figures"]} == {1, 2, 7, 9, 12}
    for arm in ("video only", "grounded, stereo"):
        assert named[f"action t changes frame t + 1 and, bitwise, none before: {arm}"]["holds"]
    assert named["cached against full forward pass: largest difference"]["value"] <= 1e-4
    assert named["stare test, guard: nearest past frame"]["value"] == 1
    assert named["lag of flow behind the yaw command: truth"]["holds"]
    assert str(tmp_path) not in json.dumps(summary["command"])


def fake_units(monkeypatch, synthetic, stop_at: int | None = None) -> list:
    """Replaces the measurements by made-up ones; the `stop_at`-th raises KeyboardInterrupt."""
    made: list = []
    functions = {"measure_return": synthetic.out_and_back, "measure_walk": synthetic.walk,
                 "measure_stare": synthetic.stare, "measure_endurance": synthetic.endurance}  # fmt: skip

    def wrap(name, function):
        def measured(config, index):
            if stop_at is not None and len(made) == stop_at:
                raise KeyboardInterrupt
            made.append((name, index))
            return function(config, index)

        return measured

    for name, function in functions.items():
        monkeypatch.setattr(demo, name, wrap(name, function))
    return made


def test_a_run_cut_short_goes_on_where_it_was(weights, tmp_path, monkeypatch, synthetic):
    config = DemoConfig(out=tmp_path / "run", weights=weights, scenes=3, stares=4, workers=1)
    fake_units(monkeypatch, synthetic, stop_at=5)
    with pytest.raises(KeyboardInterrupt):
        demo.run_demo(config, quiet())
    assert not (config.out / "summary.json").exists()
    with open(config.out / "metrics.jsonl", "a") as stream:
        stream.write('{"kind": "walk", "ind')  # killed in the middle of a line
    made = fake_units(monkeypatch, synthetic)
    summary = demo.run_demo(config, quiet())
    assert len(made) == 3 + 3 + 4 + 1 - 5
    whole = demo.run_demo(DemoConfig(out=tmp_path / "other", weights=weights, scenes=3, stares=4, workers=1), quiet())
    assert summary["figures"] == whole["figures"]


def test_a_finished_run_is_measured_again_and_other_options_are_not_mixed(weights, tmp_path, monkeypatch, synthetic):
    config = DemoConfig(out=tmp_path / "run", weights=weights, scenes=1, stares=1, workers=1)
    fake_units(monkeypatch, synthetic)
    demo.run_demo(config, quiet())
    made = fake_units(monkeypatch, synthetic)
    demo.run_demo(config, quiet())
    assert len(made) == 4
    fake_units(monkeypatch, synthetic, stop_at=2)
    with pytest.raises(KeyboardInterrupt):
        demo.run_demo(config, quiet())
    made = fake_units(monkeypatch, synthetic)
    longer = DemoConfig(out=tmp_path / "run", weights=weights, scenes=1, stares=1, workers=1, walk_steps=30)
    demo.run_demo(longer, quiet())
    assert len(made) == 4


def test_too_short_a_stare_is_refused(weights, tmp_path):
    with pytest.raises(ValueError, match="twice the context"):
        demo.run_demo(DemoConfig(out=tmp_path / "run", weights=weights, stare_steps=6), quiet())
    assert not (tmp_path / "run").exists()


def test_missing_weights_leave_nothing_behind(tmp_path):
    with pytest.raises(FileNotFoundError):
        demo.run_demo(DemoConfig(out=tmp_path / "run", weights="no-such-weights"), quiet())
    assert not (tmp_path / "run").exists()


def test_options_are_checked_and_give_the_command():
    assert DemoConfig().command == "hybridwm demo"
    assert DemoConfig(full=True).resolved().command == "hybridwm demo --full"
    assert DemoConfig(scenes=6, workers=1).command == "hybridwm demo --scenes 6 --workers 1"
    assert (DemoConfig(full=True).resolved().scenes, DemoConfig(full=True).resolved().stares) == (24, 128)
    for wrong in ({"scenes": 0}, {"walk_steps": 8}, {"first_seed": 5}, {"long_steps": 20}, {"workers": 0}):
        with pytest.raises(ValueError, match="DemoConfig"):
            DemoConfig(**wrong)


def test_the_packaged_full_summary_is_readable():
    full = demo.full_summary()
    if full is not None:  # it is written by the full run, with the weights that it measured
        assert full["scenes"] >= 24 and full["stares"] >= 128 and "--full" in full["command"]


def test_a_cache_that_is_wrong_is_noticed(weights):
    from hybridwm.study import arms

    core = arms.world(weights, arms.VIDEO).core
    walk = trajectories.random_walk(10_000_000, 20, RoomsRig(size=32))
    assert measure_endurance.cached_error(core, walk, 8) <= 1e-4
    remember = core.remember
    core.remember = lambda context, frame, *rest, **options: remember(context, -frame, *rest, **options)
    try:
        assert measure_endurance.cached_error(core, walk, 8) > 1e-4
    finally:
        core.remember = remember


def test_a_growing_step_has_a_slope():
    assert measure_endurance.relative_slope([1.0] * 20) == 0
    assert measure_endurance.relative_slope([1 + 0.01 * i for i in range(20)]) == pytest.approx(0.2 / 1.095, rel=1e-6)


def test_growth_is_the_steps_own_and_not_the_machines():
    camera = Camera.from_fov(2, 2, 70.0)
    state, frame = WorldState(camera, 0, Context((), camera, 0, 0), None, (), None), Frame(torch.zeros(2, 2, 3), camera)

    def growth(own: float, machine: float) -> float:
        log = measure_endurance._Log()
        for t in range(200):
            mood = 1 + machine * t / 200
            log.add(state, frame, mood * (1 + own * t / 200), math.nan if t < measure_endurance.EARLY else mood)
        return log.summary()["slope"]

    assert growth(0.0, 1.0) == pytest.approx(0, abs=1e-9)
    assert growth(0.3, 0.0) == pytest.approx(growth(0.3, 1.0)) and 0.2 < growth(0.3, 1.0) < 0.3


def test_the_pool_measures_everything_once():
    units = [pool.Unit("power", i, pow) for i in range(5)]  # from the standard library: workers start fast
    done = {unit.index: value for unit, value, _ in pool.measure(units, 3, 2)}
    assert done == {i: 3**i for i in range(5)}


def test_a_worker_that_dies_is_reported():
    units = [pool.Unit("die", i, operator.call) for i in (1, 2)]
    with pytest.raises(RuntimeError, match="worker process died"):
        list(pool.measure(units, os._exit, 2))


SLEEPERS = """
import operator, time
from hybridwm.study.pool import Unit, measure

if __name__ == "__main__":
    list(measure([Unit("sleep", 300 + i, operator.call) for i in range(2)], time.sleep, 2))
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's /proc to see the workers start")
def test_workers_do_not_outlive_a_killed_parent(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(SLEEPERS)
    parent = subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE)
    started = Path(f"/proc/{parent.pid}/task")
    for _ in range(600):
        children = [pid for task in started.glob("*/children") for pid in task.read_text().split()]
        if len(children) >= 3:  # two workers and Python's resource tracker
            break
        time.sleep(0.1)
    time.sleep(3)
    parent.kill()
    # the workers hold the pipe that they inherited: its end means that they are gone
    assert parent.communicate(timeout=60)[0] == b""


def test_memory_that_is_shared_counts_once():
    page = torch.zeros(2**18)  # one megabyte
    assert measure_endurance.held_megabytes((page, [page, page[:10]])) == pytest.approx(1)
    assert measure_endurance.held_megabytes((page, page.clone(), "text")) == pytest.approx(2)
