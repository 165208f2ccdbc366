"""Does the camera of imagined frames move as it was told to: degrees and metres, and how often that can be seen at all.

Keypoints are few at 64 x 64 (SIFT and RANSAC find 50 % of the motions with one eye and 91 % with two), so the matches
are those of dense flow, every fourth pixel, with RANSAC over them. With two eyes, flow from the left to the right one
gives depth in metres and PnP the motion; with one, the essential matrix its direction, which the commanded length makes
metres of. The ceiling, on true frames of random walks at 64 x 64 (steps of 0.25 m, turns of 15 degrees): two eyes find
95 %, median error 0.25 degrees and 0.8 cm (90th percentile 0.9 degrees, 2.4 cm); one eye finds all, 0.25 degrees (2.0)
and 1.4 cm (8.6). Nothing below that is to be read as an error of a model. 8 ms a pair beside the flow itself, so only
every fifth pair is measured: 5 shares no beat with walks that repeat every second, third or fourth action.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from recon.resection import resect
from recon.sampson import in_front, refine_motion, sampson_distances
from render.camera import Camera, pixel_grid

from .optical_motion import flow_between

FOLLOWED = 1  # frames from one to the next that is compared
EVERY = 5  # pairs, of which one is measured
STRIDE = 4  # pixels between matches
MARGIN = 0.1  # of the width, at the edge of the later frame: flow is drawn back there, by half a degree of a turn
PNP_PIXELS, EPIPOLAR_PIXELS = 0.5, 1.0  # a match within these agrees with a motion
LEAST_DISPARITY, MOST_RISE = 0.5, 0.5  # pixels, of the flow from eye to eye: at 64 pixels, 24 m; and off its row
FEWEST, LEAST_SHARE = 30, 0.5  # of the matches that must agree with an essential matrix
LEAST_LIKENESS = 0.6  # correlation of a frame with what its flow fetches; true .98, other rooms .35, noise .1
STILL = 0.01  # metres; below, a direction means nothing


@dataclass(frozen=True)
class Following:
    """For each pair (frame i, frame i + 1), nan where it was not measured.

    found: 1 where a motion was found, 0 where none was, and then the errors are nan. rotation: degrees between the
    commanded and the found rotation; translation: metres between the translations; scaled: metres after the one factor
    that fits the rollout's translations best (least squares, as WorldScore's).
    """

    found: Float[np.ndarray, " P"]
    rotation: Float[np.ndarray, " P"]
    translation: Float[np.ndarray, " P"]
    scaled: Float[np.ndarray, " P"]


@torch.no_grad()
def camera_following(
    frames: Float[Tensor, "T H W 3"],
    cameras: Sequence[Camera],
    right: Float[Tensor, "T H W 3"] | None = None,
    baseline: float | None = None,
    flow: Float[Tensor, "T_minus_1 H W 2"] | None = None,
    every: int = EVERY,
) -> Following:
    """frames along commanded cameras, the last observed one first; right and baseline (metres): the other eye's.

    flow: that of the frames, where it was measured before (optical_motion.flows). Raises ValueError for lengths that do
    not fit, or a right eye without baseline.
    """
    count = len(frames)
    if len(cameras) != count or (right is not None and len(right) != count) or count < 2:
        raise ValueError(
            f"camera_following: expected as many cameras and right eyes as frames, at least 2; got {len(cameras)} "
            f"cameras, {None if right is None else len(right)} right eyes, {count} frames"
        )
    if right is not None and not baseline:
        raise ValueError("camera_following: expected a baseline in metres with right eyes; got none; do pass it")
    found, rotation, translation, scaled = np.full((4, count - 1), np.nan)
    moves: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for index in range(0, count - FOLLOWED, every):
        a, b = cameras[index], cameras[index + FOLLOWED]
        told = (b.w2c.double() @ a.c2w.double()).numpy()
        length = float(np.linalg.norm(told[:3, 3]))
        between = flow_between(frames[index], frames[index + FOLLOWED]) if flow is None else flow[index]
        if _likeness(frames[index], frames[index + FOLLOWED], between) < LEAST_LIKENESS:
            motion = None
        elif right is not None:
            assert baseline is not None
            motion = _with_two_eyes(frames[index], right[index], between, a, b, baseline)
        else:
            motion = _with_one_eye(between, a, b)
        found[index] = float(motion is not None)
        if motion is None:
            continue
        rotation[index] = _degrees(motion[:3, :3] @ told[:3, :3].T)
        if right is None:
            if length < STILL:
                continue
            motion[:3, 3] *= length
        moves[index] = motion[:3, 3], told[:3, 3]
        translation[index] = np.linalg.norm(motion[:3, 3] - told[:3, 3])
    overlap = sum(float(seen @ told) for seen, told in moves.values())
    power = sum(float(seen @ seen) for seen, _ in moves.values())
    scale = overlap / power if power > 0 else 1.0
    for index, (seen, told) in moves.items():
        scaled[index] = np.linalg.norm(scale * seen - told)
    return Following(found, rotation, translation, scaled)


def _likeness(before: Tensor, after: Tensor, flow: Tensor) -> float:
    """Correlation of a frame with the next one, warped back by the flow, where that is inside: flow is found between
    any two images, so it has to explain them."""
    height, width = flow.shape[:2]
    there = pixel_grid(width, height) + flow
    size = torch.tensor([width, height])
    inside = ((there >= 0) & (there < size)).all(-1)
    warped = torch.nn.functional.grid_sample(
        after.mean(-1)[None, None], (there / size * 2 - 1)[None], align_corners=False, padding_mode="border"
    )[0, 0]
    pair = torch.stack([before.mean(-1)[inside], warped[inside]]).double()
    if pair.shape[1] < FEWEST:
        return 0.0
    pair = pair - pair.mean(1, keepdim=True)
    spread = pair.norm(dim=1).prod()
    return float(pair.prod(0).sum() / spread) if float(spread) > 0 else 0.0


def _matches(flow: Tensor, a: Camera) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels of a and b [h, w, 2], and which are inside b."""
    grid = _thin(pixel_grid(a.width, a.height, dtype=torch.float64))
    there = grid + _thin(flow).double()
    edge = MARGIN * a.width
    return grid, there, ((there >= edge) & (there < torch.tensor([a.width, a.height]) - edge)).all(-1)


def _thin(values: Tensor) -> Tensor:
    return values[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]


def _with_two_eyes(
    left: Tensor, right: Tensor, flow: Tensor, a: Camera, b: Camera, baseline: float
) -> np.ndarray | None:
    grid, there, inside = _matches(flow, a)
    eyes = _thin(flow_between(left, right)).double()
    disparity = -eyes[..., 0]
    known = inside & (disparity > LEAST_DISPARITY) & (eyes[..., 1].abs() < MOST_RISE)
    K = a.K.double()
    depth = K[0, 0] * baseline / disparity.clamp(min=LEAST_DISPARITY)
    rays = torch.cat([(grid - K[:2, 2]) / K[[0, 1], [0, 1]], torch.ones_like(grid[..., :1])], dim=-1)
    answer = resect((rays * depth[..., None])[known], there[known], b.K.double(), PNP_PIXELS)
    return answer.w2c.numpy().copy() if answer.found else None


def _with_one_eye(flow: Tensor, a: Camera, b: Camera) -> np.ndarray | None:
    """With a baseline of unit length."""
    import cv2

    grid, there, inside = _matches(flow, a)
    if int(inside.sum()) < FEWEST:
        return None
    rays = [_rays(pixels[inside].numpy(), camera) for pixels, camera in ((grid, a), (there, b))]
    focal = float((a.K[0, 0] * a.K[1, 1]).sqrt())
    settings = cv2.UsacParams()
    settings.threshold, settings.confidence, settings.maxIterations = EPIPOLAR_PIXELS / focal, 0.99, 200
    settings.score = cv2.SCORE_METHOD_MSAC
    settings.randomGeneratorState = 0
    flat = [np.ascontiguousarray(ray[:, :2]) for ray in rays]
    eye, none = np.eye(3), np.zeros(4)
    essential, mask = cv2.findEssentialMat(flat[0], flat[1], eye, eye, none, none, settings)
    if essential is None or essential.shape != (3, 3) or not np.isfinite(essential).all() or mask.sum() < FEWEST:
        return None
    agree = mask[:, 0] > 0
    one, other, direction = cv2.decomposeEssentialMat(essential)
    turns = (np.asarray(turn, dtype=np.float64) for turn in (one, other))
    motions = [(turn, np.asarray(sign * direction[:, 0], dtype=np.float64)) for turn in turns for sign in (1.0, -1.0)]
    near = 2 * EPIPOLAR_PIXELS / focal
    best = max(motions, key=lambda motion: in_front(*motion, rays[0][agree], rays[1][agree], near).sum())
    turn, direction = refine_motion(*best, rays[0][agree], rays[1][agree], EPIPOLAR_PIXELS / focal, most_steps=10)
    agree = sampson_distances(turn, direction, *rays) < EPIPOLAR_PIXELS / focal
    if agree.sum() < FEWEST or agree.mean() < LEAST_SHARE:
        return None
    motion = np.eye(4)
    motion[:3, :3], motion[:3, 3] = turn, direction
    return motion


def _rays(pixels: np.ndarray, camera: Camera) -> np.ndarray:
    K = camera.K.double().numpy()
    return np.concatenate([(pixels - K[:2, 2]) / K[[0, 1], [0, 1]], np.ones((len(pixels), 1))], axis=1)


def _degrees(rotation: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))
