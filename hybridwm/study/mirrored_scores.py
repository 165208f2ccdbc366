"""MIND's two measures of consistency (arXiv 2602.08025): against its own way out, and against the truth.

Mean squared error of 8-bit frames, averaged over frames; lower is better. A frozen rollout has a GSC of 0: never read
it without the motion relative to the truth.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from .metrics import quantize


def generated_scene_consistency(frames: Float[Tensor, "T H W 3"]) -> float:
    """GSC: frame i against frame T - 1 - i, over the first half, for the cameras of returns.mirrored.

    Raises ValueError for an odd number of frames.
    """
    if len(frames) % 2 or not len(frames):
        raise ValueError(f"GSC: expected an even number of frames, out and back; got {len(frames)}; add one")
    shown, half = quantize(frames), len(frames) // 2
    return float(((shown[:half] - shown[half:].flip(0)) ** 2).mean())


def long_context_memory(frames: Float[Tensor, "T H W 3"], truth: Float[Tensor, "S H W 3"]) -> float:
    """LCM: each imagined frame against the true one. Raises ValueError for frames that are not those of the truth."""
    if frames.shape != truth.shape:
        raise ValueError(f"LCM: expected frames like the truth {list(truth.shape)}; got {list(frames.shape)}")
    return float(((quantize(frames) - quantize(truth)) ** 2).mean())
