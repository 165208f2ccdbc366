"""The answer in words, from the verdicts: what the report, the terminal and the README say first."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..headline import signed
from .tasks import EVERYWHERE, MEASURES, PRIMARY
from .verdict import ABOVE, HELPS, HURTS, NEEDED, NO_EFFECT, NOT_ABOVE, NOT_MEASURED, NOT_RANKED

WORSE = {
    "noisy": "{percent:g} % off",
    "scaled": "× {number:g}",
    "holes": "with {percent:g} % holes",
    "late": "{number:g} steps late",
}
NAMES = {"truth": "true depth", "rgbd": "RGB-D"}
FEW = 12  # scenes, below which the page says that they are few


def source_name(verdict: Mapping[str, Any]) -> str:
    """The depth source as it is said in a sentence, with its memory where that is no splat scene."""
    depth = str(verdict["depth"])
    found = re.fullmatch(r"(\w+)\(([\d.]+)\)", depth)
    if found is not None and found[1] in WORSE:
        name = "true depth " + WORSE[found[1]].format(number=float(found[2]), percent=100 * float(found[2]))
    else:
        name = NAMES.get(depth, depth.split("(")[0] if "/" in depth else depth)
    if verdict["memory"] != "splat":
        name += f" ({verdict['memory']})"
    return name + (", own weights" if verdict["own_weights"] else "")


def answer(verdicts: Sequence[Mapping[str, Any]]) -> str:
    """One line on the question of the study, from the verdicts on what was seen before, over all trajectories."""
    first = leading(verdicts)
    if not any(v["gain"] for v in first):
        return "Not measured: the study has no arm with depth beside one of video only (memory: recent)."
    real = [v for v in first if v["depth"] != "truth"]
    said = {word: [v for v in first if v["word"] == word] for word in (NEEDED, HELPS, NO_EFFECT, HURTS, NOT_RANKED)}
    if any(v["word"] == NEEDED for v in real):
        return f"Yes: depth is needed. {_listed([v for v in said[NEEDED]])}"
    if said[NEEDED]:
        return f"With true depth, yes; with measured depth it was not shown. {_listed(said[NEEDED])}"
    if said[HELPS]:
        why = "" if any(v["placebos"] for v in first) else ": the study has no placebo"
        return f"A memory in 3D helps; that it needs depth was not shown{why}. {_listed(said[HELPS])}"
    if said[NOT_RANKED]:
        return _unranked(first, said[NOT_RANKED])
    if not (said[HURTS] or said[NO_EFFECT]):
        return f"Too few scenes to say anything. {_listed(first)}"
    if said[HURTS] and not said[NO_EFFECT]:
        return f"Depth made things worse. {_listed(said[HURTS])}"
    return f"No effect of depth was seen. {_listed(said[NO_EFFECT])}"


def leading(verdicts: Sequence[Mapping[str, Any]], measure: str = PRIMARY[0]) -> list[Mapping[str, Any]]:
    """Verdicts of the first screen: over all trajectories, sources that one would use, own weights apart."""
    found = [v for v in verdicts if (v["measure"], v["trajectory"]) == (measure, EVERYWHERE) and not v["swept"]]
    found = [v for v in found if v["word"] != NOT_MEASURED]
    shared = [v for v in found if not v["own_weights"]]
    return shared or found


def sentence(verdict: Mapping[str, Any]) -> str:
    """Size, interval and n, and then the grounds of the verdict."""
    gain, unit = verdict["gain"], MEASURES[verdict["measure"]].unit
    if gain is None:
        return grounds(verdict)
    told = f"{size(gain, unit)} over {gain['against']} ({bounds(gain)}; {gain['n']} scenes)"
    return f"{told}; {grounds(verdict)}".removesuffix("; ")


def grounds(verdict: Mapping[str, Any]) -> str:
    """What the verdict rests on: rivals, what size is excluded, share of the gap, flags."""
    unit = MEASURES[verdict["measure"]].unit
    parts = [part for part in (_rivals(verdict, unit), _excluded(verdict, unit), _share(verdict)) if part]
    if verdict["word"] == NOT_RANKED:
        alone = f"by its numbers alone: {verdict['numbers']}" if verdict["numbers"] else "its numbers mean nothing"
        parts.append(f"flagged: it {'; it '.join(verdict['flags'])} ({alone})")
    return "; ".join(parts) + ("." if parts else "")


def size(comparison: Mapping[str, Any], unit: str) -> str:
    """A difference with its unit."""
    digits = 2 if unit in ("dB", "°") else 3
    return signed(comparison["value"], digits) + (f" {unit}" if unit and unit != "share" else "")


def bounds(comparison: Mapping[str, Any], digits: int = 2) -> str:
    """The Holm-corrected interval."""
    low, high = comparison["low_holm"], comparison["high_holm"]
    if low is None or high is None:
        return "too few scenes for an interval"
    return f"{signed(low, digits)} … {signed(high, digits)}"


def cautions(summary: Mapping[str, Any]) -> list[str]:
    """What to keep in mind beside the answer: few scenes, no placebo, flags that most arms share."""
    said, first = [], leading(summary["verdicts"])
    n = min((v["gain"]["n"] for v in first if v["gain"]), default=0)
    if 0 < n < FEW:
        said.append(f"{n} scenes are few: take this as a first look.")
    if first and not any(v["placebos"] for v in first):
        said.append(
            "This study has no placebo (a constant plane, another scene's depth), so it cannot say that depth is "
            "needed: a scene memory with wrong depth might do as well."
        )
    if summary["blurred_share"] >= 0.5:
        ratios = ", ".join(f"{look['arm']} {look['motion']:.2f}" for look in summary["slowest"])
        said.append(
            f"{100 * summary['blurred_share']:.0f} % of the arms move less than .9 of the truth ({ratios}): the "
            "rollouts blur, video only with them, so by the rule they are not ranked. What their numbers alone would "
            "say stands beside the flag; PSNR forgives blur in every arm alike."
        )
    return said


def best_guard(summary: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What no generator reaches at most on what was seen before, over video only; None where no guard was measured."""
    parts = {arm["name"]: arm["part"] for arm in summary["arms"]}
    first = (PRIMARY[0], EVERYWHERE, "guard")
    made = [c for c in summary["comparisons"] if (c["measure"], c["trajectory"], parts.get(c["arm"])) == first]
    return max(made, key=lambda c: c["value"], default=None)


def _unranked(first: Sequence[Mapping[str, Any]], unranked: Sequence[Mapping[str, Any]]) -> str:
    words = {word: [v for v in unranked if v["numbers"] == word] for word in (NEEDED, HELPS, NO_EFFECT, HURTS)}
    parts = [f"{word}: {_listed(some)}" for word, some in words.items() if some]
    head = "Not ranked: rollouts are flagged." if len(unranked) == len(first) else "Most are flagged and not ranked."
    return f"{head} By numbers alone, {'; '.join(parts)}" if parts else head


def _listed(verdicts: Sequence[Mapping[str, Any]]) -> str:
    made = []
    for v in verdicts:
        unit = MEASURES[v["measure"]].unit
        made.append(f"{source_name(v)} {size(v['gain'], unit)}" if v["gain"] else source_name(v))
    return ", ".join(made) + (" over video only" if made else "")


def _rivals(verdict: Mapping[str, Any], unit: str) -> str:
    best, word = verdict["best_rival"], verdict["numbers"]
    if word in (NEEDED, ABOVE) and best is not None:
        return f"it beats every rival, {best['against']} most narrowly by {size(best, unit)} ({bounds(best)})"
    if word in (HELPS, NOT_ABOVE) and verdict["failed"]:
        names = [f"{n} (a placebo)" if n in verdict["placebos"] else n for n in verdict["failed"]]
        return f"but not shown to beat {', '.join(names)}"
    if word == HELPS:
        return "it beats every memory without depth; there is no placebo in this memory"
    return ""


def _excluded(verdict: Mapping[str, Any], unit: str) -> str:
    gain = verdict["gain"]
    if verdict["numbers"] != NO_EFFECT or gain is None or gain["low_holm"] is None:
        return ""
    return f"gains above {signed(gain['high_holm'])} {unit} and losses below {signed(gain['low_holm'])} are excluded"


def _share(verdict: Mapping[str, Any]) -> str:
    share = verdict["share"]
    if share is None:
        return ""
    low, high = (100 * share[key] for key in ("low", "high"))
    return f"{100 * share['value']:.0f} % of the way to true depth ({low:.0f} … {high:.0f} %)".replace("-", "−")
