"""The verdict on each depth source and task: needed, helps, no effect seen, hurts, or not ranked.

*Needed*: better than every memory without depth and than every placebo in the same memory. To beat all of them is to
beat the best of them, so no best one is picked from the same scenes (an intersection-union test: its p is the largest
of the single ones; Berger 1982). *Helps*: better than video only, but not shown to be better than one of the others.
*Hurts*: worse than video only. Else *no effect seen*, with the interval, which says what size is excluded.
Each rests on intervals that are Holm-corrected over the depth sources and trajectories of the measure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..effects import holm_ranks, share_of_gap
from ..statistics import Interval
from .comparison import Comparison, compare
from .flags import Look
from .per_scene import PerScene
from .roles import Role, memories_of, placebos_of, truth_of, video_of
from .tasks import EVERYWHERE

NEEDED, HELPS, NO_EFFECT, HURTS = "needed", "helps", "no effect seen", "hurts"
ABOVE, NOT_ABOVE = "beats the placebos", "no better than a placebo"  # of what video only cannot be measured on
NOT_RANKED, NOT_MEASURED = "not ranked", "not measured"
TOO_FEW = "too few scenes"  # for any interval at the level that is asked
WORDS = (NEEDED, HELPS, NO_EFFECT, HURTS, ABOVE, NOT_ABOVE, NOT_RANKED, NOT_MEASURED, TOO_FEW)


@dataclass(frozen=True)
class Verdict:
    """On one arm, trajectory and measure. word: the verdict; numbers: what it would be but for the flags, "" for a
    frozen or replaying rollout. gain: over video only, where that was measured; rivals: over each of the others.

    failed: rivals that it was not shown to beat. share: of the way from video only to true depth.
    """

    trajectory: str
    measure: str
    role: Role
    word: str
    numbers: str
    flags: tuple[str, ...]
    gain: Comparison | None
    rivals: tuple[Comparison, ...]
    placebos: tuple[str, ...]
    failed: tuple[str, ...]
    share: Interval | None

    @property
    def best_rival(self) -> Comparison | None:
        """Against the one of the highest mean: the smallest difference."""
        measured = [c for c in self.rivals if c.test.n]
        return min(measured, key=lambda c: c.test.mean) if measured else None

    def as_mapping(self) -> dict[str, Any]:
        best, share = self.best_rival, self.share
        return {
            "trajectory": self.trajectory,
            "measure": self.measure,
            "arm": self.role.name,
            "depth": self.role.depth,
            "memory": self.role.memory,
            "own_weights": self.role.own_weights,
            "swept": self.role.is_swept,
            "word": self.word,
            "numbers": self.numbers,
            "flags": list(self.flags),
            "gain": None if self.gain is None else self.gain.as_mapping(),
            "best_rival": None if best is None else best.as_mapping(),
            "rivals": [c.name for c in self.rivals],
            "placebos": list(self.placebos),
            "failed": list(self.failed),
            "share": None if share is None else {"value": share.value, "low": share.low, "high": share.high},
        }


@dataclass(frozen=True)
class _Case:
    trajectory: str
    measure: str
    role: Role
    gain: Comparison | None
    rivals: tuple[Comparison, ...]
    placebos: tuple[str, ...]


def judge(
    values: PerScene, roles: Mapping[str, Role], looks: Mapping[tuple[str, str], Look], measure: str
) -> list[Verdict]:
    """Every depth source on every trajectory. All trajectories together are a family of their own."""
    sources = [role for role in roles.values() if role.part == "depth" and role.name in values.arms]
    each = [name for name in values.trajectories if name != EVERYWHERE]
    found = []
    for family in ([EVERYWHERE], each):
        cases = [_case(values, roles, role, trajectory, measure) for trajectory in family for role in sources]
        found += [_verdict(values, roles, looks, case) for case in _corrected(cases)]
    return found


def controls(values: PerScene, roles: Mapping[str, Role], measure: str) -> list[Comparison]:
    """Every placebo and every memory without depth over video only; Holm-corrected like the sources."""
    others = [role for role in roles.values() if role.part in ("placebo", "memory") and role.name in values.arms]
    each, found = [name for name in values.trajectories if name != EVERYWHERE], []
    for family in ([EVERYWHERE], each):
        pairs = [(t, role, video_of(role, roles)) for t in family for role in others]
        made = [compare(values, t, measure, role.name, video.name) for t, role, video in pairs if video is not None]
        made = [comparison for comparison in made if comparison.test.n]
        ranks = holm_ranks([comparison.test.p for comparison in made])
        found += [comparison.ranked(rank) for comparison, rank in zip(made, ranks, strict=True)]
    return found


def _case(values: PerScene, roles: Mapping[str, Role], role: Role, trajectory: str, measure: str) -> _Case:
    placebos = [other.name for other in placebos_of(role, roles)]
    others = [*(other.name for other in memories_of(role, roles)), *placebos]
    made = [compare(values, trajectory, measure, role.name, other) for other in others]
    made = tuple(comparison for comparison in made if comparison.test.n)
    video = video_of(role, roles)
    gain = next((c for c in made if video is not None and c.against == video.name), None)
    names = tuple(c.against for c in made if c.against in placebos)
    return _Case(trajectory, measure, role, gain, made, names)


def _corrected(cases: Sequence[_Case]) -> list[_Case]:
    """Gains over video only are one family, and "beats them all" is another, of as many hypotheses."""
    gains = holm_ranks([1.0 if case.gain is None else case.gain.test.p for case in cases])
    needs = holm_ranks([_beats_all(case) for case in cases])
    return [
        replace(
            case,
            gain=None if case.gain is None else case.gain.ranked(gain),
            rivals=tuple(rival.ranked(need) for rival in case.rivals),
        )
        for case, gain, need in zip(cases, gains, needs, strict=True)
    ]


def _beats_all(case: _Case) -> float:
    """p of "the best rival is beaten": the largest p of all; 1 where a mean is on the wrong side."""
    if not case.rivals or any(not rival.test.mean > 0 for rival in case.rivals):
        return 1.0
    return max(rival.test.p for rival in case.rivals)


def _verdict(
    values: PerScene, roles: Mapping[str, Role], looks: Mapping[tuple[str, str], Look], case: _Case
) -> Verdict:
    failed = tuple(rival.against for rival in case.rivals if not rival.corrected.low > 0)
    numbers = _numbers(case, failed)
    look = looks.get((case.trajectory, case.role.name))
    word = numbers
    if look is not None and look.words and numbers != NOT_MEASURED:
        word, numbers = NOT_RANKED, "" if look.outright else numbers
    return Verdict(
        case.trajectory,
        case.measure,
        case.role,
        word,
        numbers,
        () if look is None else look.words,
        case.gain,
        case.rivals,
        case.placebos,
        failed,
        _share(values, roles, case),
    )


def _numbers(case: _Case, failed: tuple[str, ...]) -> str:
    """The verdict by intervals alone."""
    if case.gain is None or case.gain.test.n < 2:
        if not any(rival.against in case.placebos for rival in case.rivals):
            return NOT_MEASURED
        return NOT_ABOVE if failed else ABOVE
    if case.placebos and not failed:
        return NEEDED
    gain = case.gain.corrected
    if gain.low > 0:
        return HELPS
    if math.isinf(gain.low):
        return TOO_FEW
    return HURTS if gain.high < 0 else NO_EFFECT


def _share(values: PerScene, roles: Mapping[str, Role], case: _Case) -> Interval | None:
    truth = truth_of(case.role, roles)
    if case.gain is None or truth is None or truth.name == case.role.name or truth.name not in values.arms:
        return None
    whole = compare(values, case.gain.trajectory, case.gain.measure, truth.name, case.gain.against)
    if not whole.interval.low > 0:
        return None
    return share_of_gap(case.gain.differences, whole.differences)
