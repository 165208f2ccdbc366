"""Pairs of successive frames without labels, made in rooms or of recorded episodes; and labelled ones, for the maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from tqdm import tqdm

from ...actions.body import Body
from ...actions.latent.config import SIDE
from ...actions.latent.matching import PARTS, matched, small
from ...actions.walker import Walker, action_vectors
from ...worlds.rooms.collision import free_path, generator
from ...worlds.rooms.layout import make_room, stack_rooms
from ...worlds.rooms.raycast import raycast
from ...worlds.rooms.rig import RoomsRig
from ...worlds.rooms.walkers import centers, walk
from ..episodes import make_episodes
from ..recorded import episodes_in

SIZE = 64  # pixels at which rooms are seen before they are scaled down, as worlds show them
BATCH = 10  # rooms at once
PLACES = 20  # in each room
KEY_FRAMES = 48  # of a walk by keys
LEAST = 7  # labelled pairs of each key
LARGEST = torch.tensor([0.45, 0.45, 0.33, 0.33])  # metres, metres, radians, radians: of a move, either way

Moves = Callable[[torch.Generator, int], Float[Tensor, "N a"]]
"""Actions of a body by chance."""


@dataclass(frozen=True)
class Pairs:
    """before, after: 32 x 32 frames; match: how their parts match (actions.latent.matching). actions: what was done,
    for evaluation and for the maps; training never reads it. room: the seed."""

    before: UInt8[Tensor, "N 3 32 32"]
    after: UInt8[Tensor, "N 3 32 32"]
    match: Float[Tensor, "N 3 8 8"]
    actions: Float[Tensor, "N a"]
    room: Tensor

    def __len__(self) -> int:
        return len(self.before)

    def __getitem__(self, chosen: Tensor | slice) -> Pairs:
        return Pairs(*(getattr(self, name)[chosen] for name in ("before", "after", "match", "actions", "room")))

    @staticmethod
    def joined(parts: Sequence[Pairs]) -> Pairs:
        names = ("before", "after", "match", "actions", "room")
        return Pairs(*(torch.cat([getattr(part, name) for part in parts]) for name in names))

    @staticmethod
    def of(before: Tensor, after: Tensor, actions: Tensor, room: Tensor) -> Pairs:
        """Of frames [N, 3, 32, 32], 0…1."""
        if not len(before):
            empty = torch.zeros(0, 3, SIDE, SIDE, dtype=torch.uint8)
            return Pairs(empty, empty, torch.zeros(0, 3, PARTS, PARTS), actions, room)
        match = torch.cat([matched(a, b) for a, b in zip(before.split(64), after.split(64), strict=True)])
        first, second = ((frames * 255).round().to(torch.uint8) for frames in (before, after))
        return Pairs(first, second, match.half().float(), actions, room)


def walker_moves(stream: torch.Generator, count: int) -> Float[Tensor, "N 4"]:
    """One kind of motion half of the time, forwards with a turn a quarter, all at once a quarter; of any size."""
    kind = torch.rand(count, 1, generator=stream)
    single = torch.nn.functional.one_hot(torch.randint(4, (count,), generator=stream), 4).float()
    drive = torch.tensor([1.0, 0.0, 1.0, 0.0]).expand(count, 4)
    used = torch.where(kind < 0.5, single, torch.where(kind < 0.75, drive, torch.ones(count, 4)))
    return used * LARGEST * (2 * torch.rand(count, 4, generator=stream) - 1)


def room_pairs(
    seeds: Sequence[int], moves: Moves = walker_moves, body: Body | None = None, quiet: bool = True
) -> Pairs:
    """PLACES pairs in the room of each seed, from places of a walk, by moves that touch nothing. A function of its
    arguments."""
    body, parts = body or Walker(), []
    for first in tqdm(range(0, len(seeds), BATCH), desc="rooms", disable=quiet):
        parts.append(_some_rooms(seeds[first : first + BATCH], moves, body))
    return Pairs.joined(parts)


def _some_rooms(seeds: Sequence[int], moves: Moves, body: Body) -> Pairs:
    rooms, rig = stack_rooms([make_room(seed) for seed in seeds]), RoomsRig(size=SIZE)
    poses = walk(rooms, 3 * PLACES, seed=seeds[0]).w2c[:, 1::3][:, :PLACES]
    actions = torch.stack([moves(generator(seed, 31), PLACES) for seed in seeds])
    ends = body.move(poses, actions)
    free = free_path(rooms, centers(poses), centers(ends))
    seen = raycast(rooms, rig.camera(torch.stack([poses, ends], 2).flatten(1, 2))).rgb.unflatten(1, (PLACES, 2))
    before, after = (small(frames[free]) for frames in seen.unbind(2))
    room = torch.tensor(seeds)[:, None].expand(-1, PLACES)[free]
    return Pairs.of(before, after, actions[free], room)


def key_walks(seeds: Sequence[int], frames: int) -> Pairs:
    """Every two successive frames of one walk by keys in the room of each seed."""
    parts = []
    for first in range(0, len(seeds), BATCH):
        some = list(seeds[first : first + BATCH])
        made = make_episodes(some, frames, RoomsRig(size=SIZE), torch.device("cpu"), eyes=1)
        parts.append(walk_pairs(made.rgb[:, :, 0], made.actions, some))
    return Pairs.joined(parts)


def labelled_keys(seeds: Sequence[int], count: int) -> tuple[Pairs, Int[Tensor, "N"]]:
    """So many labelled pairs of walks by keys, at random but for LEAST of each key where there are as many; and which
    keys they were."""
    pairs = key_walks(seeds, KEY_FRAMES)
    table = action_vectors()
    keys = (pairs.actions[:, None] - table).square().sum(-1).argmin(-1)
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(0))
    some = torch.cat([order[keys[order] == key][:LEAST] for key in range(len(table))])
    rest = order[~torch.isin(order, some)]
    chosen = torch.cat([some, rest])[:count]
    return pairs[chosen], keys[chosen]


def walk_pairs(rgb: UInt8[Tensor, "N T h w 3"], actions: Float[Tensor, "N T a"], seeds: Sequence[int]) -> Pairs:
    """Every two successive frames of walks; actions[:, i] led to frame i."""
    frames = torch.stack([small(walk.float() / 255) for walk in rgb])
    before, after = frames[:, :-1].flatten(0, 1), frames[:, 1:].flatten(0, 1)
    room = torch.tensor(seeds)[:, None].expand(-1, rgb.shape[1] - 1).flatten()
    return Pairs.of(before, after, actions[:, 1:].flatten(0, 1), room)


def recorded_pairs(source: Path, most: int, quiet: bool = True) -> Pairs:
    """Every two successive frames of at most so many recorded episodes. Raises FileNotFoundError, FormatError."""
    parts = []
    for i, episode in enumerate(tqdm(episodes_in(source, most), desc="episodes", disable=quiet)):
        led = torch.cat([torch.zeros_like(episode.actions[:1]), episode.actions])
        parts.append(walk_pairs(episode.rgb[None], led[None], [i]))
    return Pairs.joined(parts)
