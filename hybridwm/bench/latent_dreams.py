"""(c), in a dream: codes read in one room are decoded to keys and drive the world model in another."""

from __future__ import annotations

from typing import Any

import torch

from ..actions.latent.space import LatentActions
from ..actions.walker import ACTIONS, Walker, action_vectors
from ..study import arms
from ..study.inverse_dynamics import Probe, index_of, motion
from ..study.statistics import wilson
from ..study.trajectories import random_walk
from ..training.latent_actions.pairs import Pairs
from .core_setup import VIEWS

SCENES, QUICK_SCENES = 16, 4
DREAMS_SEED = 10_002_000


def measure_dreams(space: LatentActions, held_out: Pairs, weights: str, probe: Probe, *, quick: bool) -> dict[str, Any]:
    """Shares of imagined frames in which the probe, fitted to real pairs, finds the action whose code it was: by the
    code, by a random one, and by the key itself."""
    model = arms.world(weights, arms.VIDEO)
    if not isinstance(model.body, Walker) or space.keys is None:
        return {}
    true, stream = index_of(held_out.actions), torch.Generator().manual_seed(6)
    hits = {"": 0, "random codes: ": 0, "keys: ": 0}
    moves = range(len(ACTIONS) - 1)  # all but `stay`
    scenes = QUICK_SCENES if quick else SCENES
    for scene in range(scenes):
        episode = random_walk(DREAMS_SEED + scene, VIEWS + 1, arms.rig(weights)).window(0, VIEWS, 1)
        state, last = arms.begin(model, episode), episode.views[-1].image
        chosen = [_one(true == action, stream) for action in moves]
        found = space.read(
            held_out.before[chosen].float() / 255, held_out.after[chosen].float() / 255, held_out.match[chosen]
        )
        actions = space.pressed(found)
        ways = {"": actions, "random codes: ": actions[torch.randperm(len(actions), generator=stream)]}
        for name, told in (ways | {"keys: ": action_vectors()[: len(actions)]}).items():
            frames = [frame.image for _, frame in model.step_all([state] * len(told), list(told))]
            named = probe.actions(motion(last.expand(len(told), -1, -1, -1), torch.stack(frames)))
            hits[name] += int((named == torch.tensor(moves)).sum())
    return {f"{name}replayed in a dream": wilson(count, scenes * len(moves)) for name, count in hits.items()}


def _one(mask: torch.Tensor, stream: torch.Generator) -> int:
    where = mask.nonzero()[:, 0]
    return int(where[torch.randint(len(where), (1,), generator=stream)])
