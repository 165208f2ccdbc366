"""What an environment tells of its sight in `info["view"]`: a View that can be compared."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from recon.view import View


@dataclass(frozen=True, eq=False)
class SeenView(View):
    """A View that compares by value, as Gymnasium's checkers compare what `info` holds."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SeenView):
            return NotImplemented
        pairs = [(self.camera.K, other.camera.K), (self.camera.w2c, other.camera.w2c)]
        pairs += [(getattr(self, k), getattr(other, k)) for k in ("image", "right", "depth")]
        both = [(a, b) for a, b in pairs if a is not None and b is not None]
        absent = sum(a is None and b is None for a, b in pairs)
        return self.baseline == other.baseline and len(both) + absent == len(pairs) and all(
            torch.equal(a, b) for a, b in both
        )

    __hash__ = object.__hash__
