"""Depth of the views of a recipe, and for each that cannot be measured the reason. Nothing comes of invalid pixels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from .agreement import pool
from .depth_range import depth_range
from .depth_sources import depth_source, reads_depth
from .multiview import FAR, NEAR
from .multiview_checks import LEAST_MEASURED, multiview_status
from .multiview_sequence import multiview_depths
from .stereo import SUSPECT_BELOW
from .stereo_checks import check_pair
from .view import DepthContext, View

EARLIER_VIEWS = 8  # handed to depth sources that compare views, and to the dynamic gate


@dataclass(frozen=True)
class Measured:
    """views: with depth and confidence, 0 where nothing is known; problems: what is wrong with a view, by its index."""

    views: list[View]
    problems: dict[int, str]

    def summary(self) -> str:
        """The problem that most views have, and of how many; empty without problems."""
        if not self.problems:
            return ""
        (problem, count), *others = Counter(self.problems.values()).most_common()
        where = f"{count} of {len(self.views)} views: " if len(self.views) > 1 else ""
        more = f" (Of others: {others[0][0]})" if others else ""
        return where + problem + more


def measure_views(views: Sequence[View], name: str, report: Callable[[str, int, int], None] | None = None) -> Measured:
    """The views (in time order) measured by the named source; multiview looks at what comes after a view, too.

    report: called with "depth", what is done and what there is to do. Raises ValueError for an unknown source, for
    cameras that are not finite, and for views without the depth that the source reads.
    """
    for index, view in enumerate(views):
        if not bool(view.camera.K.isfinite().all() and view.camera.w2c.isfinite().all()):
            raise ValueError(f"expected finite cameras; that of view {index} has NaN or Inf. Repair or drop the view.")
    report = report or (lambda part, done, total: None)
    source, measured, problems = depth_source(name), [], {}
    cleaned = [_without_invalid(view, reads_depth(name)) for view in views]
    # the depths of a room, unless the views show that their world is larger or smaller
    near, far = depth_range([view for view, _ in cleaned], (NEAR, FAR)) if name == "multiview" else (NEAR, FAR)
    maps = multiview_depths([view for view, _ in cleaned], near=near, far=far) if name == "multiview" else None
    for index, (view, problem) in enumerate(cleaned):
        report("depth", index, len(views))
        context = DepthContext(tuple(view for view, _ in cleaned[max(0, index - EARLIER_VIEWS) : index]))
        if "stereo" in name and not _is_pair(views[index]):
            view, problem = _unmeasured(view), check_pair(views[index]).reason
        else:
            depth, confidence = source([view], context) if maps is None else maps[index]
            # what is invalid in the image has no depth, whatever the source
            known = (depth > 0) & _valid(views[index])
            view = replace(view, depth=depth * known, confidence=confidence * known)
            found = _too_little(cleaned, index, view, name, math.sqrt(near * far))
            if found and name == "multiview":
                view = _unmeasured(view)  # what repeated frames agree on is no depth
            problem = problem or found
        if problem:
            problems[index] = problem
        measured.append(view)
    return Measured(measured, problems)


def _too_little(cleaned: Sequence[tuple[View, str]], index: int, view: View, name: str, typical: float) -> str:
    """Why a view has next to no depth, or none to be trusted."""
    assert view.depth is not None
    share = float((view.depth > 0).float().mean())
    if "stereo" in name and share < SUSPECT_BELOW:
        status = check_pair(view)
        if not status.ok:
            return status.reason
    if name == "multiview":
        around = [*cleaned[max(0, index - EARLIER_VIEWS) : index], *cleaned[index + 1 :][:EARLIER_VIEWS]]
        status = multiview_status([view], DepthContext(tuple(other for other, _ in around)), view.depth, typical)
        if status.reason == "frozen" or (not status.fine and share < LEAST_MEASURED):
            return status.message
    if share == 0 and name.startswith("monocular"):
        return "no depth: the network contradicts what the other views tell. It may not know such places."
    return "" if share > 0 else "no depth: nothing was measured in any pixel."


def _without_invalid(view: View, carries_depth: bool) -> tuple[View, str]:
    """The view with 0 in place of what is not finite (and of negative depth), and what there was of it."""
    problem, image = "", view.image
    bad = int((~image.isfinite()).sum())
    if bad:
        problem, image = f"View.image has {bad} NaN or infinite values: those pixels are left out.", image.nan_to_num(0)
    view = replace(view, image=image)
    if carries_depth and view.depth is not None:
        valid = view.depth.isfinite() & (view.depth >= 0)
        if not bool(valid.all()):
            problem = (
                f"depth is NaN, infinite or negative in {int((~valid).sum())} of {valid.numel()} pixels: those are "
                "left out. Set pixels without a measurement to 0."
            )
            view = replace(view, depth=torch.where(valid, view.depth, 0.0))
    if view.confidence is not None:
        view = replace(view, confidence=view.confidence.nan_to_num(0, 0, 0).clamp(0, 1))
    return view, problem


def _valid(view: View) -> torch.Tensor:
    """Pixels that are finite and have no neighbour that is not: colours are sampled between pixels."""
    bad = (~view.image.isfinite()).any(-1)
    return ~bad if not bool(bad.any()) else pool(bad.to(view.image.dtype)) == 0


def _is_pair(view: View) -> bool:
    """Whether stereo can be asked; check_pair says why not."""
    if view.right is None or view.baseline is None or not (math.isfinite(view.baseline) and view.baseline > 0):
        return False
    return bool(view.image.isfinite().all() and view.right.isfinite().all())


def _unmeasured(view: View) -> View:
    nothing = torch.zeros_like(view.image[..., 0])
    return replace(view, depth=nothing, confidence=nothing.clone())
