"""Depth from one image by this package's own network, in metres, with the chance that it is right.

The network was trained in procedural rooms alone (its weights' card says how): elsewhere it guesses. Its metres are
brought into line with what the scene already knows of the view, by a scale and where that is clearly better a shift.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from .depth_scale import LEAST_KNOWN, fit_depth_scale
from .known_depth import known_depth
from .networks.monocular_config import STEP
from .networks.monocular_unet import CANONICAL_FOCAL, MonocularUNet, pixel_places
from .networks.monocular_weights import DEFAULT, RIGHT, load_monocular
from .upsampling import upsample
from .view import DepthContext, View

LONGEST = 4  # working sides, of the longer side of very oblong images
SHIFT_GAIN = 0.8  # a shift is taken where the error that it leaves is smaller than this share of the scale's
LARGEST_SHIFT = 0.3  # of the median inverse depth; a larger one bends what lies outside the known depths
WIDEST = 4.0  # by which what is known may make the network less sure; never surer, as elsewhere the fit tells less


class Guess(NamedTuple):
    """Depth in metres, and the scale of the Laplace distribution of its logarithm."""

    depth: Float[Tensor, "H W"]
    scale: Float[Tensor, "H W"]

    def confidence(self) -> Float[Tensor, "H W"]:
        """The chance that depth is within 10 %."""
        return (self.depth > 0).to(self.depth.dtype) * (1 - torch.exp(-RIGHT / self.scale))


def learned_monocular_depth(
    views: Sequence[View], context: DepthContext | None = None
) -> tuple[Float[Tensor, "H W"], Float[Tensor, "H W"]]:
    """Depth [H, W] in metres and confidence [H, W] of the newest view by the packaged network; View.depth is not read.

    Confidence is the chance that depth is within 10 % of the true one, as the network judges itself, corrected by how
    well it agrees with what is known (context.recalled_depth, else plane sweep over the earlier views). Where nothing
    is known it is taken at its word; where it contradicts what is known by more than 30 %, depth is 0.
    Raises ValueError without a view or for an image that is not finite.
    """
    return measured_by(_network(DEFAULT), views, context)


def measured_by(
    network: MonocularUNet, views: Sequence[View], context: DepthContext | None
) -> tuple[Float[Tensor, "H W"], Float[Tensor, "H W"]]:
    """learned_monocular_depth by any such network."""
    view = newest(views)
    guess = aligned(guess_depth(network, view), known_depth(views, context))
    return guess.depth, guess.confidence()


def newest(views: Sequence[View]) -> View:
    """The last view. Raises ValueError where there is none, and for an image that is not finite."""
    if not views:
        raise ValueError("depth source 'monocular' needs at least one view; got none.")
    if not bool(views[-1].image.isfinite().all()):
        raise ValueError("View.image must be finite; got NaN or infinite values. Check the image it came from.")
    return views[-1]


@torch.no_grad()
def guess_depth(network: MonocularUNet, view: View) -> Guess:
    """What the network says of the image alone, at the image's size; in proportion to the focal length."""
    height, width = working_size(view.height, view.width, network.config.side)
    network.to(view.image.device)
    image = view.image.float().permute(2, 0, 1)[None]
    if (height, width) != (view.height, view.width):
        image = interpolate(image, (height, width), mode="bilinear", align_corners=False, antialias=True)
    K = view.camera.resized(width, height).K.float()
    place = pixel_places(K[None, :2, 2].to(image), height, width)
    found = network(image.contiguous(memory_format=torch.channels_last), place)
    focal = math.sqrt(float(K[0, 0]) * float(K[1, 1]))
    depth = found.log_depth[0].exp() * (focal / CANONICAL_FOCAL)
    full = upsample(depth.cpu().numpy(), found.scale[0].cpu().numpy(), view.image)
    return Guess(*(torch.from_numpy(one).to(view.image) for one in full))


def aligned(guess: Guess, known: Float[Tensor, "H W"] | None) -> Guess:
    """The guess in the metres of known depth (0 = not known); depth 0 where both contradict each other."""
    if known is None or int((known > 0).sum()) < LEAST_KNOWN:
        return guess
    fit, _ = fit_depth_scale(guess.depth, known, "metric")
    line, _ = fit_depth_scale(1 / guess.depth, known, "inverse")
    inverse = float((1 / guess.depth).median())
    shifted = line is not None and abs(line.shift) < LARGEST_SHIFT * line.scale * inverse
    if line is not None and shifted and (fit is None or line.error < SHIFT_GAIN * fit.error):
        depth = line.apply(1 / guess.depth)
    elif fit is not None:
        depth = fit.apply(guess.depth)
    else:
        return Guess(torch.zeros_like(guess.depth), guess.scale)
    where = (known > 0) & (depth > 0)
    # the median of the absolute value of a Laplace distribution is log 2 of its scale
    surprise = ((depth[where] / known[where]).log().abs() / guess.scale[where]).median() / math.log(2)
    return Guess(depth, guess.scale * surprise.clamp(1.0, WIDEST))


def working_size(height: int, width: int, side: int) -> tuple[int, int]:
    """Height and width of about side * side pixels in the image's proportions, both multiples of STEP."""
    factor = side / math.sqrt(height * width)
    rounded = (round(length * factor / STEP) * STEP for length in (height, width))
    down, across = (min(max(length, 2 * STEP), LONGEST * side) for length in rounded)
    return down, across


@functools.lru_cache(maxsize=4)
def _network(name_or_path: str) -> MonocularUNet:
    return load_monocular(name_or_path)


def trained_in(folder: Path):
    """A depth source from a folder with weights that `hybridwm train-depth` wrote.

    Raises FileNotFoundError, FormatError.
    """
    network = _network(str(folder.resolve()))

    def monocular_depth(
        views: Sequence[View], context: DepthContext | None = None
    ) -> tuple[Float[Tensor, "H W"], Float[Tensor, "H W"]]:
        return measured_by(network, views, context)

    return monocular_depth
