"""metrics.jsonl of a training run."""

from __future__ import annotations

import json
from pathlib import Path

from render.files import atomic_write


class MetricsFile:
    """One JSON object a line; on resuming, lines past the checkpoint are dropped so that none is there twice.

    Of several processes, those that are not the first have a `quiet` one: nothing is read or written.
    """

    def __init__(self, path: Path, keep_until: int, *, quiet: bool = False) -> None:
        self.path = path
        self.quiet = quiet
        self.lines: list[dict] = []
        if quiet:
            return
        if path.exists():
            for line in path.read_text().splitlines():
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue  # a kill can cut the last line short
                if entry.get("step", 0) <= keep_until:
                    self.lines.append(entry)
        with atomic_write(path) as temporary:
            temporary.write_text("".join(json.dumps(entry) + "\n" for entry in self.lines))

    def write(self, **entry: object) -> None:
        """Adds a line."""
        if self.quiet:
            return
        self.lines.append(entry)
        with open(self.path, "a") as file:
            file.write(json.dumps(entry) + "\n")

    def last_seconds(self) -> float:
        """Seconds of training so far, over all its pieces."""
        return float(self.lines[-1]["seconds"]) if self.lines else 0.0

    def curve(self, points: int = 40) -> list[list[float]]:
        """[step, mean loss] over equal stretches of the run."""
        losses = [(e["step"], e["loss"]) for e in self.lines if "loss" in e]
        size = max(1, len(losses) // points)
        chunks = [losses[i : i + size] for i in range(0, len(losses), size)]
        return [[c[-1][0], round(sum(loss for _, loss in c) / len(c), 5)] for c in chunks]

    def validations(self) -> list[dict]:
        """The scores of each validation, with its step."""
        return [{"step": e["step"], **e["validation"]} for e in self.lines if "validation" in e]
