"""What the CPU kernel is held to in time and memory, by the project's own benchmark in a process of its own.

Ratios to an earlier rasterizer of the same algorithm need its folder, shared/prototypes/cpu_splat in the checkout or
beside it. `pytest -m long tests/render/test_cpu_speed.py -s` takes some three minutes.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

SIZES = ("100k@256", "100k@512", "400k@512")


def bench(root, out, *options):
    # Not in this process: here every function checks the types of its arguments, which takes time.
    command = [sys.executable, "-m", "hybridwm", "bench", "render", "--backends", "cpu", "--out", str(out)]
    subprocess.run([*command, *options], cwd=root, check=True, timeout=1200)
    return json.loads((out / "summary.json").read_text())


@pytest.fixture(scope="module")
def beside(root, tmp_path_factory):
    """The figures with the earlier rasterizer in turns, one thread."""
    folders = [place / "shared" / "prototypes" / "cpu_splat" for place in (root, root.parent)]
    folder = next((folder for folder in folders if (folder / "nbsplat.py").is_file()), None)
    if folder is None:
        pytest.skip("the rasterizer to measure against, shared/prototypes/cpu_splat, is not at hand")
    out = tmp_path_factory.mktemp("beside")
    options = ["--sizes", "100k@256", "400k@512", "--threads", "1", "--repeats", "41", "--beside", str(folder)]
    return bench(root, out, *options, "--no-memory", "--no-first-call", "--no-fit")


@pytest.fixture(scope="module")
def alone(root, tmp_path_factory):
    """The figures of ours on one thread and on two."""
    return bench(root, tmp_path_factory.mktemp("alone"), "--sizes", *SIZES, "--threads", "1", "2", "--repeats", "25")


def cell(summary, size, contender):
    return next(c for c in summary["cells"] if (c["size"], c["contender"]) == (size, contender))


@pytest.mark.parametrize("size", ["100k@256", "400k@512"])
def test_one_thread_is_as_fast_as_the_earlier_rasterizer(beside, size):
    ours, theirs = (cell(beside, size, f"{name}, 1 thread") for name in ("cpu", "nbsplat"))
    assert theirs["largest_colour_difference"] < 1e-3
    over = ours["over"]["nbsplat, 1 thread"]
    assert over["forward"] <= 1.1
    assert over["backward"] <= 1.1
    # Without gradients too, against its quicker way: it keeps its buffers between steps of a fit only.
    quickest = min(theirs["milliseconds"]["render"], theirs["milliseconds"]["forward"])
    assert ours["milliseconds"]["render"] <= 1.1 * quickest


@pytest.mark.parametrize("phase", ["render", "forward", "backward"])
def test_two_threads_share_the_work(alone, phase):
    efficiency = two_cores()
    if efficiency < 1.85:
        pytest.skip(f"needs a quiet machine: two busy threads get {efficiency:.2f} cores here now")
    two = cell(alone, "100k@512", "cpu, 2 threads")
    assert 1 / two["over"]["cpu, 1 thread"][phase] >= 1.6


def test_memory_beyond_the_scene(alone):
    megabytes = cell(alone, "400k@512", "cpu, 2 threads")["megabytes"]
    assert megabytes["render"] <= 90
    # What the rasterizer takes for itself; the images and gradients that it gives are the caller's.
    assert megabytes["step"] - megabytes["kept"] <= 90


def test_first_calls(alone):
    assert alone["first_call"]["cold"]["total"] <= 15
    assert alone["first_call"]["warm"]["total"] <= 1


def test_a_fit_of_twenty_thousand_splats(alone):
    assert alone["fit"]["start_held_out"] < 30
    assert alone["fit"]["end_held_out"] >= 41
    assert alone["fit"]["seconds"] <= 20


def two_cores():
    """How many cores two busy threads are given: 2 on a quiet machine of two cores or more."""
    if (os.cpu_count() or 1) < 2:
        return 1.0
    block = bytes(2**24)

    def busy(_=None):
        for _ in range(4):
            hashlib.sha256(block).digest()  # without the interpreter's lock

    def seconds(threads):
        with ThreadPoolExecutor(threads) as pool:
            begun = time.perf_counter()
            list(pool.map(busy, range(threads)))
            return time.perf_counter() - begun

    return 2 * min(seconds(1) for _ in range(3)) / min(seconds(2) for _ in range(3))
