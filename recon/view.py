"""A view: a measured image with its camera and, where known, depth, confidence and a right eye."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from render.camera import Camera


@dataclass(frozen=True)
class View:
    """One measured image.

    image [H, W, 3] in 0..1; camera without batch axes, of the same size; depth [H, W] metres along the
    optical axis, 0 = no measurement; confidence [H, W] in 0..1; right [H, W, 3] the rectified right eye,
    whose camera is the left one moved by `baseline` metres along its own +x; disparity_offset in pixels is
    cx_right - cx_left (Middlebury's doffs): depth = focal * baseline / (disparity + disparity_offset).

    Only shapes and types are checked here. What `depth` holds is checked by the consumer that reads it,
    because a stereo consumer must never look at it.

    Raises ValueError or TypeError for wrong shapes, a batched camera, a right eye without a baseline.
    """

    image: Float[Tensor, "H W 3"]
    camera: Camera
    depth: Float[Tensor, "H W"] | None = None
    confidence: Float[Tensor, "H W"] | None = None
    right: Float[Tensor, "H W 3"] | None = None
    baseline: float | None = None
    disparity_offset: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.camera, Camera):
            raise TypeError(f"View.camera must be a render.Camera; got {type(self.camera).__name__}.")
        if tuple(self.camera.K.shape) != (3, 3):
            raise ValueError(
                f"View.camera must be one camera, K [3, 3]; got K {list(self.camera.K.shape)}. Index the "
                "batch: camera[i]."
            )
        size = (self.camera.height, self.camera.width)
        for name, shape in (
            ("image", (*size, 3)),
            ("depth", size),
            ("confidence", size),
            ("right", (*size, 3)),
        ):
            value = getattr(self, name)
            if value is None and name != "image":
                continue
            if not isinstance(value, torch.Tensor):
                raise TypeError(
                    f"View.{name} must be a torch.Tensor {list(shape)}; got {type(value).__name__}. Use "
                    "torch.as_tensor()."
                )
            if tuple(value.shape) != shape:
                raise ValueError(
                    f"View.{name} must be {list(shape)}, as its camera is {size[1]} wide and {size[0]} high; "
                    f"got {list(value.shape)}."
                )
            if not value.is_floating_point():
                raise TypeError(
                    f"View.{name} must be floating point; got {value.dtype}. Convert uint8 images by .float() / 255."
                )
        if self.right is not None and self.baseline is None:
            raise ValueError("View.right needs View.baseline in metres; got None. Pass baseline=….")

    @property
    def height(self) -> int:
        return self.camera.height

    @property
    def width(self) -> int:
        return self.camera.width

    def right_camera(self) -> Camera:
        """The camera of the right eye. Raises ValueError without a baseline."""
        if self.baseline is None:
            raise ValueError("View.right_camera() needs View.baseline in metres; got None.")
        moved = self.camera.moved_right(self.baseline)
        if self.disparity_offset == 0:
            return moved
        K = moved.K.clone()
        K[0, 2] += self.disparity_offset
        return Camera(K, moved.w2c, moved.width, moved.height)


def resize_view(view: View, width: int, height: int) -> View:
    """The same view on another pixel grid: colours averaged over each new pixel, depth and confidence those of the old
    pixel at its centre, since a mean of two surfaces lies on neither.

    Raises ValueError for a size below one pixel.
    """
    if width < 1 or height < 1:
        raise ValueError(f"resize_view needs a width and height of at least 1; got {width} x {height}.")

    def colours(image: Tensor | None) -> Tensor | None:
        if image is None:
            return None
        planes = image.permute(2, 0, 1)[None]
        small = interpolate(planes, (height, width), mode="bilinear", align_corners=False, antialias=True)
        return small[0].permute(1, 2, 0).clamp(0, 1).contiguous()

    def measured(values: Tensor | None) -> Tensor | None:
        return None if values is None else interpolate(values[None, None], (height, width), mode="nearest-exact")[0, 0]

    image = colours(view.image)
    assert image is not None
    return View(
        image,
        view.camera.resized(width, height),
        depth=measured(view.depth),
        confidence=measured(view.confidence),
        right=colours(view.right),
        baseline=view.baseline,
        disparity_offset=view.disparity_offset * width / view.width,
    )


@dataclass(frozen=True)
class DepthContext:
    """What a depth source may know besides the newest views: earlier ones (oldest first), recalled depth."""

    views: tuple[View, ...] = ()
    recalled_depth: Float[Tensor, "H W"] | None = None
