from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
import torch

from hybridwm.cli import main
from hybridwm.worlds.collection import walk_rooms
from hybridwm.worlds.rooms import RoomsRig
from render.images import write_png


@dataclass(frozen=True)
class Pair:
    """Two image files of a procedural room and what is known of the rig."""

    left: Path
    right: Path
    focal: float
    baseline: float
    depth: torch.Tensor

    @property
    def options(self):
        return [str(self.left), str(self.right), "--focal", str(self.focal), "--baseline", str(self.baseline)]


@pytest.fixture(scope="session")
def pair(tmp_path_factory):
    rig = RoomsRig(size=96)
    view = walk_rooms([11], 2, rig)[0].view(0)
    folder = tmp_path_factory.mktemp("pair")
    write_png(folder / "left.png", view.image)
    write_png(folder / "right.png", view.right)
    return Pair(folder / "left.png", folder / "right.png", rig.focal, rig.baseline, view.depth)


@pytest.fixture(scope="session")
def reconstructed(pair, tmp_path_factory):
    """The run folder that `hybridwm reconstruct` makes of the pair."""
    out = tmp_path_factory.mktemp("runs") / "reconstruct"
    assert main(["reconstruct", *pair.options, "--out", str(out), "--frames", "3"]) == 0
    return out


@pytest.fixture(scope="session")
def small_weights(tmp_path_factory):
    """A folder with the weights of a core of the smallest useful size, not trained."""
    from hybridwm.core.config import CoreConfig
    from hybridwm.core.video_core import VideoCore
    from hybridwm.training.config import TrainConfig
    from hybridwm.weights.store import save_weights

    config = CoreConfig(height=32, width=32, dim=32, depth=2, heads=2)
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    tensors = VideoCore(config).network.state_dict()
    save_weights(folder, "small", config, asdict(TrainConfig(core=config)), tensors, {})
    return folder
