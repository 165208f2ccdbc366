"""Several frames denoised together: each is seen by the later ones at the noise that it has at the moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import torch
from jaxtyping import Float
from torch import Tensor

from .clip import Conditions, Page, Sight
from .codec import settled
from .flow import mix
from .network import VideoNetwork
from .sampler import step_down
from .schedules import schedule_times
from .vectors import pack, starting_noise, unpack


def sample_jointly(
    network: VideoNetwork,
    pages: tuple[Page, ...],
    told: Sequence[Conditions],
    seed: int,
    first_step: int,
    schedule: str,
    solver_steps: int,
) -> Float[Tensor, "F C H W"]:
    """Frames first_step, first_step + 1, … after the pages, -1…1 in 256 levels (latents: as they are).

    As in training, each frame is there twice: as a target, and as a copy without recall for later frames to look at.
    A copy of a finished frame is shown at the context noise, as pages are.
    """
    cfg, device = network.config, told[0].t.device
    count = len(told)
    # frames with their vectors, packed
    x = torch.cat([starting_noise(seed, first_step + i, cfg) for i in range(count)], 1).to(device)
    fixed = torch.cat([starting_noise(seed, first_step + i, cfg, context=True) for i in range(count)], 1).to(device)
    whole = Conditions.joined(told)
    times = schedule_times(schedule, count, solver_steps).to(device)
    for now, after in zip(times[:-1], times[1:], strict=True):
        active = (now != after).nonzero()[:, 0]
        first, last = int(active[0]), int(active[-1])
        done = now[None, :last] == 0
        t_copy = torch.where(done, cfg.context_noise, now[None, :last])
        copies = torch.where(done[..., None, None, None], mix(x[:, :last], fixed[:, :last], t_copy), x[:, :last])
        targets = slice(first, last + 1)
        t = now[None, targets]
        both = _copies_and_targets(whole, last, targets, t_copy, t, cfg.levels - 1)
        sight = _sight(len(pages), first, last, cfg.window, device)
        frames, vectors = unpack(torch.cat([copies, x[:, targets]], 1), cfg.shape)
        clean = network(frames, both, sight, pages, first=last, vectors=vectors)
        stepped = step_down(x[:, targets], pack(clean.frames, clean.vectors), t, after[None, targets])
        # pages are written from settled frames, so copies of finished frames are too
        finished = (after[None, targets] == 0)[..., None, None, None]
        frames, vectors = unpack(stepped, cfg.shape)
        stepped = torch.where(finished, pack(settled(frames, cfg), vectors), stepped)
        x = torch.cat([x[:, :first], stepped, x[:, last + 1 :]], 1)
    return unpack(x, cfg.shape)[0][0]


def _copies_and_targets(
    whole: Conditions, copies: int, targets: slice, t_copy: Tensor, t: Tensor, context_level: int
) -> Conditions:
    """Conditions of the copies (nothing recalled, the level of context frames), then of the targets."""
    parts = {}
    for field in fields(Conditions):
        value = getattr(whole, field.name)
        if field.name == "remembered":
            continue
        shown = value[:, :copies]
        if field.name in ("recall", "has_recall"):
            shown = torch.zeros_like(shown)
        elif field.name == "level":
            shown = torch.full_like(shown, context_level)
        parts[field.name] = torch.cat([shown, value[:, targets]], 1)
    parts["t"] = torch.cat([t_copy, t], 1)
    return Conditions(**parts)


def _sight(pages: int, first: int, last: int, window: int, device: torch.device) -> Sight:
    """Copies see pages and copies before them; a target sees those before it, and itself."""
    back = torch.arange(-window, 1, device=device)
    copies = pages + torch.arange(last, device=device)[:, None] + back
    frames = torch.arange(first, last + 1, device=device)
    targets = pages + frames[:, None] + back
    visible = torch.cat([copies, targets]) >= 0
    copies, targets = copies.clamp(min=0), targets.clamp(min=0)
    targets[:, -1] = pages + last + frames - first
    return Sight(torch.cat([copies, targets]), visible[None])
