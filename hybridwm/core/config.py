"""The size and shape of the video core. Torch-free, so that commands can read it without loading torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class CoreConfig:
    """A block-causal video network: DiT blocks (adaLN-zero; Peebles & Xie 2023) between pixels and pixels."""

    height: int = 64
    """Frame height in pixels; a multiple of `patch`."""
    width: int = 64
    """Frame width in pixels; a multiple of `patch`."""
    eyes: int = 2
    """1: rgb. 2: binocular rgb, both eyes generated together."""
    eye_channels: int = 3
    """Channels of each eye's frame: 3 for rgb, 4 for rgb-d."""
    cross_eye: Literal["channels", "rows"] = "channels"
    """How two eyes are brought together. channels: a token carries the patch of both. rows: each eye has its own
    tokens, and those of one row of both eyes look at each other in every block; twice the tokens."""
    factor: int = 1
    """Image pixels along each side of a frame's pixel: 1 for pixels; for latents what their codec makes smaller."""
    patch: int = 8
    """Side of a square patch in pixels; one token carries the patch of every eye."""
    dim: int = 192
    """Token width."""
    depth: int = 6
    """Number of blocks; every second one also looks at past frames."""
    heads: int = 6
    """Attention heads; `dim / heads` must be a multiple of 8 (rotary pairs over time, y, x)."""
    mlp_ratio: int = 4
    """Hidden width of the feed-forward layers over `dim`."""
    finish: int = 0
    """Channels of the convolutions over pixels that end the head, at half of the resolution; 0 leaves them out, as the
    packaged weights do."""
    window: int = 4
    """Past frames that a frame may look at."""
    levels: int = 6
    """Step sizes of the sampler that are learned: 1, 1/2, 1/4, … of the way from noise to data; the last is the
    infinitesimal one (Frans et al. 2024)."""
    action_dim: int = 4
    """Length of the action vector: forward m, right m, yaw rad, pitch rad."""
    vectors: tuple[tuple[str, int], ...] = ()
    """(name, size) of each vector that comes with a frame (proprioception, touch): a token of its own, imagined with
    the frame and remembered with it. Values of about -1…1."""
    context_noise: float = 0.02
    """Flow time at which past frames are shown (against drift; GameNGen, Valevski et al. 2024)."""

    def __post_init__(self) -> None:
        if self.height % self.patch or self.width % self.patch:
            raise ValueError(
                f"CoreConfig: expected height and width that patch={self.patch} divides; "
                f"got {self.height}x{self.width}. Change patch or the frame size."
            )
        if self.factor < 1:
            raise ValueError(f"CoreConfig.factor: expected 1 (pixels) or more (latents); got {self.factor}.")
        if self.eyes not in (1, 2):
            raise ValueError(f"CoreConfig.eyes: expected 1 (rgb) or 2 (binocular); got {self.eyes}.")
        if self.cross_eye == "rows" and self.eyes != 2:
            raise ValueError("CoreConfig.cross_eye: expected 'channels' for one eye; got 'rows'. Set eyes to 2.")
        names = [name for name, _ in self.vectors]
        if len(set(names)) < len(names) or any(size < 1 for _, size in self.vectors):
            raise ValueError(
                f"CoreConfig.vectors: expected different names with sizes of at least 1; got {self.vectors}."
            )
        if self.dim % self.heads or (self.dim // self.heads) % 8:
            raise ValueError(f"CoreConfig: expected dim / heads to be a multiple of 8; got {self.dim} / {self.heads}.")

    @property
    def rgbd(self) -> bool:
        """Whether a frame carries depth beside its colours."""
        return self.eye_channels == 4 and self.factor == 1

    @property
    def channels(self) -> int:
        """Channels of a video frame, of all eyes."""
        return self.eye_channels * self.eyes

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of a video frame."""
        return self.channels, self.height, self.width

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images that frames stand for, in pixels."""
        return self.height * self.factor, self.width * self.factor

    @property
    def recall_channels(self) -> int:
        """Channels of a recalled render: a frame's, and for each eye alpha and the observed share."""
        return (self.eye_channels + 2) * self.eyes

    @property
    def folds(self) -> int:
        """Sets of tokens of one frame: one for each eye, or one for all."""
        return self.eyes if self.cross_eye == "rows" else 1

    @property
    def vector_size(self) -> int:
        """Numbers of all vectors of a frame."""
        return sum(size for _, size in self.vectors)

    @property
    def patches(self) -> int:
        """Patches of one frame."""
        return (self.height // self.patch) * (self.width // self.patch)

    @property
    def tokens(self) -> int:
        """Tokens of one frame (with cross_eye "rows", of an eye): the action's, each vector's, and the patches."""
        return 1 + len(self.vectors) + self.patches
