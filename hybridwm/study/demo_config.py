"""What the demo runs. Torch-free, so that a command can show its options without loading torch."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

FIRST_HELD_OUT_SEED = 10_000_000  # training uses seeds below 1,000,000


@dataclass(frozen=True)
class DemoConfig:
    """The same walks in every arm, beside the truth and the guards, in rooms that training never saw."""

    out: Path = Path("runs/demo")
    """The run folder: report.html, summary.json, metrics.jsonl, rollouts/*.mp4, scene/."""
    weights: str = "rooms-64"
    """Packaged weights by name, or a folder."""
    full: bool = False
    """At least 24 scenes and 128 stare tests (up to an hour on two cores) instead of a first look."""
    scenes: int = 4
    """Rooms for the walks and the out-and-back; --full raises it to 24."""
    stares: int = 8
    """Stare tests, each in 16 rooms of one style; --full raises it to 128."""
    walk_views: int = 8
    """Observed frames before a scripted walk."""
    walk_steps: int = 24
    """Imagined frames of a scripted walk."""
    out_steps: int = 14
    """Imagined steps away from the observed beginning; as many lead back."""
    stare_steps: int = 12
    """Imagined frames for which the stare test looks at the floor; at least twice the context."""
    long_steps: int = 200
    """Imagined frames over which the time per frame must not grow."""
    first_seed: int = FIRST_HELD_OUT_SEED
    """The rooms' first seed."""
    workers: int = 2
    """Processes, one thread each."""
    videos: int = 4
    """Scenes whose rollouts are kept as mp4 and shown in the report."""
    fresh: bool = False
    """Measure everything again, instead of keeping the finished scenes of an earlier run with the same
    options."""

    def __post_init__(self) -> None:
        for name, least in (
            ("scenes", 1),
            ("stares", 0),
            ("walk_views", 2),
            ("out_steps", 4),
            ("workers", 1),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"DemoConfig.{name}: expected at least {least}; got {getattr(self, name)}.")
        if self.walk_steps < 16:
            raise ValueError(
                f"DemoConfig.walk_steps: expected at least 16, over which rollouts are compared; got {self.walk_steps}."
            )
        if 0 < self.long_steps < 40:
            raise ValueError(
                f"DemoConfig.long_steps: expected 0 (leave it out) or at least 40, to see a slope; "
                f"got {self.long_steps}."
            )
        if self.first_seed < FIRST_HELD_OUT_SEED:
            raise ValueError(
                f"DemoConfig.first_seed: expected a held-out seed, {FIRST_HELD_OUT_SEED} or above; "
                f"got {self.first_seed}. Lower ones may have been trained on."
            )

    def resolved(self) -> DemoConfig:
        """With the numbers that `full` asks for."""
        if not self.full:
            return self
        return replace(self, scenes=max(self.scenes, 24), stares=max(self.stares, 128))

    @property
    def command(self) -> str:
        """The command that runs this again."""
        words = ["hybridwm demo"]
        for field in fields(self):
            raised = self.full and field.name in ("scenes", "stares")
            value = getattr(self, field.name)
            elsewhere = field.name == "out" and self.out.is_absolute()  # a place on one machine
            if value != field.default and field.name not in ("full", "fresh") and not raised and not elsewhere:
                words.append(f"--{field.name.replace('_', '-')} {value}")
        if self.full:
            words.append("--full")
        return " ".join(words)
