"""The core as the loop uses it: a rolling context of cached pages, and one imagined frame at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from render import Camera

from .batch import imagine_batch, remember_batch
from .clip import Conditions, Page
from .codec import Codec, codec_for, encode_eyes, encode_recall, frame_intrinsics
from .conditioning import Recalled, recall_tensor, remembered_tokens
from .config import CoreConfig
from .embeddings import eye_motion
from .guidance import History, HistoryGuidance
from .joint import sample_jointly
from .network import VideoNetwork
from .sampler import level_of


@dataclass(frozen=True)
class Context:
    """The recent past as a value: cached pages (oldest first), the newest camera, how many frames came before.

    baseline: metres between the eyes of a binocular core. noisier: pages of the same frames at other flow times, for
    guidance that asks for them.
    """

    pages: tuple[Page, ...]
    camera: Camera
    steps: int
    seed: int
    baseline: float = 0.0
    noisier: tuple[tuple[float, tuple[Page, ...]], ...] = ()

    def seen_by(self, history: History) -> tuple[Page, ...]:
        """The pages of one history. Raises ValueError where they were not written at its noise."""
        pages = self.pages if history.noise is None else dict(self.noisier).get(history.noise)
        if pages is None:
            raise ValueError(
                f"imagine: expected a context that was remembered at noise {history.noise}; got "
                f"{[noise for noise, _ in self.noisier] or 'its own only'}. Pass the same guidance to remember."
            )
        return pages if history.frames is None else pages[-history.frames :]


class VideoCore(nn.Module):
    """Imagines the next frame from a context, an action, the camera it leads to and what memory recalls from there."""

    def __init__(self, config: CoreConfig, codec: Codec | None = None) -> None:
        super().__init__()
        self.config = config
        self.codec = codec or codec_for(config)
        self.network = VideoNetwork(config)

    def begin(self, camera: Camera, seed: int, *, baseline: float | None = None) -> Context:
        """An empty context: the next frame will be step 0. Raises ValueError for two eyes without a baseline."""
        if self.config.eyes == 2 and not baseline:
            raise ValueError(f"begin: expected a baseline in metres for two eyes; got {baseline}.")
        return Context((), camera, 0, seed, baseline or 0.0)

    @torch.no_grad()
    def imagine(
        self,
        context: Context,
        recalled: Recalled,
        camera: Camera,
        action: Float[Tensor, "a"],
        *,
        solver_steps: int = 1,
        shortcut: bool = True,
        guidance: HistoryGuidance | None = None,
    ) -> Float[Tensor, "C H W"]:
        """The next frame, -1…1, as `imagine_all` has it, without what comes with it."""
        frame, _ = self.imagine_all(
            context, recalled, camera, action, solver_steps=solver_steps, shortcut=shortcut, guidance=guidance
        )
        return frame

    @torch.no_grad()
    def imagine_all(
        self,
        context: Context,
        recalled: Recalled,
        camera: Camera,
        action: Float[Tensor, "a"],
        *,
        solver_steps: int = 1,
        shortcut: bool = True,
        guidance: HistoryGuidance | None = None,
    ) -> tuple[Float[Tensor, "C H W"], dict[str, Tensor]]:
        """The next frame, -1…1, and its vectors by name. Equal seeds and steps start from equal noise in every arm.

        shortcut: take steps of the size that was trained for (where solver_steps is 1, 2, 4, …); without, the flow's
        own velocity: one step then gives the average of all frames that may come. guidance: needs a context that was
        remembered with it.
        """
        (imagined,) = imagine_batch(
            self,
            [context],
            [recalled],
            [camera],
            [action],
            solver_steps=solver_steps,
            shortcut=shortcut,
            guidance=guidance,
        )
        return imagined

    @torch.no_grad()
    def remember(
        self,
        context: Context,
        frame: Float[Tensor, "C H W"],
        camera: Camera,
        action: Float[Tensor, "a"],
        *,
        vectors: Mapping[str, Tensor] | None = None,
        window: int | None = None,
        context_noise: float | None = None,
        guidance: HistoryGuidance | None = None,
    ) -> Context:
        """The context after a frame: its page is written once, at the context noise level, and the oldest goes.

        Pages hold no recalled render, so they depend on frames, actions and cameras alone, whatever the memory.
        vectors: what came with the frame, of a core that has any. context_noise: the flow time at which the frame is
        shown; training has seen all of them, small ones most.
        """
        (after,) = remember_batch(
            self,
            [context],
            [frame],
            [camera],
            [action],
            vectors=[vectors],
            window=window,
            context_noise=context_noise,
            guidance=guidance,
        )
        return after

    @torch.no_grad()
    def sample(
        self,
        context: Context,
        recalled: Sequence[Recalled],
        cameras: Sequence[Camera],
        actions: Float[Tensor, "F a"],
        *,
        schedule: str = "autoregressive",
        solver_steps: int = 1,
        shortcut: bool = True,
    ) -> Float[Tensor, "F C H W"]:
        """F frames after the context, -1…1 in 256 levels, by one of the schedules of diffusion forcing.

        recalled: what memory knows from each camera now. Vectors are imagined with the frames, and left out.
        Raises ValueError for remembered frames, which differ from frame to frame.
        """
        if not len(cameras) == len(actions) == len(recalled):
            raise ValueError(
                "sample: expected as many recalled as cameras and actions; got "
                f"{len(recalled)}, {len(cameras)} and {len(actions)}."
            )
        level = level_of(solver_steps, self.config.levels) if shortcut else self.config.levels - 1
        told = []
        for i, (camera, action) in enumerate(zip(cameras, actions, strict=True)):
            told.append(self.conditions(context, camera, action, recalled[i], level=level))
            context = replace(context, camera=camera, steps=context.steps + 1)
        begun = replace(context, steps=context.steps - len(told))
        return sample_jointly(self.network, begun.pages, told, begun.seed, begun.steps, schedule, solver_steps)

    def conditions(
        self,
        context: Context,
        camera: Camera,
        action: Float[Tensor, "a"],
        recalled: Recalled,
        *,
        level: int,
    ) -> Conditions:
        """What the network is told of the frame after a context, at flow time 1."""
        cfg = self.config
        recall = recall_tensor(recalled, cfg.eyes, *cfg.image_size, depth=cfg.rgbd)
        known = recall is not None
        if recall is None:
            recall = action.new_zeros(cfg.recall_channels, cfg.height, cfg.width)
        else:
            recall = encode_recall(self.codec, recall, cfg.eyes)
        device, encode = action.device, partial(encode_eyes, self.codec)
        remembered = remembered_tokens(recalled.frames, camera, cfg, encode) if recalled.frames else None
        return Conditions(
            t=torch.ones(1, 1, device=device),
            level=torch.full((1, 1), level, device=device),
            steps=torch.full((1, 1), context.steps, device=device),
            actions=action[None, None],
            K=frame_intrinsics(camera.K, cfg.factor)[None, None],
            motion=eye_motion(context.camera.w2c, camera.w2c, cfg.eyes, context.baseline)[None, None],
            recall=recall[None, None],
            has_recall=torch.full((1, 1), known, device=device),
            remembered=remembered,
        )
