"""Does the study find what was planted in it: nothing between two dreams, 1 dB of noise, a standstill, a replay?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..headline import signed
from .comparison import Comparison, compare
from .flags import Look
from .per_scene import PerScene
from .roles import Role
from .tasks import EVERYWHERE, PRIMARY

NOISE = -1.0  # dB, of the arm with noise in its frames
CLIPPED = 0.05  # dB: what frames may lose of the noise where it leaves 0…255


def planted_checks(
    values: PerScene,
    roles: Mapping[str, Role],
    looks: Mapping[tuple[str, str], Look],
    controls: Sequence[Comparison],
) -> list[dict[str, Any]]:
    """{"arm", "what", "expected", "found", "holds"} for each plant against its twin, and for each shuffled placebo."""
    found = []
    for role in roles.values():
        if role.part == "planted" and role.name in values.arms:
            found += _plant(values, role, looks)
    for control in controls:
        shuffled = roles[control.arm].depth == "shuffled"
        if shuffled and control.trajectory == EVERYWHERE and control.measure in PRIMARY:
            what = f"depth of another scene, {control.measure}"
            expected = f"no gain over {control.against}"
            holds = None if math.isinf(control.corrected.low) else not control.corrected.low > 0
            found.append(_check(control.arm, what, expected, _told(control), holds))
    return found


def _plant(values: PerScene, role: Role, looks: Mapping[tuple[str, str], Look]) -> list[dict[str, Any]]:
    each = [looks[key] for key in looks if key[1] == role.name and key[0] != EVERYWHERE]
    if role.plant in ("frozen", "copy-paste"):
        caught = [look.trajectory for look in each if look.outright]
        expected = "not ranked on any" if role.plant == "frozen" else "not ranked on at least one trajectory"
        holds = len(caught) == len(each) if role.plant == "frozen" else bool(caught)
        what = "stands still" if role.plant == "frozen" else "replays frames of the beginning"
        return [_check(role.name, what, expected, f"caught on {', '.join(caught) or 'none'}", holds)]
    if role.twin is None or role.twin not in values.arms:
        return [
            _check(role.name, role.plant, "compared with the same arm unplanted", "the study has no such arm", None)
        ]
    measures = ("psnr_all",) if role.plant == "noise" else PRIMARY
    made = [compare(values, EVERYWHERE, measure, role.name, role.twin) for measure in measures]
    return [_against_twin(role, comparison) for comparison in made if comparison.test.n]


def _against_twin(role: Role, comparison: Comparison) -> dict[str, Any]:
    interval, told = comparison.interval, _told(comparison)
    if not math.isfinite(interval.low):
        return _check(role.name, role.plant, "compared with the same arm unplanted", f"too few scenes: {told}", None)
    if role.plant == "noise":
        covers = interval.low - CLIPPED <= NOISE <= interval.high + CLIPPED
        holds = covers and interval.high < 0
        return _check(role.name, f"1 dB of noise, {comparison.measure}", "worse, covering −1 dB", told, holds)
    what = f"another noise seed, {comparison.measure}"
    return _check(role.name, what, "no difference", told, not interval.excludes_zero)


def _told(comparison: Comparison) -> str:
    interval = comparison.corrected
    low, high = signed(interval.low), signed(interval.high)
    return f"{signed(interval.value)} dB ({low} … {high}) over {comparison.against}"


def _check(arm: str, what: str, expected: str, found: str, holds: bool | None) -> dict[str, Any]:
    return {"arm": arm, "what": what, "expected": expected, "found": found, "holds": holds}
