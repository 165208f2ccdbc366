"""What one pass of the network reads: frames with their conditions, which of them see which, and cached pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Page:
    """One past frame as later ones see it: keys and values, written once, shared by forks, and the frame as shown.

    keys, values: [L, B, heads, n, head_dim], L temporal layers; where eyes have their own tokens, the left
    eye's first. frame: the noisy frame that the page was written from; t: its flow time. step: its place in time.
    """

    keys: Float[Tensor, "L B h n d"]
    values: Float[Tensor, "L B h n d"]
    frame: Float[Tensor, "B C H W"]
    t: float
    step: int


@dataclass(frozen=True)
class Sight:
    """For each frame of a clip, which frames it may look at, itself last and the frame before it second to last.

    frames: [F, S] indices into (pages, then the clip). visible: [B, F, S] false where an entry is not to be used;
    None: all are.
    """

    frames: Int[Tensor, "F S"]
    visible: Bool[Tensor, "B F S"] | None = None

    @staticmethod
    def causal(batch: int, pages: int, length: int, window: int, device: torch.device | None = None) -> Sight:
        """Each frame sees itself and the `window` frames before it, pages among them."""
        window = min(window, pages + length - 1)
        last = torch.arange(pages, pages + length, device=device)
        index = last[:, None] + torch.arange(-window, 1, device=device)
        if pages >= window:
            return Sight(index)
        return Sight(index.clamp(min=0), (index >= 0).expand(batch, -1, -1))

    def has_previous(self, batch: int) -> Bool[Tensor, "B F"]:
        """Whether each frame sees the one before it."""
        if self.frames.shape[1] == 1:
            return torch.zeros(batch, len(self.frames), dtype=torch.bool, device=self.frames.device)
        if self.visible is None:
            return torch.ones(batch, len(self.frames), dtype=torch.bool, device=self.frames.device)
        return self.visible[:, :, -2]


@dataclass(frozen=True)
class RememberedTokens:
    """Patches of remembered frames, for the last G frames of the clip: their rays in each one's camera axes, and which
    of them may be looked at."""

    patches: Float[Tensor, "B m p"]
    rays: Float[Tensor, "B G m 6"]
    visible: Bool[Tensor, "B m"]


@dataclass(frozen=True)
class Conditions:
    """What each frame of a clip is told. Dropped conditions are zeros with `has_recall` false.

    t: flow time of each frame. level: how far one solver step leads, 2 ** -level of the way (the last level: an
    infinitesimal one). steps: place in time. actions: the action that led to the frame. K: intrinsics of each eye.
    motion: previous_from_current of each eye, metres. recall: the scene rendered from the frame's camera, as (rgb
    for each eye in -1…1, alpha for each eye, observed share for each eye).
    """

    t: Float[Tensor, "B F"]
    level: Int[Tensor, "B F"]
    steps: Int[Tensor, "B F"]
    actions: Float[Tensor, "B F a"]
    K: Float[Tensor, "B F 3 3"]
    motion: Float[Tensor, "B F E 4 4"]
    recall: Float[Tensor, "B F r H W"]
    has_recall: Bool[Tensor, "B F"]
    remembered: RememberedTokens | None = None

    @staticmethod
    def joined(parts: Sequence[Conditions]) -> Conditions:
        """Clips one after another in time. Raises ValueError for remembered frames, which differ from part to part."""
        if any(part.remembered is not None for part in parts):
            raise ValueError(
                "Conditions.joined: expected memories of renders or none; got remembered frames, which differ from "
                "frame to frame. Imagine step by step."
            )
        names = [field.name for field in fields(Conditions) if field.name != "remembered"]
        joined = {name: torch.cat([getattr(part, name) for part in parts], 1) for name in names}
        return Conditions(**joined, remembered=None)
