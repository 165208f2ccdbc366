"""One training batch, a function of (seed, step, unit) alone: clips, their noise, their recalled renders."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..core import flow
from ..core.clip import Conditions, RememberedTokens, Sight
from ..core.codec import encode_recall, frame_intrinsics
from ..core.embeddings import eye_motion
from .config import TrainConfig
from .episodes import Episodes
from .recall import Sources, corrupt, splat
from .remembering import remembered_tokens
from .rig import Rig
from .scene_renders import SceneRenders
from .vectors import ClipVectors


@dataclass(frozen=True)
class Batch:
    """Clips as the network reads them: F context frames (nearly clean), then the same F frames as noisy targets.

    shortcut: the clips that learn steps of a given size, from the network's own smaller ones.
    """

    noisy: Float[Tensor, "B G C H W"]
    noise: Float[Tensor, "B G C H W"]
    conditions: Conditions
    sight: Sight
    clean: Float[Tensor, "B F C H W"]
    shortcut: Bool[Tensor, "B"]
    vectors: ClipVectors | None = None

    @property
    def t(self) -> Float[Tensor, "B F"]:
        """Flow times of the targets."""
        return self.conditions.t[:, self.clean.shape[1] :]

    def take(self, clips: Tensor) -> Batch:
        """Some of the clips."""
        told = self.conditions
        fields = {k: v[clips] for k, v in vars(told).items() if k != "remembered"}
        remembered = told.remembered
        if remembered is not None:
            remembered = RememberedTokens(**{k: v[clips] for k, v in vars(remembered).items()})
        assert self.sight.visible is not None
        return Batch(
            self.noisy[clips],
            self.noise[clips],
            Conditions(**fields, remembered=remembered),
            Sight(self.sight.frames, self.sight.visible[clips]),
            self.clean[clips],
            self.shortcut[clips],
            None if self.vectors is None else self.vectors.take(clips),
        )

    def showing(self, frames: Float[Tensor, "B F C H W"], vectors: Float[Tensor, "B F v"] | None = None) -> Batch:
        """With other frames (and vectors) as context, at the same noise."""
        f = self.clean.shape[1]
        context = flow.mix(frames, self.noise[:, :f], self.conditions.t[:, :f])
        beside = self.vectors
        if beside is not None and vectors is not None:
            beside = beside.showing(vectors, self.conditions.t[:, :f])
        return replace(self, noisy=torch.cat([context, self.noisy[:, f:]], 1), vectors=beside)


def step_generator(seed: int, step: int, device: torch.device, unit: int = 0) -> torch.Generator:
    """Random numbers for one unit (fewer than 7919) of a step: resuming at a step needs nothing but its number."""
    return torch.Generator(device).manual_seed((seed * 1_000_003 + step) * 7919 + 17 + unit)


def pick(walks: int, config: TrainConfig, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Episode and frame indices of each clip, [B] and [B, F]; a clip never straddles two walks."""
    device = generator.device
    walk = torch.randint(walks, (config.batch,), generator=generator, device=device)
    latest = config.episodes.steps - config.clip
    start = torch.randint(1, latest + 1, (config.batch,), generator=generator, device=device)
    return walk, start[:, None] + torch.arange(config.clip, device=device)


def recalled(
    episodes: Episodes,
    walk: Tensor,
    frames: Tensor,
    config: TrainConfig,
    rig: Rig,
    generator: torch.Generator,
) -> Float[Tensor, "B F r H W"]:
    """What a scene made from some past frames and the clip's own earlier frames shows from each frame's cameras."""
    device = generator.device
    b, f = frames.shape
    n = config.recall.sources

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device)

    # some of the past, the newest frame before the clip nearly always among it
    past = (uniform(b, n) * frames[:, :1]).long()
    past[:, 0] = frames[:, 0] - 1
    in_use = torch.arange(n, device=device) < (uniform(b, 1) * (n + 1)).long()
    in_use[:, 0] = uniform(b) < 0.8
    index = torch.cat([past, frames[:, :-1]], 1)
    own = torch.arange(f - 1, device=device) < torch.arange(f, device=device)[:, None]
    known = torch.cat([in_use[:, None].expand(-1, f, -1), own.expand(b, -1, -1)], 2)
    observed = torch.cat(
        [
            (uniform(b, n) > 0.2 * (uniform(b, 1) < 0.5)).float(),
            (uniform(b, 1) > config.recall.imagined).float().expand(-1, f - 1),
        ],
        1,
    )
    sources = Sources(
        episodes.rgb[walk[:, None], index, 0].float() / 255,
        episodes.depth[walk[:, None], index].float(),
        observed,
        episodes.w2c[walk[:, None], index],
    )
    sources = corrupt(sources, config.recall, rig.focal * rig.baseline, generator)
    eyes = rig.stereo(episodes.w2c[walk[:, None], frames])[:, :, : config.core.eyes]
    renders = splat(sources, known, eyes.K[0, 0, 0], eyes.w2c, depth=config.core.rgbd)
    return renders if episodes.latents is None else encode_recall(episodes.latents.codec, renders, config.core.eyes)


def sights(batch: int, length: int, window: Tensor, longest: int, device: torch.device) -> Sight:
    """Context frames look at context frames; a target looks at the context before it and at itself.

    window: [B], how many past frames each clip may look at.
    """
    offsets = torch.arange(-longest, 1, device=device)
    index = torch.arange(length, device=device)[:, None] + offsets
    visible = (index >= 0) & (offsets >= -window[:, None, None])
    index = index.clamp(min=0)
    target = index.clone()
    target[:, -1] += length
    return Sight(torch.cat([index, target]), torch.cat([visible, visible], 1).expand(batch, -1, -1))


def make_batch(
    episodes: Episodes,
    config: TrainConfig,
    rig: Rig,
    generator: torch.Generator,
    *,
    at_use: bool = False,
    remembering: bool = False,
    renders: SceneRenders | None = None,
) -> Batch:
    """Draws a batch. at_use: context at the noise of use, targets at pure noise (validation). remembering: shows
    remembered frames. renders: of the scene of each walk, for a share of the clips."""
    device, core = generator.device, config.core
    walk, frames = pick(len(episodes), config, generator)
    b, f = frames.shape
    rendered = torch.zeros(b, dtype=torch.bool, device=device)
    if renders is not None:
        rendered = torch.rand(b, generator=generator, device=device) < config.recall.rendered
        its_own = renders.start[walk][:, None] + torch.arange(f, device=device)
        frames = torch.where(rendered[:, None], its_own, frames)
    clean = episodes.video(walk, frames, core)
    w2c = episodes.w2c[walk[:, None], frames]
    before = episodes.w2c[walk[:, None], frames - 1]
    motion = eye_motion(before, w2c, core.eyes, rig.baseline)
    actions = episodes.actions[walk[:, None], frames]

    if config.shuffle_actions:
        # from another clip: within one, neighbouring actions are too alike to be wrong
        order = torch.randperm(f, generator=generator, device=device)
        actions, motion = actions.roll(1, 0)[:, order], motion.roll(1, 0)[:, order]

    has_recall = torch.rand(b, generator=generator, device=device) >= config.recall.drop
    recall = clean.new_zeros(b, f, core.recall_channels, core.height, core.width)
    some, others = (has_recall & ~rendered).nonzero()[:, 0], (has_recall & rendered).nonzero()[:, 0]
    if len(some):
        recall[some] = recalled(episodes, walk[some], frames[some], config, rig, generator)
    if renders is not None and len(others):
        known = renders.recall[walk[others]].float()
        if episodes.latents is not None:
            known = encode_recall(episodes.latents.codec, known, core.eyes)
        recall[others] = known

    drop = torch.rand(b, generator=generator, device=device)
    window = torch.full((b,), core.window, device=device)
    window[drop < config.context_drop] = 1
    window[drop < config.context_drop / 3] = 0

    t_target = flow.target_times((b, f), generator)
    if config.context == "shared":
        t_target = t_target[:, :1].expand(b, f)
    t_context = _context_times(config, t_target, generator)
    shortcut = torch.rand(b, generator=generator, device=device) < config.shortcut
    t_short, level = flow.shortcut_times((b, f), core.levels, generator)
    t_target = torch.where(shortcut[:, None], t_short, t_target)
    level = torch.where(shortcut[:, None], level, core.levels - 1)
    if at_use:
        t_context, t_target = torch.full_like(t_context, core.context_noise), torch.ones_like(t_target)
    noise = torch.randn((b, 2 * f, *clean.shape[2:]), generator=generator, device=device)
    times = torch.cat([t_context, t_target], 1)
    twice = torch.cat([clean, clean], 1)
    told = episodes.vectors(walk, frames, core)
    remembered = None
    if remembering:
        remembered = remembered_tokens(episodes, walk, frames, core, rig, generator)
    return Batch(
        noisy=flow.mix(twice, noise, times),
        noise=noise,
        conditions=Conditions(
            t=times,
            level=torch.cat([torch.full_like(level, core.levels - 1), level], 1),
            steps=torch.arange(f, device=device).repeat(2).expand(b, -1),
            actions=torch.cat([actions, actions], 1),
            K=frame_intrinsics(rig.camera(w2c).K, core.factor).repeat(1, 2, 1, 1),
            motion=torch.cat([motion, motion], 1),
            # pages hold no recalled render, so context frames are shown none
            recall=torch.cat([torch.zeros_like(recall), recall], 1),
            has_recall=_targets_only(has_recall, f),
            remembered=remembered,
        ),
        sight=sights(b, f, window, core.window, device),
        clean=clean,
        shortcut=shortcut,
        vectors=None if told is None else ClipVectors.noised(told, times, generator),
    )


def _context_times(
    config: TrainConfig, t_target: Float[Tensor, "B F"], generator: torch.Generator
) -> Float[Tensor, "B F"]:
    shape = (t_target.shape[0], t_target.shape[1])
    if config.context == "clean":
        return torch.zeros_like(t_target)
    if config.context == "dropped":
        return flow.dropped_times(shape, generator)
    if config.context == "shared":
        return t_target
    return flow.context_times(shape, generator)


def _targets_only(has_recall: Bool[Tensor, "B"], length: int) -> Bool[Tensor, "B G"]:
    told = has_recall[:, None].expand(-1, length)
    return torch.cat([torch.zeros_like(told), told], 1)
