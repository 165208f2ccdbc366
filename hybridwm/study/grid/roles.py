"""Which part each arm plays: video only, another memory without depth, a depth source, a placebo, a plant, a guard."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from .config import ArmConfig, StudyConfig

Part = Literal["video", "memory", "depth", "placebo", "planted", "guard"]
SWEPT = ("truth", "noisy", "scaled", "holes", "late", "delayed", "latency")  # truth, and truth made worse
TRUTH = "truth"


@dataclass(frozen=True)
class Role:
    """An arm's part. own_weights: it names its own; only arms of like weights are compared.

    twin: of a planted arm, the same arm without the plant, where the study has it.
    """

    name: str
    part: Part
    memory: str = ""
    depth: str | None = None
    own_weights: bool = False
    plant: str = ""
    twin: str | None = None

    @property
    def quality(self) -> tuple[str, float] | None:
        """("noisy", .05) of the arms of the depth-quality sweep; ("truth", 0.) of true depth itself; None of others."""
        found = re.fullmatch(r"(\w+)(?:\(([-+.\deE]+)\))?", self.depth or "")
        if found is None or found[1] not in SWEPT:
            return None
        return found[1], float(found[2] or 0)

    @property
    def is_swept(self) -> bool:
        """Truth made worse on purpose: no source that anyone would use."""
        return self.quality is not None and self.depth != TRUTH


def roles_of(config: StudyConfig, measured: Iterable[str]) -> dict[str, Role]:
    """The role of every arm of the study; what was measured beside its arms are guards."""
    roles = {name: _role(name, arm, config.arms) for name, arm in config.arms.items()}
    return roles | {name: Role(name, "guard") for name in measured if name not in roles}


def is_placebo(depth: str | None) -> bool:
    """Depth that says nothing of the scene: a constant plane, or another scene's."""
    return depth == "shuffled" or (depth or "").startswith("constant")


def video_of(role: Role, roles: Mapping[str, Role]) -> Role | None:
    """The video-only arm of the same kind of weights."""
    return next((other for other in alike(role, roles) if other.part == "video"), None)


def memories_of(role: Role, roles: Mapping[str, Role]) -> list[Role]:
    """Every memory without depth, video only among them."""
    return [other for other in alike(role, roles) if other.part in ("video", "memory")]


def placebos_of(role: Role, roles: Mapping[str, Role]) -> list[Role]:
    """Placebos in the same memory."""
    return [other for other in alike(role, roles) if other.part == "placebo" and other.memory == role.memory]


def truth_of(role: Role, roles: Mapping[str, Role]) -> Role | None:
    """True depth in the same memory."""
    every = [other for other in alike(role, roles) if other.part == "depth" and other.depth == TRUTH]
    return next((other for other in every if other.memory == role.memory), None)


def alike(role: Role, roles: Mapping[str, Role]) -> list[Role]:
    """Arms of the same kind of weights: all of the study's, or all with their own."""
    return [other for other in roles.values() if other.own_weights == role.own_weights and other.part != "guard"]


def _role(name: str, arm: ArmConfig, arms: Mapping[str, ArmConfig]) -> Role:
    own = bool(arm.weights)
    if arm.plant or arm.noise_seed:
        plant = arm.plant or "another noise seed"
        return Role(name, "planted", arm.memory, arm.depth, own, plant, _twin(arm, arms))
    if is_placebo(arm.depth):
        part: Part = "placebo"
    elif arm.depth is not None:
        part = "depth"
    else:
        part = "video" if arm.memory == "recent" else "memory"
    return Role(name, part, arm.memory, arm.depth, own)


def _twin(arm: ArmConfig, arms: Mapping[str, ArmConfig]) -> str | None:
    same = (arm.memory, arm.depth, arm.weights)
    plain = (n for n, o in arms.items() if (o.memory, o.depth, o.weights) == same and not (o.plant or o.noise_seed))
    return next(plain, None)
