"""What something other than one image says of a view's depth: the scene recalled, else plane sweep over other views."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from .multiview import multiview_depth
from .view import DepthContext, View

KNOWN_CONFIDENCE = 0.5  # of a multiview depth, to fit to


def known_depth(views: Sequence[View], context: DepthContext | None) -> Float[Tensor, "H W"] | None:
    """Depth that something else measured in the newest view, 0 where nothing did; None where there is none at all."""
    if context is not None and context.recalled_depth is not None and bool((context.recalled_depth > 0).any()):
        return context.recalled_depth
    earlier = len(views) - 1 + (len(context.views) if context is not None else 0)
    if earlier == 0:
        return None
    depth, confidence = multiview_depth(views, context)
    depth = torch.where(confidence >= KNOWN_CONFIDENCE, depth, torch.zeros_like(depth))
    return depth if bool((depth > 0).any()) else None
