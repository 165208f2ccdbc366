"""Depth that comes with the view: a simulator's, or a range camera's."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from .view import DepthContext, View


def truth_depth(
    views: Sequence[View], context: DepthContext | None = None
) -> tuple[Float[Tensor, "H W"], Float[Tensor, "H W"]]:
    """Depth [H, W] (metres, 0 = no measurement) and confidence [H, W] that the newest view carries.

    Confidence is the view's own or 1, and 0 where nothing was measured.
    Raises ValueError when there is no view, no depth, or depth that is NaN, infinite or negative.
    """
    if not views:
        raise ValueError("depth source 'truth' needs at least one view; got none.")
    view = views[-1]
    if view.depth is None:
        raise ValueError(
            "depth source 'truth' reads View.depth; got None. Pass View(…, depth=…) or use depth='stereo'."
        )
    depth = checked_depth(view.depth)
    measured = (depth > 0).to(depth.dtype)
    return depth, measured if view.confidence is None else view.confidence * measured


def checked_depth(depth: Float[Tensor, "H W"], name: str = "View.depth") -> Float[Tensor, "H W"]:
    """The same depth. Raises ValueError, with their counts, for NaN, infinite and negative pixels."""
    if bool((torch.isfinite(depth) & (depth >= 0)).all()):
        return depth
    counts = {
        "NaN": int(torch.isnan(depth).sum()),
        "infinite": int(torch.isinf(depth).sum()),
        "negative": int((torch.isfinite(depth) & (depth < 0)).sum()),
    }
    found = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    raise ValueError(
        f"{name} must be finite metres >= 0; got {found} of {depth.numel()} pixels. "
        "Set pixels without a measurement to 0."
    )
