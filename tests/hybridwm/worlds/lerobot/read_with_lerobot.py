"""Run by the interpreter of another environment: reads datasets with LeRobot's own loader and writes what it saw."""

import sys

import numpy as np

try:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset
except ImportError:  # as it was called before
    from lerobot.common.datasets.lerobot_dataset import LeRobotDataset

folder, out = sys.argv[1:3]
dataset = LeRobotDataset("local/ours", root=folder)
items = [dataset[i] for i in range(len(dataset))]
arrays = {key: np.stack([np.asarray(item[key]) for item in items]) for key in dataset.features}
np.savez(out, task=np.array([item["task"] for item in items]), episodes=dataset.num_episodes, fps=dataset.fps, **arrays)

# a policy's training asks for actions ahead: past the end they must be marked, and not be the next episode's
ahead = {"action": [0, 1 / dataset.fps], "observation.images.rgb": [-1 / dataset.fps, 0]}
windows = LeRobotDataset("local/ours", root=folder, delta_timestamps=ahead)
last = int(np.flatnonzero(arrays["is_action_padding"])[0])
assert windows[last]["action_is_pad"].tolist() == [False, True]
assert windows[last]["observation.images.rgb_is_pad"].tolist() == [False, False]
