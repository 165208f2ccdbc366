"""Rows 1, 2, 9 and 12 of what counts as working, in Doom or at the arm's table: `python -m hybridwm.bench.world_rows
arm --weights arm-64`.

Held-out seeds from 10,000,000 on. Rows 1 and 2: the world's own scripted player, 8 frames observed. Row 9: the stare
tests of study.doom_walks and study.arm_walks. Row 12: out and back, 9 views observed. Doom has one eye: its grounded
arm reads true depth of the level at the commanded cameras (an oracle for geometry, not for colour).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from ..run_folder import RunFolder, read_metrics
from ..study import arms, pool
from ..study.figures import Errors, Figure, Record, as_mapping, figure, gain, level, plain
from ..study.measure_stares import PALETTE, WRONG
from ..study.measure_worlds import EXTRA, WorldSetup, measure_return, measure_stare, measure_walk
from ..study.rows import followed
from ..study.statistics import Interval, wilson
from ..worlds.alignment import Alignment, alignment_of_motions
from .world_timing import off_by_one_frame, touched_frame

KINDS = {"walk": measure_walk, "stare": measure_stare, "return": measure_return}
SCENES = 48


def measure(setup: WorldSetup, scenes: dict[str, int], folder: RunFolder | None = None) -> list[Figure]:
    """The figures of so many seeds of each kind (walk, stare, return); a kind with none is left out."""
    units = [pool.Unit(kind, i, KINDS[kind]) for kind, count in scenes.items() for i in range(count)]
    units.sort(key=lambda unit: unit.index)  # of a run that is cut short, as many of each kind
    records: dict[str, list[Record]] = {kind: [] for kind in KINDS}
    told = {"world": setup.world, "weights": setup.weights}
    for line in [] if folder is None else done(folder):
        if told.items() <= line.items():
            records[line["kind"]].append(line["record"])
    known = {(kind, record["seed"]) for kind, found in records.items() for record in found}
    units = [unit for unit in units if (unit.kind, setup.first_seed + unit.index) not in known]
    for unit, record, seconds in pool.measure(units, setup, setup.workers):
        records[unit.kind].append(record)
        if folder is not None:
            folder.log(**told, kind=unit.kind, seconds=round(seconds, 2), record=record)
    for found in records.values():
        found.sort(key=lambda record: record["seed"])
    return [
        *row_1(setup, records["walk"]),
        *row_2(setup, records["walk"]),
        *row_9(setup, records["stare"]),
        *row_12(setup, records["return"], records["walk"]),
    ]


def done(folder: RunFolder) -> list[Record]:
    """What an earlier run into this folder measured."""
    path = folder.path / "metrics.jsonl"
    return read_metrics(path) if path.exists() else []


def row_1(setup: WorldSetup, walks: Sequence[Record]) -> list[Figure]:
    """Action-driven rollout: one step, sixteen, action following with the render dropped."""
    if not walks:
        return []

    def of(key: str, name: str) -> Callable[[Record], Errors]:
        return lambda r: r[key][name]

    result = [
        figure(1, f"{words}, {arm}: PSNR over {other}", gain(walks, of(key, arm), of(key, other)), "dB", target)
        for key, words, arm, other, target in (
            ("one_step", "one step", setup.grounded, "copy", "≥ 4"),
            ("one_step", "one step", setup.grounded, "pure warp", "≥ .5"),
            ("one_step", "one step", arms.VIDEO, "copy", "≥ 1.5"),
            ("errors", "16 steps", setup.grounded, "copy", "≥ 1.5"),
            ("errors", "16 steps", arms.VIDEO, "copy", "≥ 1.5"),
            ("errors", "16 steps", setup.grounded, "pure warp", ""),
        )
    ]
    result += [
        figure(1, f"one step, {name}: PSNR", level(walks, of("one_step", name)), "dB", kind="shown")
        for name in (arms.VIDEO, setup.grounded, "copy", "pure warp")
    ]
    for key, words in (("1", "1 step"), ("4", "4 steps")):
        name = f"action following, {words} ahead, render dropped"
        result.append(figure(1, name, followed(walks, key), "share", "≥ .85"))
    ignores = followed(walks, "1", true="frozen", wrong=("frozen",))
    return [*result, figure(1, "action following of the frozen frame", ignores, "share", "≤ .55", kind="control")]


def row_2(setup: WorldSetup, walks: Sequence[Record]) -> list[Figure]:
    """Action timing, in recorded training clips, in rollouts, and by the lag of motion behind command."""
    if not walks:
        return []
    n = len(walks)
    share = sum(r["timing"] for r in walks) / n
    result = [
        figure(2, "action t changes frame t + 1 of a rollout and, bitwise, none before", plain(share, n), "share",
               "= 1"),
        figure(2, "… of recorded training clips: first frame that an edit of action t changes, less t",
               plain(touched_frame(setup), 1), "frames", "= 1"),
        figure(2, "… with a loader that is off by one", plain(off_by_one_frame(setup), 1), "frames", "≠ 1",
               kind="control"),
    ]  # fmt: skip
    actions = [torch.tensor(record["actions"]) for record in walks]
    for source in ("truth", arms.VIDEO, setup.grounded):
        motions = [torch.tensor(record["motion"][source]).double() for record in walks]
        lag = _lag(alignment_of_motions(actions, motions, "images"))
        result.append(figure(2, f"lag of motion in the images behind the command: {source}", lag, "frames", "= 0"))
    motions = [torch.tensor(record["motion"]["truth"]).double()[1:] for record in walks]
    late = _lag(alignment_of_motions([each[:-1] for each in actions], motions, "images"))
    return [*result, figure(2, "… true frames, a loader off by one", late, "frames", "≠ 0", kind="control")]


def _lag(found: Alignment) -> Interval:
    return plain(found.lag, found.steps)


def row_9(setup: WorldSetup, stares: Sequence[Record]) -> list[Figure]:
    """Recency bias: retrieval among 16 true views after eight still steps."""
    if not stares:
        return []

    def share(name: str):
        return wilson(sum(r["hits"][name] for r in stares), len(stares))

    asked = [(f"stare test, retrieval among 16 (chance .0625): {setup.grounded}", setup.grounded, "≥ .70, low ≥ .6")]
    controls = [
        ("stare test, memory off (last frame only)", arms.NO_MEMORY, "≤ .15"),
        ("stare test, recent frames only (video only)", arms.VIDEO, "≤ .15"),
        (f"stare test, {WRONG}", WRONG, "≤ .10"),
        (f"stare test, {PALETTE}", PALETTE, "≤ .15"),
    ]
    shown = [(f"stare test, guard: {name}", name, "") for name in ("frozen", "nearest past frame", "pure warp")]
    return [
        figure(9, words, share(name), "share", target, kind=kind)
        for kind, some in (("figure", asked), ("control", controls), ("shown", shown))
        for words, name, target in some
    ]


def row_12(setup: WorldSetup, returns: Sequence[Record], walks: Sequence[Record]) -> list[Figure]:
    """Grounding helps where it has seen, does not hurt where it has not, and is not copied blindly."""
    if not returns:
        return []

    def gained(arm: str, other: str, mask: str):
        return gain(returns, lambda r: r["errors"][arm][mask], lambda r: r["errors"][other][mask])

    s, v = setup.grounded, arms.VIDEO
    asked = [
        (f"seen before: {s} over video only", s, v, "seen", "≥ 2, excludes 0"),
        (f"never seen: {s} over video only", s, v, "never", "≥ −.3"),
        (f"where alpha > .5: {s} over the raw render", s, "raw render", "covered", "≥ −.2"),
        (f"whole frame: {s} over the composite", s, "composite", "all", "≥ .5"),
        (f"whole frame: {s} over pure warp", s, "pure warp", "all", ""),
        (f"whole frame: {s} over video only", s, v, "all", ""),
    ]
    if "moving" in returns[0]["errors"][s]:
        asked.append((f"the robot's own pixels: {s} over video only", s, v, "moving", "≥ 0"))
    result = [figure(12, words, gained(arm, other, mask), "dB", target) for words, arm, other, mask, target in asked]
    extra, some = EXTRA[setup.world], [r for r in returns if EXTRA[setup.world] in r["errors"]]
    if some:
        found = gain(some, lambda r: r["errors"][extra]["seen"], lambda r: r["errors"][v]["seen"])
        result.append(figure(12, f"seen before: {extra} over video only", found, "dB", kind="shown"))
    moved = [r for r in walks if r["moving"]]
    if moved:
        name = f"robot and objects of the player's 16 steps: {s} over video only"
        found = gain(moved, lambda r: r["moving"][s], lambda r: r["moving"][v])
        result.append(figure(12, name, found, "dB", "≥ 0"))
    return result


def markdown(figures: Sequence[Figure]) -> str:
    """The table; a bound that is not met says so."""
    lines = ["| row | measure | figure | 95 % interval | n | asked | |", "|---|---|---|---|---|---|---|"]
    for each in figures:
        interval = "–" if math.isnan(each.low) else f"{_number(each.low)} … {_number(each.high)}"
        verdict = "–" if each.holds is None else "met" if each.holds else "**not met**"
        words = f"control: {each.name}" if each.kind == "control" else each.name
        unit = f" {each.unit}" if each.unit != "share" else ""
        target = each.target or "–"
        lines.append(
            f"| {each.row} | {words} | {_number(each.value)}{unit} | {interval} | {each.n} | {target} | {verdict} |"
        )
    return "\n".join(lines)


def _number(value: float) -> str:
    if math.isnan(value):
        return "not measurable"
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.2f}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m hybridwm.bench.world_rows", description="Rows 1, 2, 9 and 12.")
    parser.add_argument("world", choices=("doom", "arm"))
    parser.add_argument("--weights", help="packaged weights by name, a folder or a file; default WORLD-64")
    parser.add_argument("--scenes", type=int, default=SCENES, help="seeds of each kind")
    parser.add_argument("--kinds", nargs="+", choices=tuple(KINDS), default=list(KINDS), help="default: all")
    parser.add_argument("--first-seed", type=int, default=WorldSetup.first_seed)
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--out", type=Path, help="a run folder for each seed's numbers; run again, it goes on")
    given = parser.parse_args(arguments)
    if given.scenes < 1 or given.workers < 1:
        parser.error("--scenes and --workers: expected at least 1")
    setup = WorldSetup(given.world, given.weights or f"{given.world}-64", given.workers, given.first_seed)
    scenes: dict[str, int] = {kind: given.scenes for kind in given.kinds}
    if given.out is None:
        figures = measure(setup, scenes)
    else:
        with RunFolder(given.out, setup, keep_metrics=True) as folder:
            figures = measure(setup, scenes, folder)
            folder.summarise(figures=[as_mapping(each) for each in figures])
    print(markdown(figures))


if __name__ == "__main__":
    main()
