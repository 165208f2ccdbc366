"""What the latent action model is trained by: the second frame of a pair, told by few nats beside the first."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ...actions.latent.config import SIDE, LatentConfig
from ...actions.latent.forward import ForwardModel
from ...actions.latent.inverse import InverseModel, divergence, drawn
from ...actions.latent.matching import PART, REACH
from .pairs import Pairs

ORDERS = torch.tensor([[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
DOUBT, PLAIN = 0.05, 0.05  # difference at which a match is doubted, contrast below which a part is plain
SCALES = (1, 2, 4)  # of pixels that are compared: large motions are found at the coarse one


class LatentActionModel(nn.Module):
    """Both models, trained together."""

    def __init__(self, config: LatentConfig) -> None:
        super().__init__()
        self.config = config
        self.inverse = InverseModel(config)
        self.ahead = ForwardModel(config)


class Told(NamedTuple):
    """Errors of a batch: of the next frame, of it before it is mended, of the frame before told by the opposite code,
    of the motion beside how parts match; and nats of a code."""

    after: Tensor
    moved: Tensor
    back: Tensor
    flow: Tensor
    nats: Tensor

    def loss(self, bottleneck: float, there_and_back: float, matching: float) -> Tensor:
        return self.after + self.moved + there_and_back * self.back + matching * self.flow + bottleneck * self.nats


def errors(model: LatentActionModel, pairs: Pairs, stream: torch.Generator, *, recolour: bool, back: bool) -> Told:
    """recolour: the inverse model is shown the pair in other colours, the same for both frames, so that a code which
    told colours would tell the forward model wrong ones."""
    device = next(model.parameters()).device
    before, after = (frames.to(device).float() / 255 for frames in (pairs.before, pairs.after))
    match = pairs.match.to(device)
    shown = recoloured(before, after, stream) if recolour else (before, after)
    mean, spread = model.inverse(*shown, match)
    code, nats = mean, mean.new_zeros(())
    if model.config.noise:
        code = drawn(mean, spread, torch.randn(mean.shape, generator=stream).to(device))
        nats = divergence(mean, spread).mean()
    told = model.ahead(before, code)
    behind = apart(model.ahead(after, -code).moved, before) if back else mean.new_zeros(())
    return Told(apart(told.frame, after), apart(told.moved, after), behind, beside(told.flow, match, after), nats)


def beside(
    flow: Float[Tensor, "N 2 32 32"], match: Float[Tensor, "N 3 8 8"], after: Float[Tensor, "N 3 32 32"]
) -> Float[Tensor, ""]:
    """Mean difference of the motion and of where parts were found, in half images, over parts that were found well and
    have something on them to be found by."""
    found = match[:, :2] * (2 * REACH / SIDE)
    mean, square = F.avg_pool2d(after, PART).mean(1), F.avg_pool2d(after.square(), PART).mean(1)
    texture = (square - mean.square()).clamp(min=0).sqrt()
    trust = torch.exp(-match[:, 2] / DOUBT) * texture / (texture + PLAIN)
    away = (F.avg_pool2d(flow, PART) - found).square().sum(1)
    return (trust * (away + 1e-6).sqrt()).sum() / trust.sum().clamp(min=1e-6)


def apart(told: Float[Tensor, "N 3 32 32"], true: Float[Tensor, "N 3 32 32"]) -> Float[Tensor, ""]:
    """Mean absolute error (smooth at 0) over pixels of several sizes."""
    return torch.stack(
        [((F.avg_pool2d(told, k) - F.avg_pool2d(true, k)).square() + 1e-4).sqrt().mean() for k in SCALES]
    ).mean()


def recoloured(before: Tensor, after: Tensor, stream: torch.Generator) -> tuple[Tensor, Tensor]:
    """Channels exchanged, and inverted half of the time: exactly what leaves matching as it is."""
    count = len(before)
    order = ORDERS[torch.randint(len(ORDERS), (count,), generator=stream)]
    order = order[:, :, None, None].expand(count, 3, SIDE, SIDE).to(before.device)
    inverted = (torch.rand(count, 1, 1, 1, generator=stream) < 0.5).to(before)
    first, second = (
        frames.gather(1, order) + inverted * (1 - 2 * frames.gather(1, order)) for frames in (before, after)
    )
    return first, second
