"""Processes that are started within are told of one thread before they load anything; ours is as it was."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from hybridwm.single_threaded import THREADS, one_thread_each
from hybridwm.worlds import workers
from hybridwm.worlds.workers import Job, encoded_episodes


def test_processes_started_within_have_one_thread_and_ours_is_as_before(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with one_thread_each(), ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert list(pool.map(os.getenv, THREADS)) == ["1"] * len(THREADS)
    assert os.environ["OMP_NUM_THREADS"] == "7" and "MKL_NUM_THREADS" not in os.environ


def test_it_is_as_before_after_an_error_too(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    with pytest.raises(KeyError), one_thread_each():
        raise KeyError
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_workers_that_collect_are_started_so(monkeypatch):
    """The environment when each process is started, which it inherits."""
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    found = []

    class Started(RuntimeError):
        pass

    class Process:
        def __init__(self, **given):
            found.append(None)

        def start(self):
            found[-1] = os.environ["OMP_NUM_THREADS"]
            raise Started

    class Context:
        Pipe = staticmethod(get_context("spawn").Pipe)

    Context.Process = Process
    monkeypatch.setattr(workers.multiprocessing, "get_context", lambda method: Context)
    with pytest.raises(Started):
        list(encoded_episodes(Job("rooms", 2, 16), [0, 1], workers=2))
    assert found == ["1"] and os.environ["OMP_NUM_THREADS"] == "7"
