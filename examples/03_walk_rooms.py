"""Walk through a procedural room: one Gymnasium environment, and many rooms at once in one tensor."""

import tempfile
from pathlib import Path

import gymnasium
import numpy as np

import hybridwm  # noqa: F401  (registers the rooms)
from hybridwm.worlds.collection import walk_rooms
from hybridwm.worlds.rooms import RoomsRig
from render.video import write_mp4

out = Path(tempfile.mkdtemp(prefix="rooms-"))

env = gymnasium.make("hybridwm/Rooms-v0", size=64)
obs, info = env.reset(seed=7)  # the same room for the same seed
names = info["actions"]
frames = [obs["rgb"]]
for name in ["forward"] * 4 + ["left"] * 6 + ["forward"] * 4:
    obs, reward, terminated, truncated, info = env.step(names.index(name))
    frames.append(obs["rgb"])
write_mp4(out / "walk.mp4", np.stack(frames), fps=6, upscale=4)
print(f"{len(frames)} frames; actions: {', '.join(names)}")

episodes = walk_rooms(seeds=[1, 2, 3], frames=5, rig=RoomsRig(size=32))
sheet = np.concatenate([np.concatenate(list(episode.rgb.numpy()), axis=1) for episode in episodes])
write_mp4(out / "three_rooms.mp4", sheet[None], fps=1, upscale=3)
walked = [float(episode.actions[:, 0].abs().sum()) for episode in episodes]
print(f"three rooms, {walked} metres walked forward or back; look at", out)
