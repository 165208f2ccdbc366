"""Several contexts through the network at once. Each stays a value of its own: pages are joined for a call and parted
after it, so that dreams which step together can be forked, kept and gone back to one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from render import Camera

from .clip import Conditions, Page, RememberedTokens
from .conditioning import Recalled
from .flow import mix
from .guidance import HistoryGuidance
from .sampler import euler, level_of
from .vectors import by_name, from_names, pack, starting_noise, unpack

if TYPE_CHECKING:
    from .video_core import Context, VideoCore

Imagined = tuple[Float[Tensor, "C H W"], dict[str, Tensor]]
"""A frame, -1…1, and what comes with it by name."""


@torch.no_grad()
def imagine_batch(
    core: VideoCore,
    contexts: Sequence[Context],
    recalled: Sequence[Recalled],
    cameras: Sequence[Camera],
    actions: Sequence[Float[Tensor, "a"]],
    *,
    solver_steps: int = 1,
    shortcut: bool = True,
    guidance: HistoryGuidance | None = None,
) -> list[Imagined]:
    """`VideoCore.imagine_all` of each context. Those with equally many pages and remembered tokens go through the
    network together."""
    guidance = guidance or HistoryGuidance()
    level = level_of(solver_steps, core.config.levels) if shortcut else core.config.levels - 1
    told = [
        core.conditions(context, camera, action, known, level=level)
        for context, camera, action, known in zip(contexts, cameras, actions, recalled, strict=True)
    ]
    histories = [
        [(history.weight, context.seen_by(history)) for history in guidance.used]
        + ([(guidance.rest, ())] if guidance.rest else [])
        for context in contexts
    ]
    kinds = [
        (tuple(_kind(pages) for _, pages in history), None if (it := each.remembered) is None else it.patches.shape)
        for history, each in zip(histories, told, strict=True)
    ]
    out: dict[int, Imagined] = {}
    for group in _alike(kinds):
        seen = [
            (histories[group[0]][k][0], joined_pages([histories[i][k][1] for i in group]))
            for k in range(len(histories[group[0]]))
        ]
        start = [starting_noise(contexts[i].seed, contexts[i].steps, core.config) for i in group]
        found = _sample(core, torch.cat(start), joined([told[i] for i in group]), seen, solver_steps)
        out |= zip(group, found, strict=True)
    return [out[i] for i in range(len(contexts))]


def _sample(
    core: VideoCore,
    start: Float[Tensor, "B 1 c h w"],
    told: Conditions,
    seen: list[tuple[float, tuple[Page, ...]]],
    solver_steps: int,
) -> list[Imagined]:
    cfg = core.config

    def denoise(noisy: Tensor, t: Tensor) -> Tensor:
        frames, vectors = unpack(noisy, cfg.shape)
        clean = []
        for weight, pages in seen:
            predicted = core.network(frames, replace(told, t=t), pages=pages, vectors=vectors)
            clean.append((weight, pack(predicted.frames, predicted.vectors)))
        if len(clean) == 1:  # of weight 1
            return clean[0][1]
        return sum((weight * frame for weight, frame in clean), torch.zeros_like(noisy))

    frames, vectors = unpack(euler(denoise, start.to(told.actions.device), solver_steps), cfg.shape)
    return [
        (frames[i, 0], by_name(None if vectors is None else vectors[i, 0], cfg)) for i in range(frames.shape[0])
    ]


@torch.no_grad()
def remember_batch(
    core: VideoCore,
    contexts: Sequence[Context],
    frames: Sequence[Float[Tensor, "C H W"]],
    cameras: Sequence[Camera],
    actions: Sequence[Float[Tensor, "a"]],
    *,
    vectors: Sequence[Mapping[str, Tensor] | None],
    window: int | None = None,
    context_noise: float | None = None,
    guidance: HistoryGuidance | None = None,
) -> list[Context]:
    """`VideoCore.remember` of each context and its frame."""
    cfg = core.config
    told = [
        core.conditions(context, camera, action, Recalled(), level=cfg.levels - 1)
        for context, camera, action in zip(contexts, cameras, actions, strict=True)
    ]
    window = cfg.window if window is None else window
    own = cfg.context_noise if context_noise is None else context_noise
    levels = guidance.noises if guidance is not None else ()
    past = [(context.pages, *(dict(context.noisier).get(level, ()) for level in levels)) for context in contexts]
    out: dict[int, Context] = {}
    for group in _alike([tuple(_kind(pages) for pages in each) for each in past]):
        clean = torch.cat([pack(frames[i][None, None], from_names(vectors[i], cfg)) for i in group])
        fixed = [starting_noise(contexts[i].seed, contexts[i].steps, cfg, context=True) for i in group]
        steps, conditions = [contexts[i].steps for i in group], joined([told[i] for i in group])
        after: list[list[tuple[Page, ...]]] = [[] for _ in group]
        for k, level in enumerate((own, *levels)):
            pages = [past[i][k] for i in group]
            if window:
                t = clean.new_full((len(group), 1), level)
                noisy, beside = unpack(mix(clean, torch.cat(fixed).to(clean.device), t), cfg.shape)
                page = core.network.write(
                    noisy, replace(conditions, t=t), joined_pages(pages), t=level, step=steps[0], vectors=beside
                )
            for j, before in enumerate(pages):
                after[j].append((*before, parted(page, j, steps[j]))[-window:] if window else ())
        for i, (first, *rest) in zip(group, after, strict=True):
            noisier = tuple(zip(levels, rest, strict=True))
            out[i] = replace(contexts[i], pages=first, camera=cameras[i], steps=contexts[i].steps + 1, noisier=noisier)
    return [out[i] for i in range(len(contexts))]


def joined(parts: Sequence[Conditions]) -> Conditions:
    """Clips of equal lengths as one batch; remembered frames of equal numbers, or none."""
    if len(parts) == 1:
        return parts[0]
    names = [field.name for field in fields(Conditions) if field.name != "remembered"]
    tokens = [part.remembered for part in parts if part.remembered is not None]
    remembered = None
    if tokens:
        every = [field.name for field in fields(RememberedTokens)]
        remembered = RememberedTokens(**{name: torch.cat([getattr(each, name) for each in tokens]) for name in every})
    return Conditions(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names},
                      remembered=remembered)  # fmt: skip


def joined_pages(contexts: Sequence[tuple[Page, ...]]) -> tuple[Page, ...]:
    """Pages of several contexts, equally many of each, as pages of a batch."""
    if len(contexts) == 1:
        return contexts[0]
    return tuple(
        Page(
            torch.cat([page.keys for page in column], 1),
            torch.cat([page.values for page in column], 1),
            torch.cat([page.frame for page in column]),
            column[0].t,
            column[0].step,
        )
        for column in zip(*contexts, strict=True)
    )


def parted(page: Page, index: int, step: int) -> Page:
    """One context's page out of a batch, with memory of its own."""
    if page.frame.shape[0] == 1:
        return page
    one = slice(index, index + 1)
    return Page(page.keys[:, one].clone(), page.values[:, one].clone(), page.frame[one].clone(), page.t, step)


def _kind(pages: tuple[Page, ...]) -> tuple[float, ...]:
    return tuple(page.t for page in pages)


def _alike(kinds: Sequence[Any]) -> list[list[int]]:
    """The indices of equal kinds, together."""
    groups: dict[Any, list[int]] = {}
    for i, kind in enumerate(kinds):
        groups.setdefault(kind, []).append(i)
    return list(groups.values())
