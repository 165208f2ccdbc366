"""The depth sources by name: a dict of functions with one signature, and one of functions that make such a function."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Literal, Protocol, get_args, runtime_checkable

from torch import Tensor

from .generated import rgbd_depth
from .learned_monocular import learned_monocular_depth
from .learned_stereo import learned_stereo, learned_stereo_depth
from .monocular import monocular
from .multiview import multiview_depth
from .of_your_own import import_named
from .perturbed import constant, holes, late, noisy, scaled, shuffled_depth
from .stereo import stereo_depth
from .truth import truth_depth
from .view import DepthContext, View


@runtime_checkable
class DepthSource(Protocol):
    """(views, context=None) -> depth [H, W] in metres and confidence [H, W] of the newest view."""

    def __call__(self, views: Sequence[View], context: DepthContext | None = None) -> tuple[Tensor, Tensor]: ...


DepthSourceName = Literal["stereo", "learned_stereo", "truth", "multiview", "monocular", "rgbd", "shuffled"]

DEPTH_SOURCES: dict[str, DepthSource] = {
    "stereo": stereo_depth,
    "learned_stereo": learned_stereo_depth,
    "truth": truth_depth,
    "multiview": multiview_depth,
    "monocular": learned_monocular_depth,
    "rgbd": rgbd_depth,
    "shuffled": shuffled_depth,
}
assert tuple(DEPTH_SOURCES) == get_args(DepthSourceName)

# Named with a number: "noisy(0.05)" is off by 5 %, "scaled(0.8)" a fifth too near, "constant(2)" a wall 2 m ahead,
# "holes(0.3)" blind in 30 % of the image, "late(2)" two views behind.
WITH_A_NUMBER: dict[str, Callable[[float], DepthSource]] = {
    "noisy": noisy,
    "scaled": scaled,
    "constant": constant,
    "holes": holes,
    "late": late,
}

WITH_A_FOLDER = ("learned_stereo(FOLDER)", "monocular(FOLDER)")

# What these say comes from View.depth, so in a dream they need an oracle.
READ_TRUTH = {"truth", "noisy", "scaled", "holes", "late", "shuffled"}
# These read it of earlier views, too; what a view carries after it was measured is no longer the truth.
READ_EARLIER_TRUTH = {"late"}


def depth_source(name: str) -> DepthSource:
    """The function (views, context=None) -> (depth [H, W] metres, confidence [H, W] 0..1) of the newest view.

    name: one of DEPTH_SOURCES; one of WITH_A_NUMBER and its number in brackets, as in "noisy(0.05)"; or
    "monocular(FOLDER)", with a local folder of a depth model of transformers or trained here (see recon.monocular).
    "learned_stereo(FOLDER)" names weights of one's own (see recon.learned_stereo); "module:function" a function of
    one's own, which never sees View.depth but through the views that it measured before.
    views: newest last; context: a DepthContext or None. Raises ValueError for an unknown name.
    """
    if name in DEPTH_SOURCES:
        return DEPTH_SOURCES[name]
    if name.startswith("monocular(") and name.endswith(")"):
        return monocular(name[len("monocular(") : -1])
    if name.startswith("learned_stereo(") and name.endswith(")"):
        return learned_stereo(name[len("learned_stereo(") : -1])
    if ":" in name:
        return import_named(name, "depth source")
    kind, number = _split(name)
    if kind not in WITH_A_NUMBER or not math.isfinite(number):
        numbered = [f"{other}(NUMBER)" for other in WITH_A_NUMBER]
        known = [*DEPTH_SOURCES, *numbered, *WITH_A_FOLDER, "module:function"]
        raise ValueError(f"depth source must be one of {', '.join(known)}; got {name!r}.")
    return WITH_A_NUMBER[kind](number)


def reads_truth(name: str) -> bool:
    """Whether what this source says comes from a simulator's depth."""
    return _split(name)[0] in READ_TRUTH


def reads_earlier_truth(name: str) -> bool:
    """Whether this source looks at a simulator's depth of earlier views."""
    return _split(name)[0] in READ_EARLIER_TRUTH


def reads_depth(name: str) -> bool:
    """Whether this source may look at View.depth: the simulator's, or that which came with the image ("rgbd")."""
    return reads_truth(name) or name == "rgbd"


def _split(name: str) -> tuple[str, float]:
    """ "noisy(0.05)" -> ("noisy", 0.05); NaN where there is no number."""
    found = re.fullmatch(r"([a-z]+)\(([0-9.eE+-]{1,20})\)", name)
    if found is None:
        return name, math.nan
    try:
        return found[1], float(found[2])
    except ValueError:
        return found[1], math.nan
