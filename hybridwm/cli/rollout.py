"""`hybridwm rollout --actions w-8,j-12,w-8`"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from ..configuration import load_yaml

if TYPE_CHECKING:
    from .beginnings import Beginning

RECORDED = "recorded"  # in place of typed actions
GROUNDED = ("splat", "routed")  # memories that need depth


@dataclass(frozen=True)
class Options:
    """Imagine a walk from typed actions; write rollout.mp4, frames/, scene/ and summary.json.

    It begins in a procedural room that training never saw, or with --start in an episode, in what `reconstruct` made
    of a stereo pair, or in a folder with im0.png, im1.png and calib.txt.
    """

    actions: str = "w-6,j-12,w-6"
    """Keys with counts, or names of actions: w s forward and back, a d sideways, j l turn, i k look up and down;
    jw-4 is four steps of both. Or words, divided by semicolons: "turn left a little; go forward" (docs/actions.md).
    recorded: what the episode that --start names goes on with after its first views; then rollout.mp4 shows its own
    frames beside the imagined ones."""
    start: Path | None = None
    """Where to begin, in place of a room."""
    weights: str = "rooms-64"
    """Packaged weights by name, a folder or a file."""
    latent: str = "latent-rooms"
    """Weights of the latent action space that words are read by."""
    memory: Literal["none", "recent", "loopy", "retrieved", "routed", "splat"] = "splat"
    """none: the last frame; recent: the last frames (video only); the others add to recent. loopy: samples of the last
    124 frames; retrieved: past frames whose cameras saw what is ahead; routed: past frames warped by a scene; splat:
    the scene."""
    depth: str | None = None
    """What measures the imagined frames for the scene, stereo by default: stereo, learned_stereo, multiview, monocular,
    monocular(FOLDER), constant(METRES), shuffled; rgbd (what rgb-d weights imagine); and with a room's own depth truth,
    noisy(SIGMA), scaled(FACTOR)."""
    seed: int = 7
    """Seed of the room and of the noise."""
    views: int = 4
    """Observed frames before the first imagined one, in a room or an episode."""
    solver_steps: int = 1
    """Denoising steps for each frame."""
    guidance: float = 1.0
    """Weight of history guidance; 1 is none. Above 1 the dream is sharper and costs twice the calls."""
    context_noise: float | None = None
    """Flow time at which past frames are shown, in place of the weights' own."""
    fps: float = 8.0
    """Frames per second of rollout.mp4."""
    device: str = "cpu"
    """cpu or cuda."""
    out: Path = Path("runs/rollout")
    """Run folder."""
    config: Annotated[Path | None, tyro.conf.arg(metavar="FILE.yaml")] = None
    """YAML file that fills these options; the command line overrides it."""

    def __post_init__(self) -> None:
        for name, least in (("seed", 0), ("views", 1), ("solver_steps", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"rollout.{name}: expected at least {least}; got {getattr(self, name)}.")
        if not 0 < self.guidance <= 10:
            raise ValueError(f"rollout.guidance: expected a weight above 0, at most 10; got {self.guidance}.")
        if self.context_noise is not None and not 0 <= self.context_noise < 1:
            raise ValueError(f"rollout.context_noise: expected a flow time in [0, 1); got {self.context_noise}.")
        if not 0 < self.fps <= 240:
            raise ValueError(f"rollout.fps: expected a rate above 0, at most 240; got {self.fps}.")
        if self.depth is not None and self.memory not in GROUNDED:
            raise ValueError(f"rollout.depth: expected none with memory '{self.memory}'; got '{self.depth}'.")

    @staticmethod
    def from_file(path: Path) -> Options:
        """Options filled from a YAML file."""
        return load_yaml(path, Options)


def run(options: Options) -> None:
    """Everything is read and checked before the run folder is touched."""
    from recon.depth_sources import reads_truth

    from ..actions.keyboard import parse_actions, typed_actions
    from ..actions.latent.instructions import is_instruction
    from ..actions.latent.space import load_latent_actions
    from ..actions.walker import Walker
    from ..core.guidance import HistoryGuidance
    from ..run_folder import RunFolder
    from ..weights.store import load_weights
    from ..world_model import load
    from .beginnings import from_path, from_room

    recorded = options.actions == RECORDED
    if recorded and options.start is None:
        raise ValueError("rollout.actions: 'recorded' are those of an episode; expected one as --start, got none.")
    latent = load_latent_actions(options.latent) if not recorded and is_instruction(options.actions) else None
    if latent is not None:
        latent.instruct(options.actions)  # what is not understood is said before weights are loaded
    elif not recorded:
        parse_actions(options.actions)
    if options.depth is not None and options.start is not None and reads_truth(options.depth):
        raise ValueError(
            f"rollout.depth: '{options.depth}' reads the simulator's depth, which --start has none of; expected a "
            "source that measures, such as stereo or multiview."
        )
    depth = options.depth or ("stereo" if options.memory in GROUNDED else None)
    world = load(
        options.weights,
        memory=options.memory,
        depth=depth,
        solver_steps=options.solver_steps,
        guidance=None if options.guidance == 1 else HistoryGuidance.vanilla(options.guidance),
        context_noise=options.context_noise,
        device=options.device,
    )
    height, width = world.core.config.image_size
    about = load_weights(options.weights)
    if options.start is not None:
        rgbd, K = world.core.config.rgbd, about.card.get("K")
        beginning = from_path(options.start, width, height, options.views, depth=rgbd, K=K, going_on=recorded)
    elif about.training.get("episodes", {}).get("source"):
        raise ValueError(
            f"rollout.start: expected an episode, as {options.weights} was trained on recorded ones; got none. Pass "
            "--start FOLDER#0."
        )
    else:
        beginning = from_room(options.seed, options.views, width, height, about.training.get("episodes", {}))
    if isinstance(world.body, Walker):
        world.body = Walker(up=beginning.up)
    if beginning.ahead is not None:
        actions = beginning.ahead.actions
    elif latent is not None:
        actions = latent.instruct(options.actions, world.body)
    else:
        actions = typed_actions(options.actions, world.body)
    vectors = beginning.told(world.core.config)
    if beginning.ahead is not None and actions.shape[1] != len(world.body.names):
        raise ValueError(
            f"rollout.actions: expected {len(world.body.names)} numbers an action, as {options.weights} takes "
            f"({', '.join(world.body.names)}); {options.start} has {actions.shape[1]}. Begin in one of that body."
        )
    with RunFolder(options.out, options) as run_folder:
        for made in ("frames", "scene"):  # of an earlier run in this folder
            shutil.rmtree(run_folder.path / made, ignore_errors=True)
        _imagine(world, beginning, vectors, actions, options, run_folder)


def _imagine(world, beginning: Beginning, vectors, actions, options: Options, run_folder) -> None:
    import torch
    from tqdm import tqdm

    from recon import save_scene
    from render import Camera
    from render.images import to_uint8, write_png
    from render.video import write_mp4

    from ..actions.walker import Walker

    device = torch.device(options.device)
    views = [_moved(view, device) for view in beginning.views]
    ahead = beginning.ahead
    # a walker's own motion is read off the cameras, as it was carried out
    led = None if isinstance(world.body, Walker) and ahead is None else beginning.led
    state = world.start(views, led, seed=options.seed, oracle=beginning.depth, vectors=vectors)
    frames, cameras, errors = [], [], []
    totals: dict[str, float] = {}
    for i, action in enumerate(tqdm(actions, desc="rollout", unit="frame")):
        camera = None if ahead is None or ahead.cameras is None else ahead.cameras[i].to(device)
        state, frame = world.step(state, action, camera=camera)
        cameras.append(frame.camera)
        picture = frame.image
        truth = None if beginning.truth is None else beginning.truth(frame.camera)
        truth = truth if ahead is None else ahead.frames[i].to(device)
        entry = {"step": i + 1, "action": action.tolist(), "seconds": frame.seconds}
        if truth is not None:
            error = (frame.image.clamp(0, 1) - truth).square().mean().clamp(min=1e-10)
            errors.append(float(-10 * error.log10()))
            entry["psnr"] = errors[-1]
            picture = torch.cat([frame.image, truth], 1)
        for part, seconds in frame.seconds.items():
            totals[part] = totals.get(part, 0.0) + seconds
        run_folder.log(**entry)
        write_png(run_folder.file(f"frames/{i:06d}.png"), frame.image)
        frames.append(torch.from_numpy(to_uint8(picture)))
    write_mp4(
        run_folder.file("rollout.mp4"), torch.stack(frames), options.fps, upscale=max(1, 384 // frames[0].shape[0])
    )
    if state.scene is not None:
        seen = Camera.stack([camera.to("cpu") for camera in [views[-1].camera, *cameras]])
        save_scene(state.scene, run_folder.file("scene"), cameras=seen)
    spent = sum(totals.values())
    scene = state.scene
    run_folder.summarise(
        frames=len(frames),
        frames_per_second=len(frames) / spent if spent else None,
        seconds_per_frame={part: seconds / len(frames) for part, seconds in totals.items()},
        psnr={"first": errors[0], "last": errors[-1], "mean": sum(errors) / len(errors)} if errors else None,
        gaussians=None if scene is None else len(scene),
        observed_gaussians=None if scene is None else int(scene.observed.sum()),
    )
    rate = len(frames) / max(spent, 1e-9)
    what = f"rollout.mp4 ({len(frames)} frames, imagined at {rate:.1f} a second)"
    what += ", beside the truth" if errors else ""
    print(f"{run_folder.path}: {what}" + (f", scene/ ({len(scene)} Gaussians)" if scene is not None else ""))


def _moved(view, device):
    from dataclasses import replace

    return replace(
        view,
        image=view.image.to(device),
        camera=view.camera.to(device),
        right=None if view.right is None else view.right.to(device),
        depth=None if view.depth is None else view.depth.to(device),
    )
