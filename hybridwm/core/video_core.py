"""The core as the loop uses it: a rolling context of cached pages, and one imagined frame at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from render import Camera

from .conditioning import Recalled, recall_tensor
from .config import CoreConfig
from .embeddings import relative_rays
from .flow import mix
from .sampler import CONTEXT, euler, noise
from .transformer import Conditions, Page, VideoTransformer


@dataclass(frozen=True)
class Context:
    """The recent past as a value: cached pages (oldest first), the newest camera, how many frames came before."""

    pages: tuple[Page, ...]
    camera: Camera
    steps: int
    seed: int


class VideoCore(nn.Module):
    """Imagines the next frame from a context, an action, the camera it leads to and what memory recalls from there."""

    def __init__(self, config: CoreConfig) -> None:
        super().__init__()
        self.config = config
        self.transformer = VideoTransformer(config)

    def begin(self, camera: Camera, seed: int) -> Context:
        """An empty context: the next frame will be step 0."""
        return Context((), camera, 0, seed)

    @torch.no_grad()
    def imagine(
        self,
        context: Context,
        recalled: Recalled,
        camera: Camera,
        action: Float[Tensor, "a"],
        *,
        solver_steps: int = 1,
    ) -> Float[Tensor, "C H W"]:
        """The next frame, -1…1. Equal seeds and steps start from equal noise in every arm."""
        cfg = self.config
        shape = (1, 1, cfg.channels, cfg.height, cfg.width)
        start = noise(context.seed, context.steps, 0, shape).to(action.device)
        told = self._conditions(context, camera, action, recalled)

        def denoise(noisy: Tensor, t: Tensor) -> Tensor:
            return self.transformer(noisy, replace(told, t=t), pages=context.pages)[0]

        return euler(denoise, start, solver_steps)[0, 0]

    @torch.no_grad()
    def remember(
        self,
        context: Context,
        frame: Float[Tensor, "C H W"],
        camera: Camera,
        action: Float[Tensor, "a"],
        *,
        window: int | None = None,
    ) -> Context:
        """The context after a frame: its page is written once, at the context noise level, and the oldest goes.

        Pages hold no recalled render, so they depend on frames, actions and cameras alone, whatever the memory.
        """
        cfg = self.config
        fixed = noise(context.seed, context.steps, CONTEXT, (1, 1, *frame.shape)).to(frame.device)
        t = frame.new_full((1, 1), cfg.context_noise)
        told = replace(self._conditions(context, camera, action, Recalled()), t=t)
        _, written = self.transformer(mix(frame[None, None], fixed, t), told, pages=context.pages)
        page = self.transformer.write_page(written, context.steps)
        window = cfg.window if window is None else window
        pages = (*context.pages, page)[-window:] if window else ()
        return Context(pages, camera, context.steps + 1, context.seed)

    def _conditions(
        self, context: Context, camera: Camera, action: Float[Tensor, "a"], recalled: Recalled
    ) -> Conditions:
        cfg = self.config
        rays = relative_rays(
            camera.K, camera.w2c, context.camera.w2c, patch=cfg.patch, width=cfg.width, height=cfg.height
        )
        recall = recall_tensor(recalled, cfg.eyes, cfg.height, cfg.width)
        known = recall is not None
        if recall is None:
            recall = action.new_zeros(cfg.recall_channels, cfg.height, cfg.width)
        device = action.device
        return Conditions(
            t=torch.ones(1, 1, device=device),
            steps=torch.full((1, 1), context.steps, device=device),
            actions=action[None, None],
            rays=rays[None, None],
            recall=recall[None, None],
            has_recall=torch.full((1, 1), known, device=device),
        )
