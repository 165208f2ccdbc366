"""(d) Do keys, velocities and words come to the same camera, by way of the latent space?"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..actions.keyboard import typed_actions
from ..actions.latent.grammar import MOTIONS, phrases
from ..actions.latent.space import LatentActions
from ..actions.twist import DriveBody
from ..actions.walker import STEP, TURN, Walker
from ..study.statistics import wilson

# the same motion in three languages: keys, (metres ahead, radians to the left) of each step, words
SAME = (
    ("j-1", (0.0, TURN), 1, "turn left a little"),
    ("l-1", (0.0, -TURN), 1, "turn right a little"),
    ("w-1", (STEP, 0.0), 1, "go forward a little"),
    ("s-1", (-STEP, 0.0), 1, "go back a little"),
    ("j-3", (0.0, TURN), 3, "turn left"),
    ("w-4", (STEP, 0.0), 4, "walk forward"),
    ("w-4,j-1", (STEP, 0.0), 4, "walk forward; turn left a little"),
)
SAMPLED = 400  # held-out phrases
SAME_WITHIN = 0.1


def measure_cameras(space: LatentActions) -> dict[str, Any]:
    """Largest difference of two of the cameras, over the motion's size; and the share of held-out phrases that come
    within a tenth of the camera that the same keys come to."""
    if space.instructor is None or not {"walker", "drive"} <= set(space.bodies):
        return {}
    walker, drive = Walker(), DriveBody(period=0.5)
    figures: dict[str, Any] = {}
    for keys, step, steps, words in SAME:
        told = typed_actions(keys)
        twists = torch.tensor(step).div(drive.period).expand(steps, 2)
        if "," in keys:  # a walk, then a turn
            twists = torch.cat([twists, torch.tensor([[0.0, TURN]]) / drive.period])
        ways = {
            "keys": ended(walker, told),
            "keys, by their code": ended(walker, space.decode(walker, space.encode(walker, told))),
            "velocities": ended(drive, twists),
            "velocities, by their code": ended(walker, space.decode(walker, space.encode(drive, twists))),
            "words": ended(walker, space.instruct(words)),
            "words, on wheels": ended(drive, space.instruct(words, drive)),
        }
        figures[f"{words}: largest difference"] = largest_difference(ways, told)
    spoken = [phrase for phrase in phrases() if phrase.held_out and phrase.kind == "motion"]
    some = torch.randperm(len(spoken), generator=torch.Generator().manual_seed(7))[:SAMPLED].tolist()
    meant = space.instructor.means([spoken[i].words for i in some])
    same, random = 0, 0
    others = torch.randperm(len(some), generator=torch.Generator().manual_seed(8))
    for row, i in enumerate(some):
        told = torch.tensor(MOTIONS[spoken[i].motion]).expand(spoken[i].steps, 4)
        goal = ended(walker, told)
        for which, codes in enumerate((meant.codes[row], meant.codes[others[row]])):
            count = max(1, round(float(meant.steps[row if which == 0 else others[row]])))
            came = ended(walker, space.decode(walker, codes).expand(count, 4))
            close = difference(goal, came, told) <= SAME_WITHIN
            same, random = same + (close and which == 0), random + (close and which == 1)
    figures["held-out phrases within a tenth"] = wilson(same, len(some))
    figures["random codes: held-out phrases within a tenth"] = wilson(random, len(some))
    kinds = meant.kinds.argmax(-1)
    figures["held-out motions understood as motions"] = wilson(int((kinds == 0).sum()), len(some))
    strange = [phrase.words for phrase in phrases() if phrase.held_out and phrase.kind != "motion"]
    refused = space.instructor.means(strange).kinds.argmax(-1) != 0
    figures["held-out places and other sentences refused"] = wilson(int(refused.sum()), len(strange))
    return figures


def ended(body: Walker | DriveBody, actions: Float[Tensor, "T a"]) -> Float[Tensor, "4 4"]:
    """Where a level camera, looking along +x, comes to: w2c."""
    w2c = Walker().stand(torch.tensor([0.0, 0.0, 1.2]), torch.tensor(0.0))
    for action in actions:
        w2c = body.move(w2c, action)
    return w2c


def largest_difference(ways: Mapping[str, Float[Tensor, "4 4"]], told: Float[Tensor, "T 4"]) -> float:
    """Of any two ways."""
    return max(difference(a, b, told) for a, b in itertools.combinations(ways.values(), 2))


def difference(a: Float[Tensor, "4 4"], b: Float[Tensor, "4 4"], told: Float[Tensor, "T 4"]) -> float:
    """Angle and distance between two cameras over those of the motion, the larger of both; what the motion has none of
    is held against one step's."""
    turned = max(float(told[:, 2:].sum(0).norm()), TURN)
    walked = max(float(told[:, :2].sum(0).norm()), STEP)
    between = a.double() @ torch.linalg.inv(b.double())
    cosine = ((between[:3, :3].trace() - 1) / 2).clamp(-1, 1)
    sine = torch.stack([between[2, 1] - between[1, 2], between[0, 2] - between[2, 0], between[1, 0] - between[0, 1]])
    angle = math.atan2(float(sine.norm()) / 2, float(cosine))
    centres = [-(w2c[:3, :3].mT @ w2c[:3, 3]) for w2c in (a.double(), b.double())]
    return max(angle / turned, float((centres[0] - centres[1]).norm()) / walked)
