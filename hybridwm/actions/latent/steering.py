"""Going to what has a colour: "go to the red door" as steering towards the largest patch of that colour in view.

Nothing here knows doors: the noun is not looked at, and a patch is what has the colour. What is out of view is not
sought.
"""

from __future__ import annotations

import math
import re

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

# hue in turns, and the least saturation and value
HUES: dict[str, float] = {"red": 0.0, "orange": 0.075, "yellow": 0.155, "green": 0.35, "blue": 0.6, "purple": 0.77}
NEAR_HUE = 0.055
SATURATION, VALUE = 0.35, 0.15
LEAST = 0.01  # share of the image below which nothing is seen
ARRIVED = 0.35  # share at which one is there
TURN = math.radians(15.0)
STEP = 0.25


def colour_in(words: str) -> str:
    """The colour that an instruction names. Raises ValueError without one."""
    found = [colour for colour in HUES if re.search(rf"\b{colour}\b", words.lower())]
    if len(found) != 1:
        raise ValueError(
            f"instruction {words!r}: expected one colour to steer towards, of {', '.join(HUES)}; got "
            f"{', '.join(found) or 'none'}."
        )
    return found[0]


def of_colour(image: Float[Tensor, "H W 3"], colour: str) -> Bool[Tensor, "H W"]:
    """Pixels of a colour."""
    most, least = image.amax(-1), image.amin(-1)
    chroma = (most - least).clamp(min=1e-6)
    red, green, blue = image.unbind(-1)
    sixth = torch.where(
        most == red,
        ((green - blue) / chroma) % 6,
        torch.where(most == green, (blue - red) / chroma + 2, (red - green) / chroma + 4),
    )
    away = ((sixth / 6 - HUES[colour] + 0.5) % 1 - 0.5).abs()
    return (away < NEAR_HUE) & (chroma / most.clamp(min=1e-6) > SATURATION) & (most > VALUE)


def steer(image: Float[Tensor, "H W 3"], colour: str, fov_x: float) -> Float[Tensor, "4"] | None:
    """The walker's next action towards the largest patch of a colour, or None once it fills enough of the view.

    fov_x: horizontal field of view, degrees. Raises ValueError where there is none in view.
    """
    if colour not in HUES:
        raise ValueError(f"steer: expected a colour among {', '.join(HUES)}; got {colour!r}.")
    patch = largest_patch(of_colour(image, colour))
    share = float(patch.float().mean())
    if share < LEAST:
        raise ValueError(f"steer: expected something {colour} in view; got none. Turn until there is some.")
    if share > ARRIVED:
        return None
    width = image.shape[1]
    column = float((patch.sum(0) * (torch.arange(width) + 0.5)).sum() / patch.sum())
    ahead = width / 2 / math.tan(math.radians(fov_x) / 2)
    angle = -math.atan2(column - width / 2, ahead)  # left is positive
    turn = max(-TURN, min(TURN, angle))
    return torch.tensor([STEP if abs(angle) < TURN else 0.0, 0.0, turn, 0.0])


def largest_patch(mask: Bool[Tensor, "H W"]) -> Bool[Tensor, "H W"]:
    """The largest connected part, by spreading labels until none changes."""
    count = mask.numel()
    labels = torch.where(mask, torch.arange(1, count + 1, dtype=torch.float32).view(mask.shape), 0.0)
    while True:
        spread = F.max_pool2d(labels[None, None], 3, 1, 1)[0, 0] * mask
        if torch.equal(spread, labels):
            break
        labels = spread
    if not bool(mask.any()):
        return mask
    values, sizes = labels[mask].unique(return_counts=True)
    return labels == values[sizes.argmax()]
