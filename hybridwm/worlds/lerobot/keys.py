"""Which columns of a dataset are the parts of an episode."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from render.formats.errors import FormatError

from .layout import ACTION, CAMERA, DEPTH, INFO, RGB, RIGHT, STATE, TOUCH


@dataclass(frozen=True)
class Keys:
    """Names of columns; None for what the episode does without. baseline: metres, for datasets that do not say it."""

    rgb: str | None = None
    right: str | None = None
    depth: str | None = None
    state: str | None = None
    touch: str | None = None
    action: str | None = None
    camera: str | None = None
    baseline: float | None = None


def is_depth(feature: dict[str, Any]) -> bool:
    """Whether a feature is marked as a depth map."""
    marks = [feature.get("info"), feature.get("video_info"), feature]
    names = ("is_depth_map", "video.is_depth_map")
    return any(bool(mark.get(name)) for mark in marks if isinstance(mark, dict) for name in names)


def chosen(features: dict[str, dict[str, Any]], asked: Keys, root: Path, *, ours: bool) -> Keys:
    """What was asked for; for the rest our own names, else the first image, observation.state and action.

    A right eye is taken unasked from our own datasets only, since it needs its baseline. Raises FormatError for names
    that the dataset does not have, and where it has no image or no action.
    """
    path = root / INFO
    given = {field.name: getattr(asked, field.name) for field in fields(asked) if field.name != "baseline"}
    for name, key in given.items():
        if key is not None and key not in features:
            known = ", ".join(features)[:300]
            raise FormatError(path, f"the feature {key!r}, asked for as {name}", f"only {known}", "choose one of these")
    kinds = {key for key, feature in features.items() if feature["dtype"] in ("image", "video")}
    pictures = [key for key in features if key in kinds and not is_depth(features[key])]
    usual = {"rgb": RGB, "depth": DEPTH, "state": STATE, "touch": TOUCH, "action": ACTION, "camera": CAMERA}
    if ours:
        usual["right"] = RIGHT
    for name, key in usual.items():
        if given[name] is None and key in features and (ours or name not in ("camera", "touch", "depth")):
            given[name] = key
    given["rgb"] = given["rgb"] or next(iter(pictures), None)
    if not ours and given["depth"] is None:
        marked = [key for key in kinds if is_depth(features[key]) and features[key]["dtype"] == "image"]
        given["depth"] = min(marked, default=None)
    for name in ("rgb", "action"):
        if given[name] is None:
            raise FormatError(path, f"a feature for {name}", ", ".join(features)[:300], f"name it: --keys.{name} NAME")
    if given["right"] is not None and not ours and not asked.baseline:
        raise FormatError(path, "the baseline of the two eyes, metres", "none", "give it: --keys.baseline 0.06")
    return Keys(**given, baseline=asked.baseline)


def names_of(feature: dict[str, Any], key: str) -> tuple[str, ...]:
    """A name for each number of a vector: the dataset's, or numbered ones."""
    size, names = math.prod(feature["shape"]), feature.get("names")
    while isinstance(names, dict) and len(names) == 1:
        names = next(iter(names.values()))
    if isinstance(names, dict):
        names = list(names)
    if isinstance(names, list) and len(names) == size and all(isinstance(name, str) for name in names):
        return tuple(names)
    return tuple(f"{key.rsplit('.', 1)[-1]}_{i}" for i in range(size))
