"""What a frame is told beside its image (proprioception, touch): vectors, one token each.

They are noised at the frame's own flow time, denoised with it and remembered in its page. Values are expected to be
about -1…1, as pixels are.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .config import CoreConfig
from .sampler import CONTEXT, noise

BESIDE = -2
"""The solver step that stands for the noise that a frame's vectors begin with; BESIDE + CONTEXT: as context."""


class VectorTokens(nn.Module):
    """Vectors to tokens, and tokens to clean vectors."""

    def __init__(self, config: CoreConfig) -> None:
        super().__init__()
        self.sizes = [size for _, size in config.vectors]
        self.embed = nn.ModuleList(nn.Linear(size, config.dim) for size in self.sizes)
        self.head = nn.ModuleList(nn.Linear(config.dim, size) for size in self.sizes)
        for layer in self.head.children():
            assert isinstance(layer, nn.Linear)
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def embedded(self, vectors: Float[Tensor, "B F v"]) -> Float[Tensor, "B F V d"]:
        parts = vectors.split(self.sizes, -1)
        return torch.stack([layer(part) for layer, part in zip(self.embed, parts, strict=True)], 2)

    def told(self, tokens: Float[Tensor, "B F V d"]) -> Float[Tensor, "B F v"]:
        return torch.cat([layer(token) for layer, token in zip(self.head, tokens.unbind(2), strict=True)], -1)


def pack(frames: Float[Tensor, "B F C H W"], vectors: Float[Tensor, "B F v"] | None) -> Float[Tensor, "B F c h w"]:
    """Frames and their vectors as one tensor, for steps that treat every number alike; frames alone as they are."""
    if vectors is None:
        return frames
    return torch.cat([frames.flatten(2), vectors], 2)[..., None, None]


def unpack(
    packed: Float[Tensor, "B F c h w"], shape: tuple[int, ...]
) -> tuple[Float[Tensor, "B F C H W"], Float[Tensor, "B F v"] | None]:
    """Inverse of `pack`, for frames of this shape [C, H, W]."""
    if tuple(packed.shape[2:]) == tuple(shape):
        return packed, None
    numbers = packed.flatten(2)
    pixels = torch.Size(shape).numel()
    return numbers[..., :pixels].unflatten(2, shape), numbers[..., pixels:]


def starting_noise(seed: int, step: int, config: CoreConfig, *, context: bool = False) -> Float[Tensor, "1 1 c h w"]:
    """Noise of one frame and its vectors, packed; a frame's is the same whatever vectors there are."""
    solver_step = CONTEXT if context else 0
    frame = noise(seed, step, solver_step, (1, 1, *config.shape))
    if not config.vectors:
        return frame
    return pack(frame, noise(seed, step, BESIDE + solver_step, (1, 1, config.vector_size)))


def from_names(given: Mapping[str, Tensor] | None, config: CoreConfig) -> Float[Tensor, "1 1 v"] | None:
    """Named vectors in the configuration's order; None for a core without any.

    Raises ValueError where names or sizes are not the configuration's.
    """
    found = {name: tuple(vector.shape) for name, vector in (given or {}).items()}
    expected = {name: (size,) for name, size in config.vectors}
    if found != expected:
        raise ValueError(f"vectors: expected {expected or 'none'}, as CoreConfig.vectors says; got {found or 'none'}.")
    if given is None or not expected:
        return None
    return torch.cat([given[name] for name in expected])[None, None]


def by_name(vectors: Float[Tensor, "v"] | None, config: CoreConfig) -> dict[str, Tensor]:
    """Inverse of `from_names`."""
    if vectors is None:
        return {}
    names = [name for name, _ in config.vectors]
    return dict(zip(names, vectors.split([size for _, size in config.vectors]), strict=True))
