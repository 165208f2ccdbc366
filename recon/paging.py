"""Scenes larger than memory: what is far away and out of view lies in files, and comes back when a camera needs it.

A page is the Gaussians of one cube of space with their provenance, in a file that is named by its contents and never
rewritten; it is read through a memory map. So a paged scene is a value: forks share pages, and each sees its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from render.camera import Camera
from render.files import atomic_write
from render.formats import FormatError
from render.frustum import boxes_in_view
from render.gaussians import Gaussians

from .agreement import FuseConfig
from .budget import most_gaussians
from .scene import PROVENANCE_SHAPES, GaussianScene

PAGE_SIZE = 1.0  # metres, of a cube
SPARE = 0.1  # of the budget that is freed beyond what is needed, so that not every step writes


@dataclass(frozen=True)
class Page:
    """A file of `count` Gaussians; bounds of their centres and largest deviation: world, metres."""

    path: Path
    count: int
    lowest: tuple[float, float, float]
    highest: tuple[float, float, float]
    largest: float


@dataclass(frozen=True)
class PagedScene:
    """scene: what is in memory; pages: what is not."""

    scene: GaussianScene
    pages: tuple[Page, ...] = ()

    def __len__(self) -> int:
        return len(self.scene) + sum(page.count for page in self.pages)

    def whole(self) -> GaussianScene:
        """All of it, in memory. Raises as read_page does."""
        parts = [read_page(page).to(self.scene.device) for page in self.pages]
        return GaussianScene.cat([self.scene, *parts]) if parts else self.scene


def with_room(paged: PagedScene, camera: Camera, folder: Path, config: FuseConfig) -> PagedScene:
    """The same scene, ready to be rendered from the camera and fused with a view of it within the config's budgets."""
    most = most_gaussians(paged.scene, config)
    return paged_for(paged, camera, folder, most, min(camera.width * camera.height, most // 2))


def paged_for(paged: PagedScene, cameras: Camera, folder: Path, most: int, reserve: int) -> PagedScene:
    """The same scene with what the cameras (one, or [V]) see in memory, up to `most` Gaussians less `reserve`.

    Pages in view come back, the nearest first; where there is no room, cubes that are out of view are written to the
    folder, the farthest first. What is in memory and in view is never evicted: with a budget below what one camera
    sees, the farthest pages stay out. Raises FileNotFoundError and FormatError for pages that are gone or damaged.
    """
    cameras = cameras if cameras.K.ndim == 3 else Camera.stack([cameras])
    cameras = cameras.to("cpu")
    center = cameras.center.mean(0)
    scene, limit = paged.scene, max(0, most - reserve)
    wanted = zip(paged.pages, _in_view(paged.pages, cameras).tolist(), strict=True)
    back = sorted((page for page, seen in wanted if seen), key=lambda page: _away(page, center))
    asked = sum(page.count for page in back)
    if not back and len(scene) <= limit:
        return paged
    written: list[Page] = []
    if len(scene) + asked > limit:
        goal = max(0, int(limit * (1 - SPARE)) - asked)
        scene, written = _evicted(scene, cameras, center, folder, len(scene) - goal)
    taken, count = [], len(scene)
    for page in back:
        if count + page.count > limit:
            break
        taken.append(page)
        count += page.count
    if taken:
        scene = GaussianScene.cat([scene, *(read_page(page).to(scene.device) for page in taken)])
    elif not written:
        return paged
    gone = {id(page) for page in taken}
    return PagedScene(scene, (*(page for page in paged.pages if id(page) not in gone), *written))


def write_page(scene: GaussianScene, folder: Path) -> Page:
    """The page of a scene that is not empty; its file is written unless it is there already."""
    columns = _columns(scene)
    content = save({name: value.detach().cpu().contiguous() for name, value in columns.items()})
    path = Path(folder) / f"{hashlib.blake2b(content, digest_size=16).hexdigest()}.safetensors"
    if not path.is_file():
        with atomic_write(path) as temporary:
            temporary.write_bytes(content)
    means = scene.gaussians.means.cpu()
    low, high = means.amin(0).tolist(), means.amax(0).tolist()
    largest = float(scene.gaussians.scales.max())
    return Page(path, len(scene), (low[0], low[1], low[2]), (high[0], high[1], high[2]), largest)


def read_page(page: Page) -> GaussianScene:
    """Raises FileNotFoundError where the file is gone, FormatError where it is not what was written."""
    again = "pages belong to the state that wrote them: keep their folder as long as it"
    if not page.path.is_file():
        raise FileNotFoundError(f"{page.path} is missing; {again}.")
    try:
        columns = load_file(str(page.path))
        gaussians = {f.name: columns.pop(f"gaussians.{f.name}", None) for f in fields(Gaussians)}
        scene = GaussianScene(Gaussians(**gaussians), **columns)  # type: ignore[arg-type]
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise FormatError(page.path, "a page of a scene", str(error)[:80], again) from None
    if len(scene) != page.count:
        raise FormatError(page.path, f"{page.count} Gaussians", str(len(scene)), again)
    return scene


def _evicted(
    scene: GaussianScene, cameras: Camera, center: Float[Tensor, "3"], folder: Path, excess: int
) -> tuple[GaussianScene, list[Page]]:
    """The scene without cubes that are out of view, farthest first, until `excess` Gaussians are out; their pages."""
    cells, cell = torch.unique(
        (scene.gaussians.means.detach().cpu() / PAGE_SIZE).floor().long(), dim=0, return_inverse=True
    )
    largest = torch.zeros(len(cells)).scatter_reduce(0, cell, scene.gaussians.scales.detach().cpu().amax(1), "amax")
    lowest = cells * PAGE_SIZE
    seen = boxes_in_view(lowest, lowest + PAGE_SIZE, largest, cameras).any(0)
    away = (lowest + PAGE_SIZE / 2 - center).norm(dim=1)
    counts = torch.bincount(cell, minlength=len(cells)).tolist()
    out = torch.zeros(len(cells), dtype=torch.bool)
    pages: list[Page] = []
    for place in away.argsort(descending=True).tolist():
        if excess <= 0:
            break
        if bool(seen[place]):
            continue
        pages.append(write_page(scene[(cell == place).to(scene.device)], folder))
        out[place], excess = True, excess - counts[place]
    return (scene[(~out[cell]).to(scene.device)] if pages else scene), pages


def _in_view(pages: Sequence[Page], cameras: Camera) -> Bool[Tensor, "P"]:
    if not pages:
        return torch.zeros(0, dtype=torch.bool)
    lowest, highest = (torch.tensor([getattr(page, name) for page in pages]) for name in ("lowest", "highest"))
    return boxes_in_view(lowest, highest, torch.tensor([page.largest for page in pages]), cameras).any(0)


def _away(page: Page, center: Float[Tensor, "3"]) -> float:
    """Metres from the nearest point of the page's box."""
    nearest = torch.minimum(torch.maximum(center, torch.tensor(page.lowest)), torch.tensor(page.highest))
    return float((nearest - center).norm())


def _columns(scene: GaussianScene) -> dict[str, Tensor]:
    columns = {f"gaussians.{f.name}": getattr(scene.gaussians, f.name) for f in fields(Gaussians)}
    columns |= {name: getattr(scene, name) for name in PROVENANCE_SHAPES}
    return {name: value for name, value in columns.items() if value is not None}
