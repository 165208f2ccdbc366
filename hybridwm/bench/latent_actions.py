"""One latent space of actions in held-out rooms, by one command: `python -m hybridwm.bench.latent_actions`.

Codes are read off pairs of frames that training never saw, without labels. Asked is that (a) a linear map from at most
100 labelled pairs names the action, (b) a probe does not find the scene in the codes, (c) codes that were read in one
room move another one right, (d) keys, velocities and words come to the same camera. Controls that must fail: codes of
other pairs (random codes), and a space of 512 numbers without noise, which tells the scene. Row 17.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..actions.latent.bodies import fit_keys
from ..actions.latent.space import LatentActions, load_latent_actions
from ..actions.walker import ACTIONS
from ..study.demo_config import FIRST_HELD_OUT_SEED
from ..study.inverse_dynamics import Probe, fit_probe, index_of, motion, real_pairs
from ..study.statistics import Interval, bootstrap, wilson
from ..training.latent_actions.pairs import SIZE, Pairs, key_walks, labelled_keys
from ..worlds.rooms.rig import RoomsRig
from .latent_cameras import measure_cameras
from .latent_scenes import measure_scenes
from .latent_table import show

LABELLED_SEED = 9_600_000  # rooms of the labelled pairs: no other figure uses them
ROOMS, QUICK_ROOMS = 24, 8
FRAMES = 48


def measure(
    space: LatentActions, *, quick: bool = False, weights: str = "rooms-64", wide: bool = True
) -> dict[str, Any]:
    """Figures by name; intervals are study.statistics.Interval. wide: also train the space of 512 numbers."""
    rooms = QUICK_ROOMS if quick else ROOMS
    labelled, keys = labelled_keys(range(LABELLED_SEED, LABELLED_SEED + 12), 99)
    held_out = key_walks(range(FIRST_HELD_OUT_SEED, FIRST_HELD_OUT_SEED + rooms), FRAMES)
    figures: dict[str, Any] = dict(measure_labels(space, labelled, keys, held_out))
    figures |= measure_scenes(space, quick=quick, wide=wide)
    probe = fit_probe(*real_pairs(RoomsRig(size=SIZE), 20 if quick else 60))
    figures |= measure_replays(space, held_out, probe)
    if weights:
        from .latent_dreams import measure_dreams

        figures |= measure_dreams(space, held_out, weights, probe, quick=quick)
    return figures | measure_cameras(space)


def codes_of(space: LatentActions, pairs: Pairs) -> Float[Tensor, "N d"]:
    """As `LatentActions.codes` gives them."""
    with torch.no_grad():
        parts = [pairs[slice(i, i + 256)] for i in range(0, len(pairs), 256)]
        return torch.cat([space.read(p.before.float() / 255, p.after.float() / 255, p.match) for p in parts])


def measure_labels(space: LatentActions, labelled: Pairs, keys: Int[Tensor, "N"], held_out: Pairs) -> dict[str, Any]:
    """(a) The share of held-out pairs whose action a linear map names; and by random codes."""
    true = index_of(held_out.actions)
    keymap = fit_keys(codes_of(space, labelled), keys, len(ACTIONS))
    figures: dict[str, Any] = {"labelled pairs": float(len(labelled))}
    for name, order in (("", torch.arange(len(held_out))), ("random codes: ", _others(len(held_out)))):
        named = keymap.scores(codes_of(space, held_out)[order]).argmax(-1)
        right = (named == true).double()
        figures[f"{name}action named"] = over_rooms(right, held_out.room)
        each = [float(right[true == action].mean()) for action in range(len(ACTIONS)) if bool((true == action).any())]
        figures[f"{name}action named, each as often"] = float(np.mean(each))
    if "walker" in space.bodies:
        found = space.bodies["walker"].decode(codes_of(space, held_out))
        for i, part in enumerate(("forward", "sideways", "yaw", "pitch")):
            moved = held_out.actions[:, i].abs() > 1e-6
            far = (found[moved, i] - held_out.actions[moved, i]).abs() / held_out.actions[moved, i].abs()
            figures[f"decoded {part}, median error of its size"] = float(far.median())
    return figures


def measure_replays(space: LatentActions, held_out: Pairs, probe: Probe) -> dict[str, Any]:
    """(c) Codes read in one room, replayed on frames of another by the forward model: does the probe, which was fitted
    to real pairs, name the action? And on the real pairs themselves; and after random codes."""
    true = index_of(held_out.actions)
    stream = torch.Generator().manual_seed(1)
    order = torch.randperm(len(held_out), generator=stream)
    moves = [order[true[order] == action][:40] for action in range(len(ACTIONS) - 1)]  # all but `stay`
    chosen = torch.cat(moves)
    pairs, wanted = held_out[chosen], true[chosen]
    codes, here = codes_of(space, pairs), _pictures(pairs.before)
    there = here[elsewhere(pairs.room)]
    figures: dict[str, Any] = {}
    for name, told in (("", codes), ("random codes: ", codes[_others(len(codes))])):
        hits = probe.actions(motion(there, space.next_frames(there, told))) == wanted
        figures[f"{name}replayed elsewhere"] = wilson(int(hits.sum()), len(hits))
    hits = probe.actions(motion(here, _pictures(pairs.after))) == wanted
    return figures | {"real pairs: replayed elsewhere": wilson(int(hits.sum()), len(hits))}


def elsewhere(room: Int[Tensor, "N"]) -> Int[Tensor, "N"]:
    """For each pair one of another room."""
    stream = torch.Generator().manual_seed(2)
    order = torch.randperm(len(room), generator=stream)
    for i in (room[order] == room).nonzero()[:, 0].tolist():
        others = (room != room[i]).nonzero()[:, 0]
        order[i] = others[torch.randint(len(others), (1,), generator=stream)][0]
    return order


def over_rooms(right: Float[Tensor, "N"], room: Int[Tensor, "N"]) -> Interval:
    """A share with its bootstrap interval over rooms."""
    counts = np.array([[float(right[room == r].sum()), float((room == r).sum())] for r in room.unique()])
    return bootstrap(counts, lambda samples: samples[..., 0].sum(-1) / samples[..., 1].sum(-1))


def _pictures(frames: Tensor) -> Float[Tensor, "N 32 32 3"]:
    return frames.float().movedim(1, -1) / 255


def _others(count: int) -> Int[Tensor, "N"]:
    """Each in another's place."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(3))
    others = torch.empty_like(order)
    others[order] = order.roll(1)
    return others


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m hybridwm.bench.latent_actions", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--latent", default="latent-rooms", help="packaged weights by name, a folder or a file")
    parser.add_argument("--weights", default="rooms-64", help="world model that decoded codes drive; empty: none")
    parser.add_argument("--quick", action="store_true", help="fewer rooms")
    parser.add_argument("--threads", type=int, default=1, help="torch threads")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    begun = time.process_time()
    figures = measure(load_latent_actions(given.latent), quick=given.quick, weights=given.weights)
    show(figures)
    load = f"load {os.getloadavg()[0]:.1f} before the end" if hasattr(os, "getloadavg") else ""
    print(f"{time.process_time() - begun:.0f} s of processor time; {load}")


if __name__ == "__main__":
    main()
