"""The area `scaling` of `bench core`, with a few steps of each training."""

import numpy as np
import pytest
import torch

from hybridwm.bench import core_scaling
from hybridwm.bench.core import AREAS, ONLY_BY_NAME, measure_area
from hybridwm.bench.core_setup import CoreSetup
from hybridwm.bench.core_table import lines


def test_every_run_is_measured_and_ends_are_what_they_must_be(monkeypatch):
    """Two steps on few rooms: what is 0 before training is not after it; every size and seed is there."""
    for name, value in {"STEPS": 2, "ROOMS": 3, "HELD_OUT": 2, "FRAMES": 8, "VALIDATION": 1, "SEEDS": (0,)}.items():
        monkeypatch.setattr(core_scaling, name, value)
    runs = [run for run in core_scaling.RUNS if run[2] == 0]
    monkeypatch.setattr(core_scaling, "RUNS", runs)
    core_scaling._walks.cache_clear()
    figures = measure_area("scaling", CoreSetup("none", workers=1, first_seed=9_000_000))
    core_scaling._walks.cache_clear()
    assert figures["output at first"] == figures["change by a block at first"] == 0
    assert figures["output after training"] > 0 < figures["change by a block after training"]
    sizes = [figures[f"parameters: width {width}"] for width in core_scaling.WIDTHS]
    assert sizes == sorted(sizes) and sizes[-1] > 5 * sizes[0]
    for targets in core_scaling.TARGETS:
        assert all(figures[f"{targets}: loss at width {width}: value"] > 0 for width in core_scaling.WIDTHS)
        assert 0 <= figures[f"{targets}: seeds ordered"] <= 1
    assert {line.area for line in lines({"scaling": figures})} == {"scaling"}


def test_order_counts_only_beyond_chance():
    losses = np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 0.5], [1.0, 0.999, 0.998], [2.0, 1.0, 1.0]])
    assert core_scaling.ordered(losses).tolist() == [True, False, False, False]


def test_exchanged_frames_are_all_there_and_none_in_its_place():
    frames = torch.arange(12.0).view(3, 4, 1, 1, 1)
    moved = core_scaling.exchange(frames, 0)
    assert sorted(moved.flatten().tolist()) == frames.flatten().tolist()
    assert (moved != frames).all()


def test_a_power_law_is_found():
    parameters = np.array([1e4, 1e5, 1e6])
    slope, fit = core_scaling.power_law(parameters, 7 * parameters**-0.3)
    assert (slope, fit) == (pytest.approx(-0.3), pytest.approx(1))
    assert core_scaling.power_law(parameters, np.array([1.0, 3.0, 1.0]))[1] < 0.1


def test_trainings_are_run_by_name_alone():
    assert "scaling" in AREAS and "scaling" in ONLY_BY_NAME
