"""Compiled kernels are kept between processes where they can be, and their absence is one line and no error."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba")

CATCH = """
import json, time, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
{work}
print(json.dumps([seconds, [str(w.message) for w in caught if "kernels" in str(w.message)]]))
"""
FIRST_CALL = """
    import torch
    from render import Camera, Gaussians, rasterize
    torch.manual_seed(0)
    splats = Gaussians(torch.rand(9, 3) + 1, torch.rand(9, 4), torch.rand(9, 3) / 9, torch.rand(9), torch.rand(9, 1, 3))
    splats.means.requires_grad_()
    begun = time.perf_counter()
    output = rasterize(splats, Camera.from_fov(40, 30, 77.0), backend="cpu")
    output.rgb.sum().backward()
    seconds = time.perf_counter() - begun
    assert splats.means.grad.any()
"""
ONE_KERNEL = """
    import numpy as np
    begun = time.perf_counter()
    from render.cpu.bins import place_lists
    offsets = np.zeros(3, np.int64)
    assert place_lists(np.array([[1, 2], [3, 4]]), offsets) == 6 and offsets.tolist() == [0, 4, 10]
    seconds = time.perf_counter() - begun
"""


def fresh_process(package: Path, work: str, **environment: str) -> tuple[float, list[str]]:
    """Seconds of the work in a fresh process, and what it was warned of."""
    kept = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    run = subprocess.run(
        [sys.executable, "-c", CATCH.format(work=work)],
        env=kept | {"PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"} | environment,
        cwd=package,
        capture_output=True,
        text=True,
        timeout=170,
    )
    assert run.returncode == 0, run.stderr
    seconds, lines = json.loads(run.stdout)
    return seconds, lines


def test_the_second_process_finds_what_the_first_compiled(root, tmp_path):
    """From a read-only package, as in site-packages, with a home of its own."""
    cold, lines = fresh_process(root, FIRST_CALL, HOME=str(tmp_path))
    assert not lines
    warm, lines = fresh_process(root, FIRST_CALL, HOME=str(tmp_path))
    assert not lines
    # A ratio, since the machine may be busy: the seconds themselves are in `hybridwm bench render`.
    assert warm < cold / 4
    assert not list((root / "render" / "cpu" / "__pycache__").glob("*.nbi"))
    assert list((tmp_path / ".cache" / "hybridwm-render").glob("*/*/*.nbi"))


def test_no_folder_to_write_is_one_line_and_no_error(root, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    _, lines = fresh_process(root, ONE_KERNEL, HOME=str(blocked))
    assert len(lines) == 1 and "NUMBA_CACHE_DIR" in lines[0]


def test_the_folder_is_another_for_another_version(tmp_path, monkeypatch):
    from render.cpu import kernel

    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    now = kernel._cache_folder()
    assert now.parent == tmp_path / "hybridwm-render" and now.is_dir()
    monkeypatch.setattr(kernel.numba, "__version__", "0.0")
    assert kernel._cache_folder() != now
    monkeypatch.undo()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    changed = tmp_path / "cpu"
    changed.mkdir()
    for source in Path(kernel.__file__).parent.glob("*.py"):
        (changed / source.name).write_bytes(source.read_bytes())
    (changed / "bins.py").write_text("# another\n")
    monkeypatch.setattr(kernel, "__file__", str(changed / "kernel.py"))
    assert kernel._cache_folder() != now


def test_a_full_disk_is_seen_before_numba_meets_it(tmp_path, monkeypatch):
    from render.cpu import kernel

    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(kernel, "ROOM", 2**63)
    assert kernel._cache_folder() is None
