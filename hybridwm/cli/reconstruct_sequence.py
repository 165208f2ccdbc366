"""What `hybridwm reconstruct` does with a recorded sequence."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm

from recon import FuseConfig, View, resize_view, save_scene
from recon.photometric import psnr
from recon.quality import assess
from recon.readers import Captured, read_captured
from recon.refine import Progress, RefineConfig
from recon.sequences import Reconstruction, SequenceConfig, reconstruct_sequence
from render import Camera
from render.images import to_uint8, write_png
from render.video import write_mp4

from ..run_folder import RunFolder
from .depth_maps import write_depth_maps
from .depth_picture import depth_with_scale
from .filming import camera_path, film
from .quality_page import quality_page

if TYPE_CHECKING:
    from .reconstruct import Options

TOLERANCE = 0.025  # of the median depth, by which convex parts may stand off the surface: 5 cm at 2 m
SHOWN = 4  # views of each kind on the page
FILM_UP = "-y"  # of the worlds of most recordings; only an orbit needs it


def reconstruct(options: Options) -> None:
    """Reads the sequence, reconstructs it, and writes the run folder with its page."""
    begun = time.perf_counter()
    captured = read_captured(options.input, every=options.every, max_views=options.max_views)
    views, cameras, notes = _posed(captured, options)
    reading = time.perf_counter() - begun
    refine = RefineConfig(steps=options.refine, max_gaussians=options.max_gaussians) if options.refine else None
    # Too short a sequence has none to spare.
    every = options.held_out if len(views) > max(2, options.held_out // 2 + 1) else 0
    config = SequenceConfig(options.depth, every, FuseConfig(max_gaussians=options.max_gaussians), refine)
    with _Bars() as bars:
        built = reconstruct_sequence(views, config, progress=bars.part, refining=bars.refining)
    seconds = {"read": reading, **built.seconds}
    notes += _doubts(built)

    with RunFolder(options.out, options) as folder:
        stack = Camera.stack([view.camera for view in built.views])
        save_scene(built.scene, folder.file("scene"), cameras=stack)
        summary: dict[str, Any] = {
            "gaussians": len(built.scene),
            "views": len(built.views),
            "names": _used(captured, views, built.views),
            "held_out_names": _used(captured, views, built.held_out),
            "missing": captured.missing,
            "kind": captured.kind,
            "depth": built.depth,
            "cameras": cameras,
            "notes": notes,
        }
        write_depth_maps(folder, built.views, summary["names"])
        pictures = _depth_pictures(folder, built, "metres" if cameras == "as recorded" else "of no known unit")
        if built.held_out:
            quality, renders = assess(built.scene, built.held_out, built.views)
            summary["quality"] = quality.figures()
            for i, (render, view) in enumerate(zip(renders, built.held_out, strict=True)):
                folder.log(held_out=i, psnr=psnr(render, view.image))
            pictures.insert(0, _compared(folder, built.held_out, renders))
        if options.mesh:
            seconds["mesh"], note = _mesh(folder, built)
            notes.append(note)
        if options.frames:
            width = min(options.width, stack.width)
            path = camera_path(built.scene.gaussians, stack, "auto", options.frames, width, FILM_UP)
            write_mp4(folder.file("orbit.mp4"), film(built.scene.gaussians, path), 24)
        summary |= {"seconds": {part: round(value, 2) for part, value in seconds.items()}, "peak_gibibytes": _peak()}
        film_file = folder.file("orbit.mp4") if options.frames else None
        folder.write_text("report.html", quality_page(summary, pictures, film_file))
        folder.summarise(**summary)
    _tell(options.out, summary)


def _posed(captured: Captured, options: Options) -> tuple[list[View], str, list[str]]:
    """The views with cameras, where these come from, and what the user should know."""
    notes = [*captured.notes]
    if captured.missing:
        notes.append(f"{len(captured.missing)} listed images are missing: {', '.join(captured.missing[:5])}…")
    views = [_scaled(view, options.view_width) for view in captured.views]
    if options.cameras == "known":
        if not captured.posed:
            raise ValueError(
                f"{options.input}: expected recorded cameras; got {captured.kind} without any. Use --cameras estimate."
            )
        return views, "as recorded", notes
    from recon.cameras import estimate_cameras

    K = views[0].camera.K
    if options.focal is not None:
        scale = views[0].width / captured.views[0].width
        K = K.clone()
        K[0, 0] = K[1, 1] = options.focal * scale
    elif not captured.calibrated:
        notes.append("The focal length is a guess: give --focal, in pixels, where it is known.")
    estimated = estimate_cameras([view.image for view in views], K)
    if not estimated.sure:
        notes.append(f"The cameras are not to be trusted: {estimated.reason}.")
    found = estimated.registered.nonzero().squeeze(1).tolist()
    notes.append(f"Cameras of {len(found)} of {len(views)} views were found; their scale is arbitrary.")
    if len(found) < 2:
        raise ValueError(
            f"{options.input}: expected views whose cameras the images tell; got {len(found)} of {len(views)}: "
            f"{estimated.reason or 'too few match'}. Give recorded cameras, or more texture and motion."
        )
    posed = [replace(views[i], camera=estimated.cameras[i]) for i in found]
    return posed, "estimated", notes


def _scaled(view: View, width: int | None) -> View:
    if width is None or width == view.width:
        return view
    return resize_view(view, width, max(1, round(view.height * width / view.width)))


def _compared(folder: RunFolder, held_out: Sequence[View], renders: Sequence[torch.Tensor]) -> tuple[Path, str]:
    """A picture: views kept out above, the scene's renders from there below."""
    step = max(1, len(held_out) // SHOWN)
    shown = range(0, len(held_out), step)[:SHOWN]
    rows = [torch.cat([held_out[i].image for i in shown], dim=1), torch.cat([renders[i] for i in shown], dim=1)]
    path = folder.file("held_out.png")
    write_png(path, to_uint8(torch.cat(rows)))
    return path, "Views that the scene was not made of (above), and the scene seen from there (below)."


def _depth_pictures(folder: RunFolder, built: Reconstruction, unit: str) -> list[tuple[Path, str]]:
    measured = [view for view in built.views if view.depth is not None and bool((view.depth > 0).any())]
    if not measured:
        return []
    shown = measured[len(measured) // 2]
    assert shown.depth is not None
    path = folder.file("depth.png")
    write_png(path, depth_with_scale(shown.depth))
    return [(path, f"Depth of the middle view by {SOURCES.get(built.depth, built.depth)}, {unit}; black: none.")]


def _doubts(built: Reconstruction) -> list[str]:
    """What the recipe says is wrong with views, each reason once, and with how depth and cameras fit."""
    reasons: dict[str, list[int]] = {}
    for index, reason in built.problems.items():
        reasons.setdefault(reason, []).append(index)
    notes = [f"{len(where)} of {len(built.views)} views: {reason}" for reason, where in reasons.items()]
    return notes if built.scale.ok else [*notes, built.scale.reason]


def _mesh(folder: RunFolder, built: Reconstruction) -> tuple[float, str]:
    """mesh.glb, and collision.glb with convex parts of it; the seconds that took, and what a reader should know."""
    from recon.collision import convex_parts, free_share, save_parts
    from recon.surface import save_mesh, tsdf_mesh

    begun = time.perf_counter()
    mesh = tsdf_mesh(built.views)
    save_mesh(mesh, folder.file("mesh.glb"))
    median = torch.cat([view.depth[view.depth > 0] for view in built.views if view.depth is not None]).median()
    off = TOLERANCE * float(median)
    parts = convex_parts(mesh, tolerance=off, thickness=0.4 * off)
    save_parts(parts, folder.file("collision.glb"))
    free = free_share(parts, built.views, 2 * off)
    seconds = time.perf_counter() - begun
    return seconds, (
        f"mesh.glb has {len(mesh.faces):,} triangles; collision.glb {len(parts)} convex parts, {100 * free:.1f} % of "
        f"whose volume some view looks through by more than {2 * off:.2g} m."
    )


class _Bars:
    """Progress on the terminal: one bar for each part, and the refinement's with its PSNR."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None
        self._part = ""

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def part(self, part: str, done: int, total: int) -> None:
        self._at(part, done, total, "view")

    def refining(self, report: Progress) -> None:
        self._at("refine", report.step, report.steps, "step")
        assert self._bar is not None
        self._bar.set_postfix(psnr=f"{report.psnr:.2f}", splats=report.gaussians)

    def _at(self, part: str, done: int, total: int, unit: str) -> None:
        if part != self._part:
            self._close()
            self._bar, self._part = tqdm(total=total, desc=part, unit=unit, file=sys.stderr), part
        assert self._bar is not None
        self._bar.update(done - self._bar.n)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.update(max(0, (self._bar.total or 0) - self._bar.n))
            self._bar.close()


def _peak() -> float:
    """Peak memory of this process, GiB."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


SOURCES = {"truth": "the depth recorded with them"}


def _used(captured: Captured, views: Sequence[View], chosen: Sequence[View]) -> list[str]:
    """Names of the chosen views, in their order; by their images, which no recipe replaces."""
    places = {view.image.data_ptr(): index for index, view in enumerate(views)}
    names = captured.names if len(captured.names) == len(views) else [str(i) for i in range(len(views))]
    return [names[places[view.image.data_ptr()]] for view in chosen if view.image.data_ptr() in places]


def _tell(out: Path, summary: dict[str, Any]) -> None:
    source = SOURCES.get(summary["depth"], f"'{summary['depth']}'")
    print(f"{out}: {summary['gaussians']} Gaussians from {summary['views']} views by {source}")
    for note in summary["notes"]:
        print(f"  {note}")
    quality = summary.get("quality")
    if quality:
        print(
            f"  views kept out: {quality['psnr']:.2f} dB, and {quality['psnr_covered']:.2f} dB in the "
            f"{100 * quality['coverage']:.0f} % that is covered (nearest view instead: "
            f"{quality['nearest_psnr']:.2f} dB)"
        )
    print(f"  {out / 'report.html'}")
