"""A head that foretells touch from vision and action: what the hand will feel next, told from what both eyes see of it.

A model of its own, fitted to recorded episodes; it reads true frames and imagined ones alike. Fed with a dream's frames
it is the dream's sense of touch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from recon.networks.weights_file import find_weights, read_weights, write_weights
from render import FormatError

from ..configuration import from_mapping
from ..worlds.episodes import Episode
from ..worlds.rooms.collision import generator

LATEST = 2  # frames that are looked at: how things move
ACTIONS = 4  # that led here and on, the newest last: a grip tightens over some of them
FORCE = 10.0  # newtons: forces are told in units of it


@dataclass(frozen=True)
class TouchConfig:
    """Where the hand is in each eye's picture, as shares of it (top, left, height, width), and how much is fitted."""

    left: tuple[float, float, float, float] = (0.4375, 0.25, 0.5625, 0.75)
    right: tuple[float, float, float, float] = (0.4375, 0.0, 0.5625, 0.75)
    action_dim: int = 5
    forces: int = 2
    """How many of touch's first numbers are forces that are foretold; its last number is contact."""
    width: int = 16
    steps: int = 600
    batch: int = 64
    rate: float = 2e-3
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("left", "right"):
            top, start, height, width = getattr(self, name)
            if min(top, start) < 0 or min(height, width) <= 0 or max(top + height, start + width) > 1:
                raise ValueError(f"TouchConfig.{name}: expected shares within the picture; got {getattr(self, name)}.")
        if min(self.forces, self.width, self.steps, self.batch, self.action_dim) < 1 or self.width % 4:
            raise ValueError(f"TouchConfig: expected positive sizes and a width that 4 divides; got {self}.")


class TouchHead(nn.Module):
    """Log odds of contact, and forces, of the next frame."""

    center: Tensor
    spread: Tensor

    def __init__(self, config: TouchConfig) -> None:
        super().__init__()
        self.config, w = config, config.width
        sizes, layers = [6 * LATEST, w, 2 * w, 2 * w], []
        for before, after in zip(sizes[:-1], sizes[1:], strict=True):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(4, after), nn.SiLU()]
        self.seen = nn.Sequential(*layers, nn.AdaptiveAvgPool2d((5, 6)), nn.Flatten())
        told = 60 * w + ACTIONS * config.action_dim
        self.told = nn.Sequential(nn.Linear(told, 128), nn.SiLU(), nn.Linear(128, 1 + config.forces))
        self.register_buffer("center", torch.zeros(config.action_dim))
        self.register_buffer("spread", torch.ones(config.action_dim))

    def forward(
        self, hands: Float[Tensor, "B c h w"], actions: Float[Tensor, "B n a"]
    ) -> tuple[Float[Tensor, "B"], Float[Tensor, "B f"]]:
        """Log odds, and forces in units of FORCE."""
        led = ((actions - self.center) / self.spread).flatten(1)
        out = self.told(torch.cat([self.seen(hands * 2 - 1), led], 1))
        return out[:, 0], out[:, 1:]

    @torch.no_grad()
    def foretold(
        self, rgb: Tensor, right: Tensor, actions: Float[Tensor, "T_1 a"]
    ) -> tuple[Float[Tensor, "T_1"], Float[Tensor, "T_1 f"]]:
        """Chance of contact in frames 1 … T - 1 and forces in newtons, each from the frames before it. rgb, right:
        uint8 or 0…1, [T, H, W, 3]; actions[i] leads from frame i to i + 1."""
        hands = hand_pictures(rgb, right, self.config)
        index = _latest(torch.arange(len(actions)))
        odds, forces = self(hands[index].flatten(1, 2).float() / 255, latest_actions(actions))
        return odds.sigmoid(), forces.clamp(min=0) * FORCE


def hand_pictures(rgb: Tensor, right: Tensor, config: TouchConfig) -> UInt8[Tensor, "T 6 h w"]:
    """Where the hand is, in both eyes."""
    cut = []
    for frames, (top, start, high, wide) in ((rgb, config.left), (right, config.right)):
        whole = frames if frames.dtype == torch.uint8 else (frames.clamp(0, 1) * 255).round().to(torch.uint8)
        h, w = whole.shape[1:3]
        rows = slice(round(top * h), round((top + high) * h))
        cut.append(whole[:, rows, round(start * w) : round((start + wide) * w)])
    return torch.cat(cut, -1).movedim(-1, 1)


def latest_actions(actions: Float[Tensor, "T_1 a"]) -> Float[Tensor, "T_1 n a"]:
    """With each action those that led up to it; the first stands for what came before it."""
    index = torch.arange(len(actions))[:, None] + torch.arange(1 - ACTIONS, 1)
    return actions[index.clamp(min=0)]


def fit(episodes: Sequence[Episode], config: TouchConfig | None = None) -> TouchHead:
    """A head fitted to recorded episodes with two eyes and touch: the same for the same episodes and configuration.

    Raises ValueError for episodes without an eye or touch.
    """
    config = config or TouchConfig()
    hands, led, touch = [], [], []
    for episode in episodes:
        if episode.right is None or episode.touch is None:
            raise ValueError("touch.fit: expected episodes with two eyes and touch; got one without; use the arm's")
        pictures = hand_pictures(episode.rgb, episode.right, config)
        hands.append(pictures[_latest(torch.arange(len(episode) - 1))].flatten(1, 2))
        led.append(latest_actions(episode.actions))
        touch.append(episode.touch[1:])
    pictures, actions, felt = torch.cat(hands), torch.cat(led), torch.cat(touch)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        head = TouchHead(config)
    head.center, head.spread = actions[:, -1].mean(0), actions[:, -1].std(0).clamp(min=1e-6)
    optimiser = torch.optim.AdamW(head.parameters(), lr=config.rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.steps)
    for step in range(config.steps):
        chosen = torch.randint(len(felt), (config.batch,), generator=generator(config.seed, step, 37))
        odds, forces = head(pictures[chosen].float() / 255, actions[chosen])
        wanted = felt[chosen]
        loss = F.binary_cross_entropy_with_logits(odds, (wanted[:, -1] > 0.5).float())
        loss = loss + F.mse_loss(forces, wanted[:, : config.forces] / FORCE)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return head.eval().requires_grad_(False)


def save_touch(head: TouchHead, folder: Path, name: str) -> Path:
    """Writes <name>.safetensors with <name>.json beside it; returns the former."""
    return write_weights(Path(folder), name, head.state_dict(), {"touch": asdict(head.config)})


def load_touch(path: str | Path) -> TouchHead:
    """A head that save_touch wrote, by file or by folder. Raises FileNotFoundError, FormatError."""
    file = read_weights(find_weights(path, Path(path)))
    where = file.path.with_suffix(".json")
    try:
        config = from_mapping(file.content["touch"], TouchConfig, where=str(where))
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(where, "the JSON of a touch head's configuration", str(error), "fit it again") from None
    head = TouchHead(config)
    file.fill(head)
    return head.eval().requires_grad_(False)


def _latest(frames: Tensor) -> Tensor:
    return (frames[:, None] + torch.arange(1 - LATEST, 1)).clamp(min=0)
