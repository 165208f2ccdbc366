"""A small embedding of short English phrases, trained by the package itself: words and pieces of words, hashed."""

from __future__ import annotations

import functools
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from .grammar import COUNTS, KINDS, PHRASES

BUCKETS, WIDTH = 4096, 24
LARGEST_WORDS = 200  # characters of one instruction


def normal(words: str) -> str:
    """Lower case, letters and single spaces only."""
    return " ".join(re.findall(r"[a-z]+", words.lower().replace("'", "").replace("’", "")))


@functools.lru_cache(maxsize=1 << 16)
def pieces(words: str) -> tuple[int, ...]:
    """Buckets of a phrase's words, pairs of words, and runs of three letters (for inflections and slips)."""
    each = normal(words).split()
    found = [f"w {word}" for word in each] + [f"p {a} {b}" for a, b in zip(["", *each], [*each, ""], strict=True)]
    found += [f"t {mark[i : i + 3]}" for mark in (f"<{word}>" for word in each) for i in range(len(mark) - 2)]
    return tuple(zlib.crc32(piece.encode()) % BUCKETS for piece in found)


class OwnEmbedding(nn.Module):
    """Mean of the vectors of a phrase's pieces."""

    width = WIDTH

    def __init__(self) -> None:
        super().__init__()
        self.vectors = nn.EmbeddingBag(BUCKETS, WIDTH, mode="mean")

    def forward(self, texts: Sequence[str]) -> Float[Tensor, "N w"]:
        bags = [pieces(text) or (0,) for text in texts]
        offsets = torch.tensor([0, *map(len, bags[:-1])]).cumsum(0)
        return self.vectors(torch.tensor([piece for bag in bags for piece in bag]), offsets)


@dataclass(frozen=True)
class Meant:
    """What phrases mean: the code of one step, in the latent space; how many steps; and how likely they are of each
    kind. scores: logits of motions, of step counts and of kinds, for training."""

    codes: Float[Tensor, "N d"]
    steps: Int[Tensor, "N"]
    kinds: Float[Tensor, "N k"]
    scores: tuple[Float[Tensor, "N m"], Float[Tensor, "N s"], Float[Tensor, "N k"]]


class WordsEncoder(nn.Module):
    """Phrase embeddings to codes: a mixture of the codes of the grammar's motions, so that the amount does not fade
    with a phrase's length. `motions`: those codes;
    `middle`, `spread`: of what a sentence model gives, whose vectors have much in common."""

    motions: Tensor
    middle: Tensor
    spread: Tensor

    def __init__(self, width: int, dim: int, hidden: int = 64) -> None:
        super().__init__()
        self.parts = [len(PHRASES), len(COUNTS), len(KINDS)]
        self.layers = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, sum(self.parts)))
        self.register_buffer("motions", torch.zeros(len(PHRASES), dim))
        self.register_buffer("middle", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))

    def forward(self, embedded: Float[Tensor, "N w"]) -> Meant:
        motion, count, kind = self.layers((embedded - self.middle) / self.spread).split(self.parts, -1)
        steps = torch.tensor(COUNTS, device=embedded.device)[count.argmax(-1)]
        return Meant(motion.softmax(-1) @ self.motions, steps, kind.softmax(-1), (motion, count, kind))
