"""How far things move from frame to frame, in pixels: what a blurred rollout does not lose, and a frozen one has not.

Dense inverse search (Kroeger et al., Fast Optical Flow using Dense Inverse Search, 2016; OpenCV's medium preset, down
to single pixels) about the shift by which the middle of one frame is found in the other: a turn of 15 degrees moves 64
pixels by 11 and more, which dense inverse search alone follows in half the turns only.
On true pairs of random walks at 64 x 64 its median error is 0.2 pixels, 97 % of the visible pixels are within 2, and
its mean length correlates by .996 with that of true depth and cameras; 2 ms a pair on one core.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

LEAST_SIDE = 32  # pixels; smaller frames are enlarged for the search
BETTER = 0.01  # of the correlation: what a shift must gain over none


def mean_flow(frames: Float[Tensor, "T H W 3"]) -> Float[np.ndarray, " T_minus_1"]:
    """Mean length of the flow from each frame to the next, pixels. Raises ValueError for fewer than two frames."""
    return mean_length(flows(frames))


def mean_length(flow: Float[Tensor, "*T H W 2"]) -> Float[np.ndarray, " *T"]:
    """Over all pixels, also those that leave the frame."""
    return flow.norm(dim=-1).mean(dim=(-2, -1)).double().numpy()


def flows(frames: Float[Tensor, "T H W 3"]) -> Float[Tensor, "T_minus_1 H W 2"]:
    """Where each pixel of a frame is in the next one, less where it was: (u, v) in pixels."""
    if len(frames) < 2:
        raise ValueError(f"expected at least two frames; got {len(frames)}; do measure motion over a rollout")
    greys = [_grey(frame) for frame in frames]
    return torch.stack([_between(a, b) for a, b in zip(greys[:-1], greys[1:], strict=True)])


def flow_between(before: Float[Tensor, "H W 3"], after: Float[Tensor, "H W 3"]) -> Float[Tensor, "H W 2"]:
    """The same for one pair."""
    return _between(_grey(before), _grey(after))


def _grey(frame: Tensor) -> np.ndarray:
    import cv2

    if not bool(frame.isfinite().all()):
        raise ValueError("optical flow: expected finite frames in 0…1; got NaN or Inf; do repair them first")
    return cv2.cvtColor((frame.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8).numpy(), cv2.COLOR_RGB2GRAY)


def _between(a: np.ndarray, b: np.ndarray) -> Tensor:
    import cv2

    height, width = a.shape
    scale = max(1, -(-LEAST_SIDE // min(height, width)))
    if scale > 1:
        size = (width * scale, height * scale)
        a, b = (cv2.resize(image, size, interpolation=cv2.INTER_CUBIC) for image in (a, b))
    right, down = _shift(a, b)
    # The other frame is moved by whole pixels, so that what is left to find is small.
    back = np.array([[1, 0, -right], [0, 1, -down]], dtype=np.float32)
    moved = cv2.warpAffine(b, back, b.shape[::-1], flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    flow = _search().calc(a, moved, None) + np.array([right, down], dtype=np.float32)  # type: ignore[call-overload]
    if scale > 1:
        flow = cv2.resize(flow, (width, height), interpolation=cv2.INTER_AREA) / scale
    return torch.from_numpy(np.ascontiguousarray(flow))


def _shift(a: np.ndarray, b: np.ndarray) -> tuple[int, int]:
    """Whole pixels by which the middle of a (half its width and height) is found in b: the highest correlation."""
    import cv2

    height, width = a.shape
    top, left = height // 4, width // 4
    middle = a[top : top + height // 2, left : left + width // 2]
    if middle.std() < 1:  # of 255: a blank wall is everywhere
        return 0, 0
    found = cv2.matchTemplate(b, middle, cv2.TM_CCOEFF_NORMED)
    _, best, _, (u, v) = cv2.minMaxLoc(found)
    return (u - left, v - top) if best > found[top, left] + BETTER else (0, 0)


@functools.lru_cache(maxsize=1)
def _search():
    import cv2

    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0)
    return search
