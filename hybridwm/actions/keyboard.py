"""Typed walks: WASD and IJKL with counts, as users of camera-driven video models type them ("w-80,jw-40")."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from .body import Body
from .walker import ACTIONS, Walker

KEYS = {
    "w": "forward",
    "s": "back",
    "a": "strafe_left",
    "d": "strafe_right",
    "j": "left",
    "l": "right",
    "i": "look_up",
    "k": "look_down",
}
OPPOSITES = (
    ("forward", "back"),
    ("strafe_left", "strafe_right"),
    ("left", "right"),
    ("look_up", "look_down"),
)
MAX_STEPS = 100_000


def parse_actions(text: str | Sequence[str]) -> list[tuple[str, ...]]:
    """The names of the actions of each step, from "w-8,jw-4", from "forward,forward,left" or from a list of either.

    Each item is keys (w s forward and back, a d sideways, j l turn, i k look; several at once make one step) or the
    name of an action, optionally with -COUNT. Raises ValueError that names the item and lists what is known.
    """
    items = text.split(",") if isinstance(text, str) else list(text)
    steps: list[tuple[str, ...]] = []
    for item in items:
        word, dash, count = item.strip().lower().rpartition("-")
        if not dash:
            word, count = count, "1"
        if not (count.isascii() and count.isdigit() and int(count[:9]) > 0 and len(count) < 9):
            raise ValueError(
                f"actions: expected KEYS-COUNT with a count of at least 1, as in w-8; got '{item}'"
            )
        if len(steps) + int(count) > MAX_STEPS:
            raise ValueError(f"actions: expected at most {MAX_STEPS} steps in all; got more at '{item}'")
        steps += [_names(word, item)] * int(count)
    return steps


def typed_actions(text: str | Sequence[str], body: Body | None = None) -> Float[Tensor, "T a"]:
    """What parse_actions reads, as actions of a body, by default a walker; keys of a step add up.

    Raises ValueError also for keys that the body does not have.
    """
    steps, body = parse_actions(text), body or Walker()
    vectors = {name: body.read(name) for step in steps for name in step}
    return torch.stack([torch.stack([vectors[name] for name in step]).sum(0) for step in steps])


def _names(word: str, item: str) -> tuple[str, ...]:
    if word in ACTIONS:
        return (word,)
    if not word or any(key not in KEYS for key in word) or len(set(word)) < len(word):
        raise ValueError(
            f"actions: expected keys among {''.join(KEYS)}, each at most once, or one of {', '.join(ACTIONS)}; "
            f"got '{item.strip()}'"
        )
    names = tuple(KEYS[key] for key in word)
    for one, other in OPPOSITES:
        if one in names and other in names:
            raise ValueError(
                f"actions: expected no opposite keys in one step; '{item.strip()}' has {one} and {other}"
            )
    return names
