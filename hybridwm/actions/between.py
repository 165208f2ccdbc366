"""The action that explains the motion between two cameras of a walker."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from .walker import Walker


def action_between(
    body: Walker, before: Float[Tensor, "*B 4 4"], after: Float[Tensor, "*B 4 4"]
) -> Float[Tensor, "*B 4"]:
    """(forward m, right m, yaw rad, pitch rad) such that `body.move(before, action)` is `after`, for upright cameras.

    Motion that a walker cannot make (roll, height) is left out.
    """
    up = torch.tensor(body.up, dtype=before.dtype, device=before.device)
    heading, now = body.heading(before), body.heading(after)
    yaw = torch.atan2((torch.linalg.cross(heading, now) @ up), (heading * now).sum(-1))
    pitch = body.pitch(after) - body.pitch(before)
    moved = _center(after) - _center(before)
    right = torch.linalg.cross(now, up.expand_as(now))
    return torch.stack([(moved * now).sum(-1), (moved * right).sum(-1), yaw, pitch], -1)


def _center(w2c: Float[Tensor, "*B 4 4"]) -> Float[Tensor, "*B 3"]:
    return -(w2c[..., :3, :3].mT @ w2c[..., :3, 3:])[..., 0]
