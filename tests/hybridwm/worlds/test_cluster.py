"""Episodes by Ray: the same bytes as without it. A stand-in with Ray's API always; a local Ray with `-m long`."""

import pickle
import sys
from types import SimpleNamespace

import pytest

from hybridwm.cli import main
from hybridwm.worlds import collection
from hybridwm.worlds.cluster import episodes_by_ray
from hybridwm.worlds.workers import AHEAD, Job, encoded_episodes

SMALL = ["collect", "rooms", "--frames", "3", "--size", "16", "--episodes", "5", "--seed", "7"]
CPUS = 2


class Ray:
    """Tasks are pickled, run the last first, and counted."""

    def __init__(self):
        self.running, self.most, self.asked, self.began, self.ended = {}, 0, {}, [], 0

    def is_initialized(self):
        return False

    def init(self, **given):
        self.began.append(given)

    def cluster_resources(self):
        return {"CPU": float(CPUS)}

    def remote(self, **asked):
        self.asked = asked
        return lambda function: SimpleNamespace(remote=lambda *given: self.start(pickle.dumps((function, given))))

    def start(self, task):
        key = object()
        self.running[key] = task
        self.most = max(self.most, len(self.running))
        return key

    def get(self, key):
        for other in reversed(list(self.running)):
            task = self.running[other]
            if isinstance(task, bytes):
                function, given = pickle.loads(task)
                self.running[other] = pickle.loads(pickle.dumps((function(*given),)))
        return self.running.pop(key)[0]

    def shutdown(self):
        self.ended += 1


@pytest.fixture
def ray(monkeypatch):
    found = Ray()
    monkeypatch.setitem(sys.modules, "ray", found)
    return found


def content(folder):
    files = [file for name in ("meta", "data") for file in (folder / name).rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def test_the_same_bytes_as_without_it(ray, tmp_path):
    assert main([*SMALL, "--out", str(tmp_path / "a")]) == 0
    assert main([*SMALL, "--ray", "auto", "--batch", "2", "--out", str(tmp_path / "b")]) == 0
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert ray.began == [{"address": "auto", "log_to_driver": False, "logging_level": "ERROR"}] and ray.ended == 1
    assert ray.asked == {"num_cpus": 1, "num_gpus": 0, "max_retries": 3}


def test_few_tasks_wait_at_once_however_many_seeds(ray, monkeypatch):
    monkeypatch.setattr(collection, "play", lambda *given: [])
    assert list(episodes_by_ray(Job("rooms", 2, 16), range(100))) == []
    assert ray.most == AHEAD * CPUS


def test_what_a_world_raised_is_raised_here_and_ray_is_left(ray, monkeypatch):
    def play(*given):
        raise ValueError("seed 7: expected a floor; got none. Build one.")

    monkeypatch.setattr(collection, "play", play)
    with pytest.raises(ValueError, match="expected a floor"):
        list(episodes_by_ray(Job("rooms", 2, 16), [7]))
    assert ray.ended == 1


def test_without_the_extra_it_is_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main([*SMALL, "--ray", "auto", "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "pip install 'hybridwm[cluster]'" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_local_ray_of_two_processes():
    pytest.importorskip("ray", reason="extra [cluster] is not installed")
    job, seeds = Job("rooms", 3, 16), range(4)
    by_ray = list(episodes_by_ray(job, seeds, workers=2))
    assert by_ray == list(encoded_episodes(job, seeds))
