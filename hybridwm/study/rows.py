"""The rows of evidence that the demo measures, each beside the controls that must fail."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import arms
from .figures import Errors, Figure, Record, figure, gain, plain, with_holm
from .following import action_following, best_lag
from .measure_stares import PALETTE, WRONG
from .statistics import Interval, bootstrap, mean_statistic, wilson

HORIZON = 16  # steps of the rollouts in row 1
LAG_REACH = 3


def table(records: dict[str, list[Record]]) -> list[Figure]:
    """All rows, with Holm-corrected p-values where arms are compared."""
    walks, returns = records.get("walk", []), records.get("return", [])
    figures = row_1(walks) + row_2(walks) + row_7(records.get("endurance", []))
    return with_holm(figures + row_9(records.get("stare", [])) + row_12(returns))


def row_1(walks: Sequence[Record]) -> list[Figure]:
    """Action-driven rollout: one step, sixteen steps, action following with the render dropped."""
    if not walks:
        return []

    def one(name: str) -> Callable[[Record], Errors]:
        return lambda r: r["one_step"][name]

    def many(name: str) -> Callable[[Record], Errors]:
        return lambda r: r["errors"][name][:HORIZON]

    s, v = arms.STEREO, arms.VIDEO
    result = [
        figure(1, "one step, grounded: PSNR over copy", gain(walks, one(s), one("copy")), "dB", "≥ 4"),
        figure(1, "one step, grounded: PSNR over pure warp", gain(walks, one(s), one("pure warp")), "dB", "≥ .5"),
        figure(1, "one step, video only: PSNR over copy", gain(walks, one(v), one("copy")), "dB", "≥ 1.5"),
        figure(1, "16 steps, grounded: PSNR over copy", gain(walks, many(s), many("copy")), "dB", "≥ 1.5"),
        figure(
            1,
            "16 steps, grounded: PSNR over pure warp",
            gain(walks, many(s), many("pure warp")),
            "dB",
            kind="shown",
        ),
        figure(1, "16 steps, video only: PSNR over copy", gain(walks, many(v), many("copy")), "dB", "≥ 1.5"),
    ]
    for key, words in (("1", "1 step ahead"), ("4", "4 steps ahead")):
        name = f"action following, {words}, render dropped"
        note = "true against mirrored and permuted actions, same noise"
        result.append(figure(1, name, followed(walks, key), "share", "≥ .85", note=note))
    note = "ignores its action by construction; stands in for a net trained on shuffled actions"
    ignores = followed(walks, "1", true="frozen", wrong=("frozen",))
    result.append(
        figure(1, "action following of the frozen frame", ignores, "share", "≤ .55", kind="control", note=note)
    )
    return result


def row_2(walks: Sequence[Record]) -> list[Figure]:
    """Action timing: an action changes its own frame and none before it; flow follows yaw without lag."""
    result = []
    for arm in (arms.VIDEO, arms.STEREO):
        if walks:
            exact = plain(float(np.mean([r["timing"][arm] for r in walks])), len(walks))
            name = f"action t changes frame t + 1 and, bitwise, none before: {arm}"
            result.append(figure(2, name, exact, "share", "= 1"))
    for source in ("truth", arms.VIDEO, arms.STEREO):
        lag = plain(_lag(walks, source), len(walks))
        result.append(figure(2, f"lag of flow behind the yaw command: {source}", lag, "frames", "= 0"))
    shifted = plain(_lag(walks, "truth", off_by_one=True), len(walks))
    name = "lag with a loader that is off by one"
    return [*result, figure(2, name, shifted, "frames", "≠ 0", kind="control")] if walks else []


def row_7(records: Sequence[Record]) -> list[Figure]:
    """Cached steps: equal to uncached ones, constant in time and memory; and what grounding costs."""
    if not records:
        return []
    r, n = records[0], records[0][arms.STEREO]["frames"]
    result = [
        figure(
            7,
            "cached against full forward pass: largest difference",
            plain(r["cached_error"], 1),
            "of 2",
            "≤ 1e-4",
        )
    ]
    for arm in (arms.VIDEO, arms.STEREO):
        slope = plain(100 * r[arm]["slope"], n)
        result.append(figure(7, f"time per frame, growth over {n} steps: {arm}", slope, "%", "≤ 5"))
    for arm, target in ((arms.VIDEO, "≤ 0.1"), (arms.STEREO, "")):
        held = r[arm]["megabytes"]
        grown = plain(held[-1] - held[len(held) // 2], n)
        name = f"memory held by the state, growth over the second half: {arm}"
        result.append(figure(7, name, grown, "MB", target, kind="figure" if target else "shown"))
    splats = plain(r[arms.STEREO]["splats"][-1], n)
    result.append(figure(7, "Gaussians at the end of a walk over new ground", splats, "", kind="shown"))
    uncached = r["uncached_seconds"]
    if len(uncached) > 1:
        first, last = min(uncached, key=int), max(uncached, key=int)
        growth = plain(100 * (uncached[last] / uncached[first] - 1), 1)
        name = f"time per frame without the cache, growth from frame {first} to {last}"
        result.append(figure(7, name, growth, "%", "≥ 5", kind="control"))
    grounded, video = (sum(_per_frame(r[arm]).values()) for arm in (arms.STEREO, arms.VIDEO))
    result.append(figure(7, "grounded rollout, end to end", plain(1 / grounded, n), "frames/s", "≥ 6"))
    return [
        *result,
        figure(7, "what grounding adds to a step", plain(1000 * (grounded - video), n), "ms", "≤ 40"),
    ]


def row_9(stares: Sequence[Record]) -> list[Figure]:
    """Recency bias: is the room still there after looking at the floor for longer than the context?"""
    if not stares:
        return []

    def share(name: str) -> Interval:
        return wilson(sum(r["hits"][name] for r in stares), len(stares))

    off, recent = arms.NO_MEMORY, arms.VIDEO
    shown = [
        figure(
            9,
            f"stare test, retrieval among 16 (chance .0625): {arms.STEREO}",
            share(arms.STEREO),
            "share",
            "≥ .70, low ≥ .6",
        ),
        figure(9, f"stare test: {arms.TRUTH}", share(arms.TRUTH), "share", kind="shown"),
        figure(9, "stare test, memory off (last frame only)", share(off), "share", "≤ .15", kind="control"),
        figure(9, "stare test, recent frames only (video only)", share(recent), "share", "≤ .15", kind="control"),
        figure(9, f"stare test, {WRONG}", share(WRONG), "share", "≤ .10", kind="control"),
        figure(9, f"stare test, {PALETTE}", share(PALETTE), "share", "≤ .15", kind="control"),
    ]
    guards = [name for name in ("frozen", "nearest past frame", "pure warp") if name in stares[0]["hits"]]
    return shown + [figure(9, f"stare test, guard: {g}", share(g), "share", kind="shown") for g in guards]


def row_12(returns: Sequence[Record]) -> list[Figure]:
    """Grounding helps where it has seen, does not hurt where it has not, and is not copied blindly."""
    if not returns:
        return []

    def of(name: str, mask: str) -> Callable[[Record], Errors]:
        return lambda r: r["errors"][name][mask]

    def wrong(name: str) -> Callable[[Record], Errors]:
        return lambda r: r["wrong_splats"][name]

    s, v, t, raw = arms.STEREO, arms.VIDEO, arms.TRUTH, "raw render"
    pairs: list[tuple[str, Interval, str, str]] = [
        (
            "seen before: grounded by stereo over video only",
            gain(returns, of(s, "seen"), of(v, "seen")),
            "≥ 2, excludes 0",
            "figure",
        ),
        (
            "seen before: grounded by true depth over video only",
            gain(returns, of(t, "seen"), of(v, "seen")),
            "",
            "shown",
        ),
        (
            "never seen: grounded by stereo over video only",
            gain(returns, of(s, "never"), of(v, "never")),
            "≥ −.3",
            "figure",
        ),
        (
            "where alpha > .5: grounded over the raw render",
            gain(returns, of(s, "covered"), of(raw, "covered")),
            "≥ −.2",
            "figure",
        ),
        (
            "where alpha > .5, 10 % wrong splats: grounded over the raw render",
            gain(returns, wrong(s), wrong(raw)),
            "≥ 1",
            "figure",
        ),
        (
            "whole frame: grounded over the composite",
            gain(returns, of(s, "all"), of("composite", "all")),
            "≥ .5",
            "figure",
        ),
        (
            "whole frame: grounded over pure warp",
            gain(returns, of(s, "all"), of("pure warp", "all")),
            "",
            "shown",
        ),
        ("whole frame: grounded over video only", gain(returns, of(s, "all"), of(v, "all")), "", "shown"),
    ]
    return [figure(12, name, interval, "dB", target, kind=kind) for name, interval, target, kind in pairs]


def followed(
    walks: Sequence[Record], key: str, true: str = "true", wrong: tuple[str, ...] = ("mirrored", "permuted")
) -> Interval:
    """Action following of each scene, resampled over scenes."""
    shares = []
    for r in walks:
        pairs = [(e[true], e[w]) for e in r["following"][key] for w in wrong]
        pairs = [(a, b) for a, b in pairs if a is not None and b is not None]
        shares.append(action_following(*np.array(pairs, float).T) if pairs else math.nan)
    return bootstrap(np.array(shares), mean_statistic)


def _lag(walks: Sequence[Record], source: str, off_by_one: bool = False) -> float | None:
    """The best lag over all walks: each is centred and kept apart by zeros, so that no pair crosses
    scenes."""
    gap, commands, flows = np.zeros(LAG_REACH + 1), [], []
    for r in walks:
        yaw, flow = np.array(r["yaw"], float), np.array(r["flow"][source], float)
        if off_by_one:
            yaw, flow = yaw[1:], flow[:-1]
        commands += [yaw - yaw.mean(), gap]
        flows += [flow - flow.mean(), gap]
    return best_lag(np.concatenate(commands), np.concatenate(flows), LAG_REACH) if walks else None


def _per_frame(measured: dict[str, Any]) -> dict[str, float]:
    return {part: spent / measured["frames"] for part, spent in measured["seconds"].items() if part != "frames"}
