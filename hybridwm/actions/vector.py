"""An action given as plain numbers."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def read_vector(action: Any, names: tuple[str, ...]) -> Float[Tensor, "a"]:
    """Finite numbers, one for each name. Raises ValueError."""
    try:
        vector = torch.as_tensor(action, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError):
        vector = torch.empty(0)
    if vector.shape != (len(names),) or not bool(torch.isfinite(vector).all()):
        raise ValueError(f"action: expected {len(names)} finite numbers ({', '.join(names)}); got {action!r}.")
    return vector
