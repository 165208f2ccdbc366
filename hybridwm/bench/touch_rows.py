"""Row 21 of what counts as working, touch: `python -m hybridwm.bench.touch_rows runs/arm --weights arm-64`.

Onsets and forces: a head (training.touch) is fitted to the recorded episodes of a folder and foretells what the arm's
hand feels next, from both eyes and the actions up to now; judged on held-out seeds from 10,000,000 on, on true frames,
and, shown beside them, on frames that weights imagine without seeing the truth. It is a head of its own: the weights
themselves have no touch. Control: the touch channel of another episode.

Lights off: a walker goes into balls and walls of a room (scenario push) in the dark. Where it is, is reckoned from what
it wanted to do and what it felt, by a linear map fitted to other rooms; vision-only sees black, and has its wishes
alone. Control: what was felt, shuffled over the steps.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..actions.walker import Walker
from ..study import arms, pool
from ..study.demo_config import FIRST_HELD_OUT_SEED
from ..study.figures import Figure, figure
from ..study.measure_worlds import WorldSetup, model
from ..study.statistics import Interval, bootstrap
from ..study.touch_scores import force_r2, onset_f1
from ..study.world_episodes import cut
from ..training.recorded import episodes_in
from ..training.touch import TouchHead, fit, load_touch, save_touch
from ..worlds.collection import play
from ..worlds.episodes import Episode
from ..worlds.rooms.moments import first_moment, next_moment, planned, stacked
from ..worlds.rooms.rig import RoomsRig
from ..worlds.rooms.scenarios import make_scenario
from .world_rows import markdown

FRAMES, VIEWS, STEPS = 60, 8, 16
DARK, FITTED = 48, 16  # steps in the dark; rooms that the reckoning is fitted to, seeds 0 on
UNIT = 50.0  # newton seconds: impulses are told in units of it

Pair = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Chance of contact, forces; true contact, true forces: of the frames that were foretold."""


def on_true_frames(head: TouchHead, episodes: Sequence[Episode]) -> list[Pair]:
    """Each frame foretold from the true ones before it."""
    found = []
    for episode in episodes:
        assert episode.right is not None and episode.touch is not None
        chance, forces = head.foretold(episode.rgb, episode.right, episode.actions)
        found.append(_paired(head, chance, forces, episode.touch[1:]))
    return found


def on_imagined_frames(head: TouchHead, episodes: Sequence[Episode], weights: str) -> list[Pair]:
    """STEPS frames of a grounded rollout after VIEWS true ones, each foretold from what was imagined before it."""
    setup = WorldSetup("arm", weights)
    found = []
    for episode in episodes:
        assert episode.right is not None and episode.touch is not None
        told = cut(episode, 0, VIEWS, STEPS)
        rolled = arms.roll(model(setup, arms.STEREO), told)
        assert rolled.right is not None
        rgb = torch.cat([episode.rgb[:VIEWS].float() / 255, rolled.frames.clamp(0, 1)])
        right = torch.cat([episode.right[:VIEWS].float() / 255, rolled.right.clamp(0, 1)])
        chance, forces = head.foretold(rgb, right, episode.actions[: VIEWS + STEPS - 1])
        later = slice(VIEWS - 1, None)
        found.append(_paired(head, chance[later], forces[later], episode.touch[VIEWS : VIEWS + STEPS]))
    return found


def _paired(head: TouchHead, chance: Tensor, forces: Tensor, touch: Tensor) -> Pair:
    return chance.numpy(), forces.numpy(), touch[:, -1].numpy(), touch[:, : head.config.forces].numpy()


def shuffled(pairs: Sequence[Pair]) -> list[Pair]:
    """The control: what was foretold, beside what another episode felt."""
    return [(*one[:2], *other[2:]) for one, other in zip(pairs, [*pairs[1:], pairs[0]], strict=True)]


def scored(pairs: Sequence[Pair]) -> tuple[Interval, Interval]:
    """F1 of onsets within a frame, and R² of the forces, pooled; intervals by resampling episodes."""

    def f1(chosen: Sequence[Pair]) -> float:
        return onset_f1([p[0] for p in chosen], [p[2] for p in chosen])

    def r2(chosen: Sequence[Pair]) -> float:
        return force_r2(np.concatenate([p[1].ravel() for p in chosen]), np.concatenate([p[3].ravel() for p in chosen]))

    rng = np.random.default_rng(0)
    draws = [[pairs[i] for i in rng.integers(0, len(pairs), len(pairs))] for _ in range(1000)]
    made = []
    for score in (f1, r2):
        values = [score(draw) for draw in draws]
        low, high = np.nanquantile(values, [0.025, 0.975])
        made.append(Interval(score(pairs), float(low), float(high), len(pairs)))
    return made[0], made[1]


def dark_walk(seed: int) -> tuple[Float[Tensor, "T 4 4"], Float[Tensor, "T_1 4"], Float[Tensor, "T_1 4"]]:
    """Cameras, what the walker wanted (not what it could), and what it felt after each step; nothing is drawn."""
    scenario, rig = make_scenario("push", seed), RoomsRig(size=16)
    room, moments = stacked(scenario), [first_moment(scenario)]
    wishes = torch.stack([planned(scenario, t) for t in range(DARK)])
    for wish in wishes:
        moments.append(next_moment(scenario, room, moments[-1], wish, rig))
    return torch.stack([m.w2c for m in moments]), wishes, torch.stack([m.touch for m in moments[1:]])


def lights_off(config: None, index: int) -> dict[str, list]:
    """One room: index < 0 those that are fitted to."""
    w2c, wishes, touch = dark_walk(-1 - index if index < 0 else FIRST_HELD_OUT_SEED + index)
    return {"w2c": w2c.tolist(), "wishes": wishes.tolist(), "touch": touch.tolist()}


def features(wishes: Float[Tensor, "T 4"], touch: Float[Tensor, "T 4"] | None) -> Float[Tensor, "T f"]:
    """Forward and to the right: the wish; with touch, also what was felt, along the wish."""
    if touch is None:
        return wishes[:, :2]
    way = wishes[:, :2] / wishes[:, :2].norm(dim=1, keepdim=True).clamp(min=1e-6)
    felt = torch.cat([touch[:, [0, 2]], touch[:, [1, 3]] / UNIT], 1)
    return torch.cat([wishes[:, :2], (way[:, :, None] * felt[:, None]).flatten(1)], 1)


def reckoned(start: Tensor, wishes: Tensor, moved: Float[Tensor, "T 2"]) -> Float[Tensor, "3"]:
    """Where the steps lead."""
    w2c = start
    for wish, step in zip(wishes, moved, strict=True):
        w2c = Walker().move(w2c, torch.cat([step, wish[2:]]))
    return -(w2c[:3, :3].T @ w2c[:3, 3])


def dark_errors(rooms: int, workers: int) -> dict[str, np.ndarray]:
    """Metres from the truth after DARK steps in each held-out room, by what is known of each step."""
    units = [pool.Unit("dark", i, lights_off) for i in range(-FITTED, rooms)]
    walks = {unit.index: {k: torch.tensor(v) for k, v in found.items()}
             for unit, found, _ in pool.measure(units, None, workers)}  # fmt: skip
    errors: dict[str, np.ndarray] = {}
    order = torch.randperm(DARK, generator=torch.Generator().manual_seed(0))
    for name in ("touch", "vision only", "touch shuffled"):
        def told(walk: dict[str, Tensor], name: str = name) -> Tensor:
            felt = walk["touch"][order] if name == "touch shuffled" else walk["touch"]
            return features(walk["wishes"], None if name == "vision only" else felt)

        past = [walks[i] for i in range(-FITTED, 0)]
        weights = torch.linalg.lstsq(
            torch.cat([told(w) for w in past]), torch.cat([_done(w) for w in past]), driver="gelsd"
        ).solution
        errors[name] = np.array([
            float((reckoned(w["w2c"][0], w["wishes"], told(w) @ weights) - _place(w["w2c"][-1])).norm())
            for w in (walks[i] for i in range(rooms))
        ])  # fmt: skip
    return errors


def _place(w2c: Tensor) -> Tensor:
    return -(w2c[:3, :3].T @ w2c[:3, 3])


def _done(walk: dict[str, Tensor]) -> Float[Tensor, "T 2"]:
    """Metres forward and to the right that each step went, along the heading after it."""
    places = torch.stack([_place(w2c) for w2c in walk["w2c"]])
    way = places[1:] - places[:-1]
    forward, right = walk["w2c"][1:, 2, :3], walk["w2c"][1:, 0, :3]
    flat = torch.stack([-right[:, 1], right[:, 0], torch.zeros(len(right))], 1)  # level, where the head is pitched
    flat = flat * torch.sign((flat * forward).sum(1, keepdim=True))
    return torch.stack([(way * flat).sum(1), (way * right).sum(1)], 1)


def measure(head: TouchHead, weights: str | None, scenes: int, workers: int) -> list[Figure]:
    """The row's figures."""
    episodes = list(play("arm", [FIRST_HELD_OUT_SEED + i for i in range(scenes)], FRAMES, 64))
    pairs = on_true_frames(head, episodes)
    (f1, r2), (f1_other, r2_other) = scored(pairs), scored(shuffled(pairs))
    told = "from vision and action up to the frame before"
    result = [
        figure(21, f"contact onset, F1 within a frame, {told}", f1, "share", "≥ .9"),
        figure(21, f"pad forces, R², {told}", r2, "share", "≥ .8"),
        figure(21, "contact onset, touch of another episode", f1_other, "share", "≤ .5", kind="control"),
        figure(21, "pad forces, touch of another episode", r2_other, "share", "≤ .2", kind="control"),
    ]
    if weights is not None:
        f1, r2 = scored(on_imagined_frames(head, episodes[: max(1, scenes // 2)], weights))
        result += [
            figure(21, f"contact onset over {STEPS} imagined frames, F1", f1, "share", kind="shown"),
            figure(21, f"pad forces over {STEPS} imagined frames, R²", r2, "share", kind="shown"),
        ]
    errors = dark_errors(scenes, workers)
    for name, target in (("touch", "≤ .5"), ("touch shuffled", "≥ .5")):
        both = np.stack([errors[name], errors["vision only"]], 1)
        share = bootstrap(both, lambda x: x[..., 0].sum(-1) / np.maximum(x[..., 1].sum(-1), 1e-9))
        words = f"lights off, {DARK} steps: position error by {name} over that of vision only"
        result.append(figure(21, words, share, "share", target, kind="figure" if name == "touch" else "control"))
    metres = bootstrap(errors["vision only"], lambda x: x.mean(-1))
    return [*result, figure(21, "lights off, vision only: position error", metres, "m", kind="shown")]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m hybridwm.bench.touch_rows", description="Row 21: touch.")
    parser.add_argument("episodes", type=Path, help="a folder of the arm's recorded episodes, of no held-out seed")
    parser.add_argument("--weights", help="weights that imagine, by name, folder or file; none: true frames alone")
    parser.add_argument("--head", type=Path, help="a head that was fitted before, or where to keep it")
    parser.add_argument("--scenes", type=int, default=24, help="held-out seeds")
    parser.add_argument("--workers", type=int, default=1, help="processes, for the rooms in the dark")
    given = parser.parse_args(arguments)
    if given.head is not None and given.head.exists():
        head = load_touch(given.head)
    else:
        head = fit(list(episodes_in(given.episodes, 1_000_000)))
        if given.head is not None:
            save_touch(head, given.head, "touch")
    print(markdown(measure(head, given.weights, given.scenes, given.workers)))


if __name__ == "__main__":
    main()
