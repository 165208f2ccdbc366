"""Rotations stored as a unit quaternion's three smaller components and the index of the largest."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, UInt32

_OTHERS = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])


def quats_from_smallest_three(
    three: Float32[np.ndarray, "N 3"], largest: UInt32[np.ndarray, " N"]
) -> Float32[np.ndarray, "N 4"]:
    """The quaternions, in the order that `largest` counts in; the component left out is taken as positive."""
    quats = np.empty((len(three), 4), np.float32)
    for index, others in enumerate(_OTHERS):
        rows = largest == index
        quats[np.ix_(rows, others)] = three[rows]
        quats[rows, index] = np.sqrt(np.maximum(0, 1 - np.square(three[rows]).sum(axis=1)))
    return quats
