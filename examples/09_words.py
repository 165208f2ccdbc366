"""Drive one dream by words, another by velocities: both go through the latent space of actions."""

import tempfile
from pathlib import Path

import torch

import hybridwm as hw
from hybridwm.actions.latent.space import load_latent_actions
from hybridwm.actions.twist import DriveBody
from hybridwm.actions.walker import Walker
from hybridwm.worlds.collection import walk_rooms
from hybridwm.worlds.rooms import RoomsRig
from render.images import to_uint8
from render.video import write_mp4

out = Path(tempfile.mkdtemp(prefix="words-"))
views = walk_rooms(seeds=[10_000_007], frames=4, rig=RoomsRig(size=64))[0].views()
world, space = hw.load("rooms-64", memory="recent"), load_latent_actions()

words = space.instruct("turn left; look up a little; look down a little")
print(f"{len(words)} steps; each forward m, right m, yaw rad, pitch rad:", words[0].tolist())

wheels = DriveBody(period=0.5)  # two actions a second
twists = torch.tensor([[0.0, 0.52]] * 5)  # m/s, rad/s
codes = space.encode(wheels, twists)  # what the wheels do, in the latent space
driven = space.decode(Walker(), codes)  # and what a walker does to the same effect

frames = [hw.imagine(world, world.start(views, seed=0), actions).frames for actions in (words, driven)]
write_mp4(out / "words.mp4", to_uint8(torch.cat(frames, dim=2)), fps=4, upscale=4)

try:
    space.instruct("go to the red door")
except ValueError as error:
    print(error)
print("left by words, right by wheels; look at", out)
