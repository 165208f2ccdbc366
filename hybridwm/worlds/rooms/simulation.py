"""What happens in the rooms when walkers act: motion up to the wall, touch, and what both eyes then see."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from recon.view import View

from ...actions.walker import Walker
from .collision import free_fraction
from .layout import RoomBatch
from .raycast import raycast
from .rig import RoomsRig


@dataclass(frozen=True, eq=False)
class SeenView(View):
    """A View that compares by value, as Gymnasium's checkers compare what `info` holds."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SeenView):
            return NotImplemented
        pairs = [(self.camera.K, other.camera.K), (self.camera.w2c, other.camera.w2c)]
        pairs += [(getattr(self, k), getattr(other, k)) for k in ("image", "right", "depth")]
        both = [(a, b) for a, b in pairs if a is not None and b is not None]
        absent = sum(a is None and b is None for a, b in pairs)
        return self.baseline == other.baseline and len(both) + absent == len(pairs) and all(
            torch.equal(a, b) for a, b in both
        )

    __hash__ = object.__hash__


@dataclass(frozen=True)
class Sight:
    """What the walkers of E rooms see."""

    w2c: Float[Tensor, "E 4 4"]
    rgb: UInt8[Tensor, "E H W 3"]  # left eye
    right: UInt8[Tensor, "E H W 3"]
    depth: Float[Tensor, "E H W"]  # metres, left eye

    def view(self, index: int, rig: RoomsRig) -> SeenView:
        """One room's sight as a measured view, with the colours as quantised."""
        return SeenView(
            self.rgb[index].float() / 255,
            rig.camera(self.w2c[index]),
            depth=self.depth[index],
            right=self.right[index].float() / 255,
            baseline=rig.baseline,
        )


@torch.no_grad()
def see(rooms: RoomBatch, w2c: Float[Tensor, "E 4 4"], rig: RoomsRig) -> Sight:
    """Both eyes' images and the left eye's depth."""
    seen = raycast(rooms, rig.stereo(w2c))
    rgb = (seen.rgb * 255).round().to(torch.uint8)
    return Sight(w2c, rgb[:, 0], rgb[:, 1], seen.depth[:, 0])


@torch.no_grad()
def act(
    rooms: RoomBatch, w2c: Float[Tensor, "E 4 4"], action: Float[Tensor, "E 4"], rig: RoomsRig
) -> tuple[Float[Tensor, "E 4 4"], Float[Tensor, "E 4"], Bool[Tensor, "E"]]:
    """The cameras after actions (forward m, right m, yaw rad, pitch rad), the actions as done, and touch.

    A move that meets a wall or an object goes as far as the disc of `rig.radius` fits.
    """
    body = Walker(radius=rig.radius)
    wished = body.move(w2c, action)
    start, end = (-(m[..., :3, :3].mT @ m[..., :3, 3:])[..., 0] for m in (w2c, wished))
    share = free_fraction(rooms, start, end, rig.radius)
    touch = share < 0.999
    done = action.clone()
    done[:, :2] *= torch.where(touch, share, 1.0)[:, None]
    moved = body.move(w2c, done)
    done[:, 3] = body.pitch(moved) - body.pitch(w2c)  # less than asked for at the limit of the neck
    return moved, done, touch
