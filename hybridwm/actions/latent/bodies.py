"""The maps between a body's actions and codes: linear, from at most a hundred labelled pairs, and undone exactly."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

RIDGE = 1e-3
ROUNDS = 15  # of reweighting (Huber)
KEY_RIDGE = 1e-2


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


@dataclass(frozen=True)
class KeyMap:
    """A linear map from codes to scores of the keys (actions.walker.ACTIONS, in that order)."""

    weight: Float[Tensor, "d k"]
    bias: Float[Tensor, "k"]

    def scores(self, codes: Float[Tensor, "*B d"]) -> Float[Tensor, "*B k"]:
        """The higher, the likelier."""
        return codes @ self.weight + self.bias


def fit_keys(codes: Float[Tensor, "N d"], keys: Int[Tensor, "N"], count: int) -> KeyMap:
    """Of `count` keys, by the likelihood of the labelled ones and a small ridge."""
    mean, deviation = codes.mean(0), codes.std(0).clamp(min=1e-6)
    weight = torch.zeros(codes.shape[1], count, requires_grad=True)
    bias = torch.zeros(count, requires_grad=True)
    given = (codes - mean) / deviation
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        found = torch.nn.functional.cross_entropy(given @ weight + bias, keys) + KEY_RIDGE * weight.square().mean()
        found.backward()
        return found

    optimiser.step(loss)  # pyright: ignore[reportArgumentType]
    scaled = weight.detach() / deviation[:, None]
    return KeyMap(scaled, bias.detach() - mean @ scaled)


def fit_map(actions: Float[Tensor, "N a"], codes: Float[Tensor, "N d"]) -> BodyMap:
    """The encoder by robust least squares; the decoder undoes it and heeds how far each number of the codes
    is to be trusted (generalised least squares: what the codes say beyond the actions is noise).

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
    weights = torch.ones(len(x), 1, dtype=x.dtype)
    for _ in range(ROUNDS):  # pairs on which nothing can be seen to move would shorten the codes
        root = weights.sqrt()
        encoder = torch.linalg.lstsq(x * root, z * root).solution
        left = z - x @ encoder
        size = left.norm(dim=1, keepdim=True)
        weights = 1 / (size / size.median().clamp(min=1e-12)).clamp(min=1)
    spread = (left * weights).mT @ left / weights.sum()
    spread += RIDGE * torch.eye(len(spread), dtype=spread.dtype) * z.square().mean().clamp(min=1e-12)
    weighed = torch.linalg.solve(spread, encoder.mT)  # d a
    strength = encoder @ weighed
    strength += 1e-9 * strength.diagonal().mean() * torch.eye(len(strength), dtype=strength.dtype)
    decoder = torch.linalg.solve(strength, weighed.mT).mT
    return BodyMap(encoder.float(), decoder.float())
