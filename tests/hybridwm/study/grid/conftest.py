"""Tables of made-up studies whose truth is known."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def made():
    """made_tables.py beside this file, as a module."""
    spec = importlib.util.spec_from_file_location("made_tables", Path(__file__).with_name("made_tables.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
