"""LeRobot's own loader on what we write. It caps torch, so it lives in an environment of its own:

    python -m venv lerobot && lerobot/bin/pip install 'lerobot[dataset]'
    HYBRIDWM_LEROBOT_PYTHON=lerobot/bin/python pytest -m long tests/hybridwm/worlds/lerobot
"""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from made_episodes import episode

from hybridwm.worlds.lerobot import DatasetWriter, encode

PYTHON = os.environ.get("HYBRIDWM_LEROBOT_PYTHON")


@pytest.mark.long
@pytest.mark.skipif(not PYTHON, reason="set HYBRIDWM_LEROBOT_PYTHON to a Python that has LeRobot")
@pytest.mark.parametrize("images", ["png", "video"])
def test_lerobot_sees_the_same_frames_actions_and_tasks(tmp_path, images):
    given = [episode(0, height=32, width=48, fps=10.0), episode(1, frames=6, height=32, width=48, fps=10.0)]
    writer = DatasetWriter(tmp_path / "ours")
    for one in given:
        writer.add(encode(one, images))
    reader = Path(__file__).with_name("read_with_lerobot.py")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1"}
    environment["HF_HOME"] = str(tmp_path / "cache")
    command = [PYTHON, str(reader), str(tmp_path / "ours"), str(tmp_path / "seen.npz")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if images == "video" and "torchcodec" in done.stderr and done.returncode:
        pytest.skip("that environment decodes no video: its torchcodec finds no FFmpeg")
    assert done.returncode == 0, done.stderr[-2000:]
    with np.lib.npyio.NpzFile(tmp_path / "seen.npz") as seen:
        assert seen["episodes"] == 2
        assert seen["task"].tolist() == ["task 0"] * 4 + ["task 1"] * 6
        assert np.allclose(seen["timestamp"], [t / 10 for n in (4, 6) for t in range(n)])

        def together(name):
            return torch.cat([getattr(one, name) for one in given]).numpy()

        for name, key in (("rgb", "observation.images.rgb"), ("right", "observation.images.right")):
            # theirs is channels first, 0 to 1
            assert np.array_equal(np.rint(seen[key].transpose(0, 2, 3, 1) * 255), together(name))
        # metres; later versions of LeRobot give millimetres of what is marked as metres
        unit = 1000 if seen["observation.depth"].max() > 100 else 1
        assert np.allclose(seen["observation.depth"][:, 0], together("depth") * unit, rtol=1e-6)
        assert np.array_equal(seen["observation.camera"], together("w2c").reshape(10, 16))
        assert np.array_equal(seen["observation.state"], together("proprio"))
        assert np.array_equal(seen["observation.touch"], together("touch")[:, 0])
        padded = torch.cat([torch.cat([one.actions, torch.zeros(1, 2)]) for one in given]).numpy()
        assert np.array_equal(seen["action"], padded)
        assert np.flatnonzero(seen["is_action_padding"]).tolist() == [3, 9]
