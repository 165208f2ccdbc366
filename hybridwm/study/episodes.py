"""An episode: what was observed, what is to be imagined along commanded cameras, and the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from recon.view import View
from render.camera import Camera

from ..worlds.rooms.layout import RoomBatch
from ..worlds.rooms.raycast import raycast
from ..worlds.rooms.rig import RoomsRig


@dataclass(frozen=True)
class Route:
    """Cameras in order of time; actions[i] leads from w2c[i] to w2c[i + 1]; the first `observed` are seen."""

    w2c: Float[Tensor, "N 4 4"]
    actions: Float[Tensor, "N_minus_1 4"]
    observed: int


@dataclass(frozen=True)
class Episode:
    """A route as one room shows it: the observed views, what is to be imagined, and the truth.

    truth [T, H, W, 3] and depth [T, H, W] belong to `cameras`, the commanded ones; `oracle(camera)` is the
    true depth from any camera, for the arms that may read it. moving: true pixels that no motion of the camera
    explains, where a world tells them.
    """

    seed: int
    views: tuple[View, ...]
    start_actions: Float[Tensor, "V_minus_1 a"]
    actions: Float[Tensor, "T a"]
    cameras: tuple[Camera, ...]
    truth: Float[Tensor, "T H W 3"]
    depth: Float[Tensor, "T H W"]
    oracle: Callable[[Camera], Float[Tensor, "H W"]]
    moving: Bool[Tensor, "T H W"] | None = None

    def first(self, steps: int) -> Episode:
        """The same beginning with the first `steps` imagined frames only."""
        cut = slice(0, steps)
        return replace(
            self,
            actions=self.actions[cut],
            cameras=self.cameras[cut],
            truth=self.truth[cut],
            depth=self.depth[cut],
            moving=None if self.moving is None else self.moving[cut],
        )

    def window(self, first: int, views: int, steps: int) -> Episode:
        """The same walk begun `first` frames later: `views` observed ones, then `steps` to imagine; what moves is not
        told of it."""
        images = torch.cat([torch.stack([view.image for view in self.views]), self.truth])
        cameras = [*(view.camera for view in self.views), *self.cameras]
        actions = torch.cat([self.start_actions, self.actions])
        start, end = first + views, first + views + steps
        if end > len(cameras) or start > len(self.views):
            raise ValueError(
                f"expected a window within {len(self.views)} views and {len(self.cameras)} steps; got views "
                f"{first}…{start} and steps up to {end}; do record more"
            )
        return Episode(
            self.seed,
            self.views[first:start],
            actions[first : start - 1],
            actions[start - 1 : end - 1],
            tuple(cameras[start:end]),
            images[start:end],
            torch.cat([torch.stack([_depth(view) for view in self.views]), self.depth])[start:end],
            self.oracle,
        )


def record(rooms: RoomBatch, route: Route, seed: int, rig: RoomsRig | None = None) -> Episode:
    """What the first room of the batch shows along a route, to both eyes."""
    rig, room = rig or RoomsRig(), rooms[:1]
    eyes = rig.stereo(route.w2c[None])  # [1, N, 2]
    flat = Camera(eyes.K.flatten(1, 2), eyes.w2c.flatten(1, 2), eyes.width, eyes.height)
    cast = raycast(room, flat)
    rgb, depth = cast.rgb[0].unflatten(0, (-1, 2)), cast.depth[0].unflatten(0, (-1, 2))[:, 0]
    cameras = [rig.camera(w2c) for w2c in route.w2c]
    views = tuple(
        View(rgb[i, 0], cameras[i], depth=depth[i], right=rgb[i, 1], baseline=rig.baseline)
        for i in range(route.observed)
    )
    n = route.observed

    def oracle(camera: Camera) -> Tensor:
        return raycast(room, Camera(camera.K[None, None], camera.w2c[None, None], camera.width, camera.height)).depth[
            0, 0
        ]

    return Episode(
        seed,
        views,
        route.actions[: n - 1],
        route.actions[n - 1 :],
        tuple(cameras[n:]),
        rgb[n:, 0],
        depth[n:],
        oracle,
    )


def _depth(view: View) -> Tensor:
    if view.depth is None:
        raise ValueError("expected views with true depth; got none; do record them in the simulator")
    return view.depth
