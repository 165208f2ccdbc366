"""Pictures of rollouts: labelled panels side by side as mp4 and contact sheet, and the scene from outside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from recon.scene import GaussianScene, save_scene
from render.camera import Camera
from render.images import to_uint8, write_png
from render.rasterize import rasterize
from render.trajectory import look_at
from render.video import write_mp4

from .episodes import Episode

SCALE = 3  # a 64-pixel frame is shown at 192
COLUMNS = 5
FPS = 4.0
BAR = 20  # pixels above each panel, for its name
INK, PAPER, SEEN, DREAMT = (29, 35, 41), (250, 250, 247), (120, 128, 135), (192, 88, 28)
SHEET_FRAMES = 8  # columns of a contact sheet


def write_panels(stem: Path, episode: Episode, panels: dict[str, Float[Tensor, "T H W 3"]]) -> None:
    """<stem>.mp4: the observed frames, then each rollout in its own panel. <stem>.png: a row for each
    rollout."""
    observed = torch.stack([view.image for view in episode.views])
    names = list(panels)
    frames = []
    for t in range(len(observed)):
        frames.append(_page({name: observed[t] for name in names}, f"observed {t + 1}", SEEN))
    steps = len(episode.truth)
    for t in range(steps):
        shown = {name: panels[name][t] for name in names}
        frames.append(_page(shown, f"imagined {t + 1} of {steps}", DREAMT))
    write_mp4(stem.with_suffix(".mp4"), np.stack(frames), FPS)
    for name in names:
        slug = "".join(c if c.isalnum() else "-" for c in name).replace("--", "-")
        write_mp4(stem.parent / stem.name / f"{slug}.mp4", to_uint8(panels[name]), FPS, upscale=SCALE)
    write_png(stem.with_suffix(".png"), contact_sheet(panels))


def contact_sheet(panels: dict[str, Float[Tensor, "T H W 3"]]) -> UInt8[np.ndarray, "h w 3"]:
    """One row for each rollout, its name at the left, evenly chosen frames to the right."""
    steps, height, width, _ = next(iter(panels.values())).shape
    chosen = np.unique(np.linspace(0, steps - 1, SHEET_FRAMES).round().astype(int))
    cell_w, cell_h, name_w, gap = 2 * width, 2 * height, 160, 4
    sheet = Image.new("RGB", (name_w + len(chosen) * (cell_w + gap), BAR + len(panels) * (cell_h + gap)), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for column, t in enumerate(chosen):
        draw.text((name_w + column * (cell_w + gap) + 2, 3), f"step {t + 1}", INK, font)
    for row, (name, frames) in enumerate(panels.items()):
        top = BAR + row * (cell_h + gap)
        draw.text((4, top + cell_h // 2 - 8), name, INK, font)
        for column, t in enumerate(chosen):
            cell = Image.fromarray(to_uint8(frames[t])).resize((cell_w, cell_h), Image.Resampling.NEAREST)
            sheet.paste(cell, (name_w + column * (cell_w + gap), top))
    return np.asarray(sheet)


def write_candidates(path: Path, candidates: Float[Tensor, "N H W 3"]) -> None:
    """The true views among which the stare test's last frame is looked up, the right one first, framed."""
    height, width = candidates.shape[1:3]
    cell, gap = 2 * width, 4
    sheet = Image.new("RGB", (8 * (cell + gap) + gap, -(-len(candidates) // 8) * (2 * height + gap) + gap), PAPER)
    sheet.paste(DREAMT, (0, 0, cell + 2 * gap, 2 * height + 2 * gap))
    for i, view in enumerate(candidates):
        image = Image.fromarray(to_uint8(view)).resize((cell, 2 * height), Image.Resampling.NEAREST)
        sheet.paste(image, (gap + i % 8 * (cell + gap), gap + i // 8 * (2 * height + gap)))
    write_png(path, np.asarray(sheet))


def write_scene(out: Path, scene: GaussianScene, cameras: Camera | None = None) -> None:
    """scene/ as other tools read it, scene.png from above without the ceiling, and an orbit of it as mp4."""
    save_scene(scene, out / "scene", cameras)
    everything, observed = without_ceiling(scene), without_ceiling(scene.select(observed=True))
    if len(everything) == 0 or len(observed) == 0:
        return
    size = 400
    views = _outside(everything, 24, size)
    background = torch.tensor(PAPER) / 255
    halves = []
    for shown in (observed, everything):
        with torch.no_grad():
            renders = [_dollhouse(shown, camera, background) for camera in views]
        halves.append(torch.stack(renders))
    orbit = torch.cat(halves, dim=2)
    write_png(out / "scene.png", orbit[0])
    write_mp4(out / "rollouts" / "scene-orbit.mp4", to_uint8(orbit), 8.0)


def _dollhouse(scene: GaussianScene, camera: Camera, background: Tensor) -> Tensor:
    """The scene without the walls that turn their backs to the camera, so that one can look in."""
    ahead = ((scene.gaussians.means - camera.center) * scene.direction).sum(-1) > 0
    return rasterize(scene[ahead].gaussians, camera, background=background).rgb


def without_ceiling(scene: GaussianScene) -> GaussianScene:
    """The scene below nine tenths of its height, so that one can look in from above (rooms have +z up)."""
    if len(scene) == 0:
        return scene
    heights = scene.gaussians.means[:, 2]
    low, high = heights.quantile(0.02), heights.quantile(0.98)
    return scene[heights < low + 0.9 * (high - low)]


def _outside(scene: GaussianScene, count: int, size: int) -> list[Camera]:
    means = scene.gaussians.means
    low, high = means.quantile(0.02, dim=0), means.quantile(0.98, dim=0)
    target, reach = (low + high) / 2, float((high - low)[:2].norm())
    angles = torch.arange(count) * (2 * torch.pi / count) + 0.6
    around = torch.stack([angles.cos(), angles.sin(), torch.full_like(angles, 1.3)], 1)
    w2c = look_at(target + 0.75 * reach * around, target)
    return [Camera.from_fov(size, size, 60.0, matrix) for matrix in w2c]


def _page(shown: dict[str, Tensor], caption: str, colour: tuple[int, int, int]) -> np.ndarray:
    height, width = (SCALE * n for n in next(iter(shown.values())).shape[:2])
    rows = -(-len(shown) // COLUMNS)
    page = Image.new("RGB", (COLUMNS * width, rows * (height + BAR) + BAR), PAPER)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    draw.rectangle((0, 0, COLUMNS * width, BAR), fill=colour)
    draw.text((6, 2), caption, PAPER, font)
    for i, (name, frame) in enumerate(shown.items()):
        x, y = i % COLUMNS * width, BAR + i // COLUMNS * (height + BAR)
        draw.text((x + 4, y + 2), name, INK, font)
        image = Image.fromarray(to_uint8(frame)).resize((width, height), Image.Resampling.NEAREST)
        page.paste(image, (x, y + BAR))
    return np.asarray(page)
