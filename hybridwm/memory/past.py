"""Past frames as a value: 8-bit images with their cameras, shared by forks and never rewritten."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from recon import View
from recon.lift import MIN_CONFIDENCE
from render import Camera
from render.transforms import invert_rigid

from ..core.conditioning import Remembered

NEAR_METRES, NEAR_DEGREES = 0.1, 5.0
"""Two frames whose cameras are nearer than this, in both, show the same: one of them is kept."""
STEP_METRES, STEP_DEGREES = 0.25, 15.0
"""One step and one turn of the walker: what metres and degrees are measured in when a crowded memory is thinned."""


@dataclass(frozen=True)
class PastFrame:
    """depth: metres in half precision, 0 where unknown; None in memories that measure nothing."""

    step: int
    observed: bool
    camera: Camera
    image: UInt8[Tensor, "h w 3"]
    right: UInt8[Tensor, "h w 3"] | None = None
    depth: Float[Tensor, "h w"] | None = None

    @staticmethod
    def of(view: View, step: int, observed: bool) -> PastFrame:
        depth = view.depth
        if depth is not None and view.confidence is not None:
            depth = torch.where(view.confidence >= MIN_CONFIDENCE, depth, torch.zeros_like(depth))
        right = None if view.right is None else _to_bytes(view.right)
        return PastFrame(
            step, observed, view.camera, _to_bytes(view.image), right, None if depth is None else depth.half()
        )

    def remembered(self) -> Remembered:
        right = None if self.right is None else self.right.float() / 255
        depth = None if self.depth is None else self.depth.float()
        return Remembered(self.image.float() / 255, self.camera, right, depth)


@dataclass(frozen=True)
class Past:
    """Kept frames, oldest first; newest: the step of the last frame that was seen, kept or not."""

    frames: tuple[PastFrame, ...] = ()
    newest: int = -1

    def with_frame(self, frame: PastFrame, budget: int) -> Past:
        """The past after a frame. One of two near-duplicates goes: the imagined one, of two alike the newer one. Beyond
        the budget, one of the two frames with the nearest cameras goes, by the same rule."""
        if self.frames:
            metres, degrees = _apart([kept.camera for kept in self.frames], [frame.camera])
            near = ((metres < NEAR_METRES) & (degrees < NEAR_DEGREES))[:, 0].nonzero()[:, 0].tolist()
            if any(self.frames[i].observed or not frame.observed for i in near):
                return replace(self, newest=frame.step)
            frames = tuple(kept for i, kept in enumerate(self.frames) if i not in near)
        else:
            frames = ()
        frames = (*frames, frame)
        return Past(frames if len(frames) <= budget else _thinned(frames), frame.step)


def _thinned(frames: tuple[PastFrame, ...]) -> tuple[PastFrame, ...]:
    cameras = [frame.camera for frame in frames]
    metres, degrees = _apart(cameras, cameras)
    apart = metres / STEP_METRES + degrees / STEP_DEGREES
    apart.fill_diagonal_(torch.inf)
    older, newer = sorted(divmod(int(apart.argmin()), len(frames)))
    gone = older if frames[newer].observed and not frames[older].observed else newer
    return frames[:gone] + frames[gone + 1 :]


def _apart(some: list[Camera], others: list[Camera]) -> tuple[Float[Tensor, "N M"], Float[Tensor, "N M"]]:
    """Metres between the centres and degrees between the orientations of every two cameras."""
    a, b = (invert_rigid(torch.stack([camera.w2c for camera in cameras])) for cameras in (some, others))
    metres = (a[:, None, :3, 3] - b[None, :, :3, 3]).norm(dim=-1)
    # the trace of a_from_b, by which the angle between two rotations is told
    trace = a[:, :3, :3].flatten(1) @ b[:, :3, :3].flatten(1).T
    return metres, torch.rad2deg(torch.arccos(((trace - 1) / 2).clamp(-1, 1)))


def _to_bytes(image: Float[Tensor, "h w 3"]) -> UInt8[Tensor, "h w 3"]:
    return (image * 255).round().clamp(0, 255).to(torch.uint8)
