"""Your own memory and depth source in a study, beside the package's: two lines of YAML that name them.

In a file of its own, my_arms.py on PYTHONPATH, they are `my_arms:ObservedOnly` and `my_arms:careful_stereo`.
"""

import tempfile
from pathlib import Path

import torch

from hybridwm.cli import main
from hybridwm.memory import SplatMemory
from recon import depth_source

STUDY = """
scenes: 2
workers: 1
arms:
  video only: {memory: recent}
  stereo: {memory: splat, depth: stereo}
  observed only: {memory: "__main__:ObservedOnly", depth: stereo}
  careful stereo: {memory: splat, depth: "__main__:careful_stereo"}
  constant: {memory: splat, depth: constant(2)}
trajectories:
  out and back: {route: out_and_back, steps: 10}
"""


class ObservedOnly(SplatMemory):
    """A scene of what was measured: nothing that was imagined is ever added to it."""

    def __init__(self, *, eyes, window, patch):
        super().__init__(eyes=eyes)

    def observe(self, state, view, *, observed, **rest):
        return super().observe(state, view, observed=True, **rest) if observed else state


def careful_stereo(views, context=None):
    """Stereo, but only where it is nearly sure: depth in metres, 0 = none, and confidence."""
    depth, confidence = depth_source("stereo")(views, context)
    sure = confidence > 0.8
    return torch.where(sure, depth, 0.0), confidence * sure


if __name__ == "__main__":
    out = Path(tempfile.mkdtemp(prefix="study-"))
    (out / "mine.yaml").write_text(STUDY)
    assert main(["study", str(out / "mine.yaml"), "--out", str(out / "run"), "--yes"]) == 0
    (out / "run" / "rollouts" / "out and back-00.png").rename(out / "arms.png")
    print("every arm's walk in arms.png; the report is run/report.html; look at", out)
