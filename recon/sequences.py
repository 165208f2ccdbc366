"""The recipe for a recorded sequence: depth of each view, one scene of them all, refined, and held against the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from .fuse import FuseConfig
from .measuring import EARLIER_VIEWS, measure_views
from .observing import observe
from .paging import Page, PagedScene, with_room
from .pipeline import RECONSTRUCTION
from .refine import Progress, RefineConfig, refine
from .scale_checks import ScaleStatus, check_scale
from .scene import GaussianScene
from .view import View


@dataclass(frozen=True)
class SequenceConfig:
    """depth: a depth source, "rgbd" for the depth that the views carry, or "auto": what they carry, else stereo where
    they have two eyes, else multiview. held_out_every: each so-many-th view is kept out; 0 for none. evict_to: a folder
    for what exceeds fuse's budgets and is out of view; without one it is refused. What lies there is not refined."""

    depth: str = "auto"
    held_out_every: int = 0
    fuse: FuseConfig = RECONSTRUCTION
    refine: RefineConfig | None = None
    evict_to: Path | None = None

    def __post_init__(self) -> None:
        if self.evict_to is not None and self.refine is not None and self.refine.steps > 0:
            raise ValueError("SequenceConfig: expected refine or evict_to; got both. Refining needs all in memory.")


@dataclass(frozen=True)
class Reconstruction:
    """scene; views: those it was made of, with depth and confidence; held_out: the others, with what depth they carry;
    depth: the source that was used; history: of the refinement; seconds by part; problems: of `views`, by their index,
    why a view could not be measured, or not everywhere; scale: whether depth and cameras belong together; pages: what
    of the scene was evicted."""

    scene: GaussianScene
    views: list[View]
    held_out: list[View]
    depth: str
    history: tuple[Progress, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    problems: dict[int, str] = field(default_factory=dict)
    scale: ScaleStatus = field(default_factory=lambda: ScaleStatus(True))
    pages: tuple[Page, ...] = ()


def reconstruct_sequence(
    views: Sequence[View],
    config: SequenceConfig | None = None,
    *,
    progress: Callable[[str, int, int], None] | None = None,
    refining: Callable[[Progress], None] | None = None,
) -> Reconstruction:
    """The scene that posed views (in time order) observe.

    progress: called with the part, what is done and what there is to do; refining: after each report of refine.
    Views without usable depth add nothing, and problems says why; what moves is kept out. Raises ValueError for no
    views, for a source that they do not fit, and, with the reason, when no view gave any depth.
    """
    config = config or SequenceConfig()
    if not views:
        raise ValueError("reconstruct_sequence needs at least one view; got none.")
    own, held_out = split(views, config.held_out_every)
    name = _source(own, config.depth)
    report = progress or (lambda part, done, total: None)
    seconds: dict[str, float] = {}

    begun = time.perf_counter()
    found = measure_views(own, name, report)
    measured, scale = found.views, check_scale(found.views)
    seconds["depth"], begun = time.perf_counter() - begun, time.perf_counter()
    paged = PagedScene(GaussianScene.empty(device=own[0].camera.device))
    for step, view in enumerate(measured):
        report("fuse", step, len(measured))
        earlier = measured[max(0, step - EARLIER_VIEWS) : step]
        if config.evict_to is not None:
            paged = with_room(paged, view.camera, config.evict_to, config.fuse)
        paged = replace(paged, scene=observe(paged.scene, view, earlier, step=step, config=config.fuse))
    scene = paged.scene
    seconds["fuse"], begun = time.perf_counter() - begun, time.perf_counter()
    if len(paged) == 0:
        reason = found.summary() or "no pixel is to be trusted. Try another depth source, or look at the images."
        raise ValueError(f"none of {len(own)} views gave depth by '{name}': {reason}")
    history: tuple[Progress, ...] = ()
    if config.refine is not None and config.refine.steps > 0:
        refined = refine(scene, measured, config.refine, progress=refining)
        scene, history = refined.scene, refined.history
        measured = [replace(v, camera=c) for v, c in zip(measured, refined.cameras, strict=True)]
        seconds["refine"] = time.perf_counter() - begun
    return Reconstruction(scene, measured, held_out, name, history, seconds, found.problems, scale, paged.pages)


def split(views: Sequence[View], every: int) -> tuple[list[View], list[View]]:
    """The views that the scene is made of, and each `every`-th (the middle one of its run), which is kept out.

    Raises ValueError where that leaves fewer than two.
    """
    if every == 0:
        return list(views), []
    own = [view for i, view in enumerate(views) if i % every != every // 2]
    if every < 2 or len(own) < 2:
        raise ValueError(
            f"expected to hold out each 2nd view or fewer, and to keep two; got each {every}-th of {len(views)}."
        )
    return own, [view for i, view in enumerate(views) if i % every == every // 2]


def _source(views: list[View], depth: str) -> str:
    if depth == "rgbd":
        depth = "truth"
    if depth != "auto":
        return depth
    if all(view.depth is not None for view in views):
        return "truth"
    if all(view.right is not None for view in views):
        return "stereo"
    return "multiview"
