"""`hybridwm doctor`: for each rasterizer, that it works, or why not and what to install."""

import importlib.util
import json
import re
import sys

import pytest
import torch

from hybridwm.cli import doctor, main
from render.rasterize import BACKENDS
from render.rasterize_gsplat import gsplat_problem
from render.rasterize_pytorch3d import pytorch3d_problem

PROBLEMS = (gsplat_problem, pytorch3d_problem)


@pytest.fixture(autouse=True)
def asked_anew():
    for problem in PROBLEMS:
        problem.cache_clear()
    yield
    for problem in PROBLEMS:
        problem.cache_clear()


def test_every_rasterizer_works_or_says_what_it_lacks(capsys):
    assert main(["doctor", "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)
    assert list(findings["rasterizers"]) == list(BACKENDS)
    for name, found in findings["rasterizers"].items():
        assert (found["milliseconds"] > 0) if found["works"] else found["why"], name
    assert findings["rasterizers"]["torch"]["works"] and findings["rasterizers"]["cpu"]["works"]
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    begin = lines.index("rasterizers:") + 1
    table = dict(line.split(maxsplit=1) for line in lines[begin : begin + len(BACKENDS)])
    for name, found in findings["rasterizers"].items():
        assert table[name].startswith("works (" if found["works"] else f"no: {found['why']}"[:60])


def test_pytorch3d_that_is_missing_points_to_its_own_page(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pytorch3d", None)
    why = doctor._try_rasterizer("pytorch3d")["why"]
    assert "not installed" in why and why.endswith("github.com/facebookresearch/pytorch3d/blob/main/INSTALL.md")
    monkeypatch.setattr("hybridwm.environment.installed_version", lambda name: None)
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "not installed: pytorch3d, " in text and text.count("pytorch3d/blob/main/INSTALL.md") == 2
    assert "not installed: gsplat, " in text and "pip install 'hybridwm[gsplat]'" in text


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import a_part_of_it", "pytorch3d needs a_part_of_it, which is not installed: pip install a_part_of_it"),
        ("raise ImportError('undefined symbol: _ZN3c10')", "undefined symbol: _ZN3c10.*Build it anew for torch 2"),
    ],
)
def test_pytorch3d_that_is_broken_is_not_called_missing(source, message, tmp_path, monkeypatch):
    (tmp_path / "pytorch3d").mkdir()
    (tmp_path / "pytorch3d" / "__init__.py").touch()
    (tmp_path / "pytorch3d" / "renderer.py").write_text(source)
    for name in [name for name in sys.modules if name.split(".")[0] == "pytorch3d"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    assert re.search(message, doctor._try_rasterizer("pytorch3d")["why"])


def test_gsplat_says_which_of_the_two_it_lacks(monkeypatch):
    if not torch.cuda.is_available():
        assert "needs a CUDA GPU" in doctor._try_rasterizer("gsplat")["why"]
    gsplat_problem.cache_clear()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setitem(sys.modules, "gsplat", None)
    monkeypatch.setitem(sys.modules, "gsplat.cuda", None)
    assert "pip install gsplat" in doctor._try_rasterizer("gsplat")["why"]


def test_the_kernel_without_numba_says_what_to_install(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "numba" else find(name))
    assert doctor._try_rasterizer("cpu") == {
        "works": False,
        "why": 'the "cpu" backend needs numba, which is not installed: pip install numba',
    }


def test_whatever_a_backend_throws_is_a_finding(monkeypatch):
    def broken(gaussians, cameras):
        raise RuntimeError("no kernel image\nis available")

    monkeypatch.setitem(BACKENDS, "torch", broken)
    assert doctor._try_rasterizer("torch") == {"works": False, "why": "no kernel image is available"}
