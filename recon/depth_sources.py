"""The depth sources by name: a dict of functions with one signature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, get_args, runtime_checkable

from torch import Tensor

from .multiview import multiview_depth
from .stereo import stereo_depth
from .truth import truth_depth
from .view import DepthContext, View


@runtime_checkable
class DepthSource(Protocol):
    """(views, context=None) -> depth [H, W] in metres and confidence [H, W] of the newest view."""

    def __call__(self, views: Sequence[View], context: DepthContext | None = None) -> tuple[Tensor, Tensor]: ...


DepthSourceName = Literal["stereo", "truth", "multiview"]

DEPTH_SOURCES: dict[str, DepthSource] = {
    "stereo": stereo_depth,
    "truth": truth_depth,
    "multiview": multiview_depth,
}
assert tuple(DEPTH_SOURCES) == get_args(DepthSourceName)


def depth_source(name: str) -> DepthSource:
    """The function (views, context=None) -> (depth [H, W] metres, confidence [H, W] 0..1) of the newest view.

    views: newest last; context: a DepthContext or None. Raises ValueError for an unknown name.
    """
    if name not in DEPTH_SOURCES:
        raise ValueError(f"depth source must be one of {', '.join(DEPTH_SOURCES)}; got {name!r}.")
    return DEPTH_SOURCES[name]
