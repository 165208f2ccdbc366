"""Dream a walk with the packaged weights, with and without 3D memory, from the same observed beginning."""

import tempfile
from pathlib import Path

import torch

import hybridwm as hw
import recon
from hybridwm.worlds.collection import walk_rooms
from hybridwm.worlds.rooms import RoomsRig
from render.images import to_uint8
from render.video import write_mp4

out = Path(tempfile.mkdtemp(prefix="dream-"))
views = walk_rooms(seeds=[10_000_007], frames=4, rig=RoomsRig(size=64))[0].views()
actions = ["left"] * 4 + ["right"] * 4  # away and back: what was seen must come back

grounded = hw.load("rooms-64", memory="splat", depth="stereo")
video_only = hw.load("rooms-64", memory="recent")

frames = []
for name, world in (("grounded", grounded), ("video only", video_only)):
    state = world.start(views, seed=0)
    rollout = hw.imagine(world, state, actions)
    frames.append(rollout.frames)
    error = (rollout.frames[-1] - views[-1].image).square().mean()
    print(f"{name}: back where it began with {-10 * float(error.log10()):.1f} dB")

state = grounded.start(views, seed=0)
fork, once = grounded.step(state, "forward")  # a state is a value: going on from it leaves it as it was
_, twice = grounded.step(state, "forward")
assert torch.equal(once.image, twice.image)

scene = fork.scene
assert scene is not None  # the video-only arm has none
print(f"the scene has {len(scene)} Gaussians, {int(scene.observed.sum())} of them observed")
recon.save_scene(scene, out / "scene", cameras=fork.camera)
write_mp4(out / "dream.mp4", to_uint8(torch.cat(frames, dim=2)), fps=4, upscale=4)
print("left grounded, right video only; look at", out)
