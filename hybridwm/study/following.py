"""Does the rollout do what it was told, and when: action following, and the lag of motion behind command."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

SALIENT = 16 / 255
FOLLOWS = 0.3  # correlation of yaw and flow below which nothing follows


def mirrored(actions: Float[Tensor, "T 4"]) -> Float[Tensor, "T 4"]:
    """Each action's opposite: forward for back, left for right, up for down."""
    return -actions


def salient_error(
    frame: Float[Tensor, "H W 3"], truth: Float[Tensor, "H W 3"], last_context: Float[Tensor, "H W 3"]
) -> float:
    """Mean squared error on the pixels that truly change: mean |truth − last context| over channels > 16/255.

    nan when no pixel does.
    """
    salient = (truth - last_context).abs().mean(dim=-1) > SALIENT
    return float(((frame - truth)[salient] ** 2).mean()) if bool(salient.any()) else float("nan")


def is_no_op(action: Float[Tensor, "*T 4"]) -> bool:
    """Whether an action, or every action of a sequence, leaves the camera where it is."""
    return bool((action.abs() < 1e-9).all())


def action_following(errors_true: Float[np.ndarray, " N"], errors_wrong: Float[np.ndarray, " N"]) -> float:
    """AF = P(error of wrong actions > error of true ones) + ½ P(tie); .5 for a model that ignores actions.

    Both errors come from the same initial noise and context. Pairs with a nan (nothing salient) are left out.
    """
    true, wrong = np.asarray(errors_true, float), np.asarray(errors_wrong, float)
    if true.shape != wrong.shape:
        raise ValueError(
            f"expected paired errors of one length; got {true.shape} and {wrong.shape}; "
            "do give one wrong rollout for each true one"
        )
    valid = ~(np.isnan(true) | np.isnan(wrong))
    if not valid.any():
        return float("nan")
    true, wrong = true[valid], wrong[valid]
    return float((wrong > true).mean() + 0.5 * (wrong == true).mean())


def horizontal_shift(before: Float[Tensor, "H W 3"], after: Float[Tensor, "H W 3"], reach: int | None = None) -> int:
    """Pixels by which the image content moved to the right from one frame to the next.

    The shift of the highest normalised correlation over the overlap, among −reach…reach (default W / 3).
    A left turn moves the content to the right: shift > 0.
    """
    a, b = before.detach().mean(dim=-1).double(), after.detach().mean(dim=-1).double()
    width = a.shape[1]
    reach = width // 3 if reach is None else reach
    best, best_score = 0, -np.inf
    for shift in sorted(range(-reach, reach + 1), key=abs):
        x = a[:, : width - shift] if shift >= 0 else a[:, -shift:]
        y = b[:, shift:] if shift >= 0 else b[:, : width + shift]
        x, y = x - x.mean(), y - y.mean()
        score = float((x * y).sum() / torch.sqrt((x**2).sum() * (y**2).sum()).clamp(min=1e-12))
        if score > best_score + 1e-9:  # ties go to the smallest shift, so that a still image has shift 0
            best, best_score = shift, score
    return best


def measured_flow(frames: Float[Tensor, "T H W 3"]) -> Float[np.ndarray, " T_minus_1"]:
    """Horizontal shift from each frame to the next, in pixels."""
    pairs = zip(frames[:-1], frames[1:], strict=True)
    return np.array([horizontal_shift(a, b) for a, b in pairs], dtype=float)


def best_lag(command: Float[np.ndarray, " T"], flow: Float[np.ndarray, " T"], reach: int = 3) -> int | None:
    """The lag (frames) at which flow[t + lag] correlates best with command[t]; 0 when actions act at once.

    command[t] is the yaw of the action that made frame t, flow[t] the shift into frame t. None where no lag has
    a correlation of at least .3, or one of them is constant: then motion does not follow the command at all.
    """
    command, flow = np.asarray(command, float), np.asarray(flow, float)
    if command.shape != flow.shape or len(command) < 2 * reach + 3:
        raise ValueError(
            f"expected command and flow of one length >= {2 * reach + 3}; got {command.shape} and "
            f"{flow.shape}; do measure a longer rollout"
        )
    command, flow = command - command.mean(), flow - flow.mean()
    if not command.any() or not flow.any():
        return None
    scores = {}
    for lag in range(-reach, reach + 1):
        x = command[: len(command) - lag] if lag >= 0 else command[-lag:]
        y = flow[lag:] if lag >= 0 else flow[: len(flow) + lag]
        scores[lag] = float((x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum() + 1e-12))
    best = max(scores, key=lambda lag: (scores[lag], -abs(lag)))
    return best if scores[best] >= FOLLOWS else None
