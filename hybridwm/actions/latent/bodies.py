"""The maps between a body's actions and codes: linear, from at most a hundred labelled pairs, and undone exactly."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

RIDGE = 1e-3


@dataclass(frozen=True)
class BodyMap:
    """codes = actions @ encoder; actions = codes @ decoder; encoder @ decoder = 1. Nothing done is the code 0."""

    encoder: Float[Tensor, "a d"]
    decoder: Float[Tensor, "d a"]

    def encode(self, actions: Float[Tensor, "*B a"]) -> Float[Tensor, "*B d"]:
        """The code of an action of this body."""
        return actions @ self.encoder

    def decode(self, codes: Float[Tensor, "*B d"]) -> Float[Tensor, "*B a"]:
        """The action of this body that does what a code says, as far as the body can."""
        return codes @ self.decoder


def fit_map(actions: Float[Tensor, "N a"], codes: Float[Tensor, "N d"]) -> BodyMap:
    """The encoder by least squares; the decoder undoes it and heeds how far each number of the codes is to be trusted
    (generalised least squares: what the codes say beyond the actions is noise).

    Raises ValueError where the pairs do not show every number of the action.
    """
    if len(actions) != len(codes) or len(actions) <= actions.shape[1]:
        raise ValueError(
            f"fit_map: expected as many actions as codes, more than {actions.shape[1]}; got "
            f"{len(actions)}, {len(codes)}."
        )
    x, z = actions.double(), codes.double()
    if int(torch.linalg.matrix_rank(x, rtol=1e-6)) < x.shape[1]:
        raise ValueError(
            "fit_map: expected labelled pairs of every kind of motion; got some that is never made. Give more."
        )
    encoder = torch.linalg.lstsq(x, z).solution
    left = z - x @ encoder
    spread = left.mT @ left / len(x)
    spread += RIDGE * torch.eye(len(spread), dtype=spread.dtype) * z.square().mean().clamp(min=1e-12)
    weighed = torch.linalg.solve(spread, encoder.mT)  # d a
    strength = encoder @ weighed
    strength += 1e-9 * strength.diagonal().mean() * torch.eye(len(strength), dtype=strength.dtype)
    decoder = torch.linalg.solve(strength, weighed.mT).mT
    return BodyMap(encoder.float(), decoder.float())
