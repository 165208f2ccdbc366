"""Small heads that tell a number from a frame (a reward, an ending), fitted to labelled frames of the real world.

In a dream nobody hands out rewards: a head reads them off what is imagined. `DreamEnv(reward=head.reward,
termination=ender.ends)`; the same go to the simulator by `worlds.give_task`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from recon import View
from recon.networks.weights_file import find_weights, read_weights, write_weights
from render import FormatError

from ..configuration import from_mapping
from ..worlds.rooms.collision import generator


@dataclass(frozen=True)
class HeadConfig:
    """Four convolutions that halve the frame, a grid of what they found, two linear layers."""

    eyes: int = 1
    """1: the left eye. 2: both."""
    width: int = 16
    """Channels of the first convolution."""
    tells: Literal["number", "chance"] = "number"
    """number: fitted by squared error. chance: of a label 0 or 1, fitted by likelihood."""
    steps: int = 300
    """Steps of training."""
    batch: int = 64
    """Frames in each step."""
    rate: float = 2e-3
    """Learning rate, to 0 along a cosine."""
    seed: int = 0
    """Of the first weights and of the batches."""

    def __post_init__(self) -> None:
        if self.eyes not in (1, 2) or self.width % 4 or min(self.width, self.steps, self.batch) < 1:
            raise ValueError(
                f"HeadConfig: expected 1 or 2 eyes, a width that 4 divides, steps and batch of at least 1; got {self}."
            )


class FrameHead(nn.Module):
    """A number, or the chance of a label, for each frame."""

    center: Tensor
    spread: Tensor

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.config = config
        sizes = [3 * config.eyes, config.width, 2 * config.width, 2 * config.width, 4 * config.width]
        layers: list[nn.Module] = []
        for before, after in zip(sizes[:-1], sizes[1:], strict=True):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(4, after), nn.SiLU()]
        self.seen = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(4), nn.Flatten())
        self.told = nn.Sequential(nn.Linear(16 * sizes[-1], 64), nn.SiLU(), nn.Linear(64, 1))
        self.register_buffer("center", torch.zeros(()))
        self.register_buffer("spread", torch.ones(()))

    def raw(self, frames: Float[Tensor, "B H W c"]) -> Float[Tensor, "B"]:
        """In units of the labels' spread; log odds for a chance."""
        return self.told(self.seen(frames.movedim(-1, 1) * 2 - 1))[:, 0]

    def forward(self, frames: Float[Tensor, "B H W c"]) -> Float[Tensor, "B"]:
        """Frames 0…1, the right eye's channels after the left one's, to numbers or chances."""
        if self.config.tells == "chance":
            return self.raw(frames).sigmoid()
        return self.raw(frames) * self.spread + self.center

    @torch.no_grad()
    def of(self, view: View) -> float:
        """The number, or the chance, of what is seen. Raises ValueError where an eye is missing."""
        if self.config.eyes == 2 and view.right is None:
            raise ValueError("FrameHead: expected a view with both eyes, as it was fitted to; got no right one.")
        both = view.image if self.config.eyes == 1 or view.right is None else torch.cat([view.image, view.right], -1)
        return float(self(both[None]))

    def reward(self, before: View, action: Tensor, after: View) -> float:
        """What the head tells of the view after an action."""
        return self.of(after)

    def ends(self, view: View) -> bool:
        """Whether the chance is above a half. Raises ValueError for a head that tells numbers."""
        if self.config.tells != "chance":
            raise ValueError("FrameHead.ends: expected a head that tells a chance; got numbers. Fit tells='chance'.")
        return self.of(view) > 0.5


def fit(
    frames: UInt8[Tensor, "N H W c"], targets: Float[Tensor, "N"], config: HeadConfig | None = None
) -> FrameHead:
    """A head fitted to labelled frames: the same for the same frames, labels and configuration.

    Raises ValueError where frames have other channels than the eyes, or labels are not finite or not of their kind.
    """
    config = config or HeadConfig()
    channels = 3 * config.eyes
    if frames.shape[-1] != channels:
        raise ValueError(f"fit: expected frames of {channels} channels, 3 for each eye; got {frames.shape[-1]}.")
    if not bool(torch.isfinite(targets).all()):
        raise ValueError("fit: expected finite targets; got NaN or infinity. Leave those frames out.")
    if config.tells == "chance" and not bool(((targets == 0) | (targets == 1)).all()):
        raise ValueError("fit: expected targets 0 or 1 for tells='chance'; got others. Use tells='number'.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        head = FrameHead(config)
    if config.tells == "number":
        head.center, head.spread = targets.mean(), targets.std(correction=0).clamp(min=1e-6)
    wanted = (targets - head.center) / head.spread
    optimiser = torch.optim.AdamW(head.parameters(), lr=config.rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.steps)
    for step in range(config.steps):
        chosen = torch.randint(len(frames), (config.batch,), generator=generator(config.seed, step, 31))
        told = head.raw(frames[chosen].float() / 255)
        error = F.mse_loss if config.tells == "number" else F.binary_cross_entropy_with_logits
        optimiser.zero_grad()
        error(told, wanted[chosen]).backward()
        optimiser.step()
        schedule.step()
    return head.eval().requires_grad_(False)


def save_head(head: FrameHead, folder: Path, name: str) -> Path:
    """Writes <name>.safetensors with <name>.json beside it; returns the former."""
    return write_weights(Path(folder), name, head.state_dict(), {"head": asdict(head.config)})


def load_head(path: str | Path) -> FrameHead:
    """A head that save_head wrote, by file or by folder. Raises FileNotFoundError, FormatError."""
    file = read_weights(find_weights(path, Path(path)))
    where = file.path.with_suffix(".json")
    try:
        config = from_mapping(file.content["head"], HeadConfig, where=str(where))
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(where, "the JSON of a head's configuration", str(error), "fit it again") from None
    head = FrameHead(config)
    file.fill(head)
    return head.eval().requires_grad_(False)
