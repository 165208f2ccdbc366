"""What happens in the rooms when walkers act: motion up to the wall, touch, and what their eyes then see."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from ...actions.walker import Walker
from ..seen_view import SeenView
from .collision import free_fraction
from .layout import RoomBatch
from .raycast import Raycast, raycast
from .rig import RoomsRig


@dataclass(frozen=True)
class Sight:
    """What the walkers of E rooms see."""

    w2c: Float[Tensor, "E 4 4"]
    rgb: UInt8[Tensor, "E H W 3"]  # left eye
    depth: Float[Tensor, "E H W"]  # metres, left eye
    right: UInt8[Tensor, "E H W 3"] | None = None  # of a rig that has two eyes

    @staticmethod
    def of(w2c: Float[Tensor, "E 4 4"], seen: Raycast) -> Sight:
        """Colours as quantised, of one eye or two [E, V]; the depth of the first."""
        rgb = (seen.rgb * 255).round().to(torch.uint8)
        return Sight(w2c, rgb[:, 0], seen.depth[:, 0], rgb[:, 1] if rgb.shape[1] == 2 else None)

    def view(self, index: int, rig: RoomsRig) -> SeenView:
        """One room's sight as a measured view, with the colours as quantised."""
        return SeenView(
            self.rgb[index].float() / 255,
            rig.camera(self.w2c[index]),
            depth=self.depth[index],
            right=None if self.right is None else self.right[index].float() / 255,
            baseline=None if self.right is None else rig.baseline,
        )


@torch.no_grad()
def see(rooms: RoomBatch, w2c: Float[Tensor, "E 4 4"], rig: RoomsRig) -> Sight:
    """The images of the rig's eyes and the left one's depth."""
    return Sight.of(w2c, raycast(rooms, rig.see(w2c)))


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
    done, moved = action.clone(), wished
    if bool(touch.any()):  # else it goes as it wished
        done[:, :2] *= torch.where(touch, share, 1.0)[:, None]
        moved = body.move(w2c, done)
    done[:, 3] = body.pitch(moved) - body.pitch(w2c)  # less than asked for at the limit of the neck
    return moved, done, touch
