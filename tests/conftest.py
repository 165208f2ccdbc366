"""Shapes and types are checked under test; the same annotations cost nothing outside it."""

import os
from pathlib import Path

from jaxtyping import install_import_hook

ROOT = Path(__file__).resolve().parent.parent

# Before the first import of any of the three, in this order: the hook rewrites modules as they are loaded.
# The numeric tower: an int is a float, as for every type checker.
_checker = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
# numba compiles the functions of render/cpu, so those stay as they are written.
_parts = {entry.stem for entry in (ROOT / "render").iterdir()} - {"__init__", "__pycache__", "cpu"}
_hook = install_import_hook([*(f"render.{part}" for part in _parts), "recon", "hybridwm"], _checker)

import pytest  # noqa: E402
import torch  # noqa: E402


def pytest_configure(config):
    # Two threads: the machines that the figures are stated for, and no oversubscription under CI.
    torch.set_num_threads(min(2, os.cpu_count() or 1))


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")


@pytest.fixture
def shared_data():
    """shared_data("stereo_gt/motorcycle_q") is that folder of recorded data; the test is skipped without it.

    The data is not part of the repository: HYBRIDWM_DATA names its folder, by default shared/data in the
    checkout or beside it.
    """
    named = os.environ.get("HYBRIDWM_DATA")
    roots = [Path(named)] if named else [ROOT / "shared" / "data", ROOT.parent / "shared" / "data"]

    def folder(name: str) -> Path:
        for root in roots:
            if (root / name).exists():
                return root / name
        pytest.skip(f"recorded data '{name}' is not at hand; set HYBRIDWM_DATA to the folder that holds it")

    return folder


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT
