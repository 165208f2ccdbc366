"""`hybridwm reconstruct left.png right.png --focal 700 --baseline 0.12`, `hybridwm reconstruct RECORDING`"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from ..configuration import load_yaml


@dataclass(frozen=True)
class Options:
    """Turn a rectified stereo pair, or a recorded sequence, into a metric splat scene.

    A pair: scene/, orbit.mp4, depth.png, summary.json; the world is the left camera's: metres, +x right, +y down, +z
    forward; `hybridwm rollout --start OUT` dreams on. A sequence (a folder with COLMAP, nerfstudio, TUM RGB-D,
    7-Scenes or other cameras, a transforms.json, a video): the same in the world of its cameras, depth/*.png of every
    view, and report.html with how good the scene is at views that were kept out.
    """

    input: tyro.conf.Positional[Path]
    """The left image; a folder with im0.png, im1.png and calib.txt (Middlebury); or a recorded sequence."""
    right: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="[RIGHT]")] = None
    """The right image."""
    calibration: Annotated[Path | None, tyro.conf.arg(metavar="calib.txt")] = None
    """Calibration in Middlebury's form: cam0=[f 0 cx; 0 f cy; 0 0 1], baseline in mm, doffs."""
    right_calibration: Annotated[Path | None, tyro.conf.arg(metavar="right.yaml")] = None
    """For a pair as the cameras took it, not rectified: ROS's camera_info YAML of the right eye, that of the left one
    being --calibration; --baseline too where the eyes were calibrated one by one."""
    focal: float | None = None
    """Focal length in pixels, in place of a calibration; the principal point is then the middle."""
    baseline: float | None = None
    """Distance between the eyes in metres, in place of a calibration."""
    doffs: float = 0.0
    """With --focal and --baseline: cx of the right eye minus cx of the left, pixels. Depth is focal * baseline /
    (disparity + doffs): where the eyes' principal points differ and this is left out, every depth is wrong."""
    max_disparity: int | None = None
    """Search range in pixels; by default the calibration's, else by the image's width."""
    depth: str = "auto"
    """Of a pair: stereo (or auto), learned_stereo. Of a sequence: these, multiview, rgbd (recorded with it), monocular
    (our small network, which knows procedural rooms only) or monocular(FOLDER), a local depth model of transformers;
    auto is what was recorded, else stereo where there are two eyes, else multiview."""
    cameras: Literal["known", "estimate"] = "known"
    """Of a sequence: those that were recorded, or estimated from the images (--focal where it is known)."""
    refine: int = 0
    """Of a sequence: steps of gradient descent on the splats."""
    every: int = 1
    """Of a sequence: take each so-many-th view."""
    max_views: int | None = None
    """Of a sequence: take at most so many views."""
    view_width: int | None = None
    """Of a sequence: scale the views to this width, pixels."""
    held_out: int = 8
    """Of a sequence: keep each so-many-th view out of the scene, to hold it against; 0 for none."""
    mesh: bool = False
    """Of a sequence: also fuse the depth into a triangle mesh, mesh.glb, and convex parts for simulators,
    collision.glb (these can take a minute)."""
    max_gaussians: int = 1_000_000
    """The scene's budget."""
    frames: int = 48
    """Frames of orbit.mp4; 0 for none."""
    width: int = 480
    """Width of orbit.mp4, pixels."""
    out: Path = Path("runs/reconstruct")
    """Run folder."""
    config: Annotated[Path | None, tyro.conf.arg(metavar="FILE.yaml")] = None
    """YAML file that fills these options; the command line overrides it."""

    def __post_init__(self) -> None:
        lowest = {"max_gaussians": 1, "frames": 0, "width": 16, "refine": 0, "every": 1, "held_out": 0}
        lowest |= {"max_disparity": 1, "max_views": 2, "view_width": 16}
        for name, least in lowest.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"reconstruct.{name}: expected at least {least}; got {value}.")

    def from_file(self, path: Path) -> Options:
        """Options filled from a YAML file, of the same input where the file names none."""
        return load_yaml(path, Options, given={"input": self.input})


def run(options: Options) -> None:
    """Reads and measures the pair or the sequence, and then writes the run folder."""
    if _is_pair(options):
        return _pair(options)
    from .reconstruct_sequence import reconstruct

    return reconstruct(options)


def _is_pair(options: Options) -> bool:
    """Two images, or a folder of them; one image alone is a pair whose other half is missing."""
    if options.right is not None or (options.input / "im0.png").is_file():
        return True
    return options.input.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm")


def _pair(options: Options) -> None:
    import warnings

    import torch

    from recon import FuseConfig, reconstruct_pair, reconstruct_raw_pair, save_scene
    from render import Camera
    from render.images import to_uint8, write_png
    from render.video import write_mp4

    from ..run_folder import RunFolder
    from ..worlds.episodes import Episode, save_episode
    from .beginnings import CAMERA_UP, START
    from .depth_picture import depth_with_scale
    from .filming import camera_path, film, resized

    left, right, calibration = _inputs(options)
    begun = time.perf_counter()
    with warnings.catch_warnings(record=True) as doubts:
        warnings.simplefilter("always", UserWarning)
        how: dict[str, Any] = {
            "max_disparity": options.max_disparity,
            "depth": "stereo" if options.depth == "auto" else options.depth,
            "config": FuseConfig(max_gaussians=options.max_gaussians),
        }
        if options.right_calibration is not None:
            if calibration is None or options.focal is not None:
                raise ValueError("--right-calibration goes with --calibration of the left eye, and without --focal.")
            scene, view = reconstruct_raw_pair(
                left, right, calibration, options.right_calibration, baseline=options.baseline, **how
            )
        else:
            given = {"focal": options.focal, "baseline": options.baseline, "doffs": options.doffs}
            scene, view = reconstruct_pair(left, right, calibration=calibration, **given, **how)
    seconds = time.perf_counter() - begun
    if len(scene) == 0 or view.depth is None or view.right is None:
        reason = " ".join(str(doubt.message) for doubt in doubts) or f"{left}, {right}: no pixel matches."
        raise ValueError(f"no trusted depth in any pixel; {reason}")
    notes = [str(doubt.message) for doubt in doubts]
    known = view.depth[view.depth > 0]

    with RunFolder(options.out, options) as run_folder:
        save_scene(scene, run_folder.file("scene"), cameras=view.camera)
        write_png(run_folder.file("depth.png"), depth_with_scale(view.depth))
        start = Episode(
            torch.from_numpy(to_uint8(view.image))[None],
            view.camera.w2c[None],
            view.camera.K,
            torch.zeros(0, 4),
            right=torch.from_numpy(to_uint8(view.right))[None],
            baseline=view.baseline,
            disparity_offset=view.disparity_offset,
            up=CAMERA_UP,
            world="stereo pair",
        )
        save_episode(start, run_folder.file(START))
        if options.frames:
            camera = resized(view.camera, min(options.width, view.width))
            path = camera_path(scene.gaussians, Camera.stack([camera]), "sway", options.frames)
            write_mp4(run_folder.file("orbit.mp4"), film(scene.gaussians, path), 24)
        run_folder.summarise(
            gaussians=len(scene),
            measured_share=len(known) / view.depth.numel(),
            depth_metres={
                "near": float(known.quantile(0.01)),
                "median": float(known.median()),
                "far": float(known.quantile(0.99)),
            },
            notes=notes,
            seconds=round(seconds, 3),
        )
    written = "scene/scene.ply, depth.png" + (", orbit.mp4" if options.frames else "")
    print(f"{options.out}: {written}; {len(scene)} Gaussians in {seconds:.1f} s")
    for note in notes:
        print(f"  {note}")


def _inputs(options: Options) -> tuple[Path, Path, Path | None]:
    """Left image, right image, and the calibration file if there is one."""
    if options.input.is_dir():
        if options.right is not None:
            raise ValueError(f"{options.input} is a folder: expected it alone, or two image files; leave RIGHT out")
        inside = options.input / "calib.txt"
        given = options.calibration is not None or options.focal is not None or options.baseline is not None
        calibration = options.calibration if given else inside
        return options.input / "im0.png", options.input / "im1.png", calibration
    if options.right is None:
        raise ValueError(
            f"expected two images, or a folder with im0.png, im1.png and calib.txt; got '{options.input}' alone"
        )
    return options.input, options.right, options.calibration
