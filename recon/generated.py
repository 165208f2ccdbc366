"""Depth that the frame was made or measured with: an rgb-d world model's own, and a range camera's at the beginning."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from .truth import checked_depth
from .view import DepthContext, View


def rgbd_depth(
    views: Sequence[View], context: DepthContext | None = None
) -> tuple[Float[Tensor, "H W"], Float[Tensor, "H W"]]:
    """Depth [H, W] (metres, 0 = no measurement) that came with the newest view's image, and confidence [H, W]: the
    view's own or 1, and 0 where there is no depth. In a dream it is what the core imagined beside the colours.

    Raises ValueError when there is no view, no depth, or depth that is NaN, infinite or negative.
    """
    if not views:
        raise ValueError("depth source 'rgbd' needs at least one view; got none.")
    view = views[-1]
    if view.depth is None:
        raise ValueError(
            "depth source 'rgbd' reads the depth that comes with a frame; got View.depth=None. Pass View(…, depth=…), "
            "use an rgb-d core, or choose depth='stereo'."
        )
    depth = checked_depth(view.depth)
    known = (depth > 0).to(depth.dtype)
    return depth, known if view.confidence is None else view.confidence * known
