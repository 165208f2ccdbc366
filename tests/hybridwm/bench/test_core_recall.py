"""The recall bench on a core that knows nothing: what it counts, and what it says of frames that are not read."""

import pytest
import torch

from hybridwm.bench.core_recall import LAST_20, PALETTE, RecallBench, measure, reads_frames, table
from hybridwm.core.config import CoreConfig
from hybridwm.core.video_core import VideoCore
from hybridwm.study.trajectories import stare
from hybridwm.weights.store import save_weights
from hybridwm.worlds.rooms.rig import RoomsRig

CONFIG = CoreConfig(height=16, width=16, dim=24, depth=2, heads=3, window=2)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    core = VideoCore(CONFIG)
    return save_weights(
        tmp_path_factory.mktemp("weights"), "tiny", CONFIG, {}, core.network.state_dict(), {"steps": 1}
    )


def test_every_memory_dreams_the_same_tests(weights):
    figures = measure(
        RecallBench(str(weights), tests=1, delays=(13,), memories=(LAST_20, "loopy"), first_seed=9_000_000)
    )
    assert set(figures.hits) == {LAST_20, "loopy", PALETTE}
    assert set(figures.wrong) == {"loopy"}
    assert set(figures.ahead) == {f"loopy - {LAST_20}"}
    assert all(0 <= by[13].value <= 1 and by[13].n == 1 for by in (*figures.hits.values(), *figures.wrong.values()))
    assert all(spent > 0 for spent in figures.milliseconds.values())
    text = table(figures)
    assert "13–36" in text and "loopy, of another layout" in text
    assert ("do not read remembered frames" in text) == (not figures.reads_frames)


def test_the_turn_lies_as_far_back_as_the_delay_says():
    """From 21 on, none of the turn is among the 20 frames before the last one; at 101 the oldest is 124 back."""
    for delay, oldest in ((21, 44), (101, 124)):
        episode = stare(9_000_000, delay - 8, RoomsRig(size=8)).episode
        last = len(episode.views) + len(episode.actions) - 1
        assert last - (len(episode.views) - 1) == delay
        assert last - 0 == oldest


def test_whether_a_core_reads_frames_is_found_out():

    class Reads(VideoCore):
        def imagine(self, context, recalled, camera, action, **options):
            return torch.full((6, 16, 16), float(len(recalled.frames)))

    class Ignores(VideoCore):
        def imagine(self, context, recalled, camera, action, **options):
            return torch.zeros(6, 16, 16)

    assert reads_frames(Reads(CONFIG)) and not reads_frames(Ignores(CONFIG))


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(ValueError, match="expected delays of at least 13 frames; got"):
        RecallBench(delays=(12,))
    with pytest.raises(ValueError, match="at least one test"):
        RecallBench(tests=0)
    with pytest.raises(ValueError, match="expected memories of none, recent"):
        RecallBench(memories=("all",))
