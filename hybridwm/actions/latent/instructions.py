"""Instructions in words to codes: clause by clause, "turn left a little; go forward"."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import torch
from jaxtyping import Float
from torch import Tensor

from .grammar import KINDS, vocabulary
from .words import LARGEST_WORDS, Meant, WordsEncoder, normal

LEAST = 0.5  # share of trust below which a clause is refused
NUMBER = re.compile(r"\d")
Embedding = Callable[[Sequence[str]], Float[Tensor, "N w"]]


@dataclass(frozen=True)
class Clause:
    """One clause: the code of each of its steps."""

    words: str
    code: Float[Tensor, "d"]
    steps: int


@dataclass(frozen=True)
class Instructor:
    """Reads instructions: an embedding of phrases and the encoder of what it gives."""

    embedding: Embedding
    encoder: WordsEncoder
    any_words: bool = False
    """Whether the embedding knows more words than the grammar has."""

    @torch.no_grad()
    def means(self, texts: Sequence[str]) -> Meant:
        """Of phrases of one clause each."""
        return self.encoder(self.embedding([normal(text) for text in texts]))

    def read(self, text: str) -> list[Clause]:
        """Clauses in order; they are divided by ; , . then, and. Raises ValueError for what is no motion."""
        if len(text) > LARGEST_WORDS * 50:
            raise ValueError(f"instruction: expected at most {LARGEST_WORDS * 50} letters; got {len(text)}.")
        clauses = divided(text)
        if not clauses:
            raise ValueError(f"instruction: expected words such as 'turn left a little'; got {text!r}.")
        for clause in clauses:
            if NUMBER.search(clause) or len(clause) > LARGEST_WORDS:
                raise ValueError(
                    f"instruction {clause[:60]!r}: expected a few words without numbers; say a little, nothing, or a "
                    "lot, or give keys with counts, as in w-4,j-2."
                )
            strange = [] if self.any_words else unknown(clause)
            if strange:
                raise ValueError(
                    f"instruction {clause!r}: expected words of the grammar, as in 'turn left a little', 'go "
                    f"forward' or 'look up'; got {', '.join(map(repr, strange))}. Say it in other words."
                )
        meant = self.means(clauses)
        found = []
        for i, clause in enumerate(clauses):
            kind, trust = KINDS[int(meant.kinds[i].argmax())], float(meant.kinds[i].max())
            if kind != "motion" or trust < LEAST:
                raise ValueError(_refused(clause, kind))
            found.append(Clause(clause, meant.codes[i], int(meant.steps[i])))
        return found


def unknown(clause: str) -> list[str]:
    """The words of a clause that the grammar does not have, slips of the pen apart."""
    known = vocabulary()
    return [word for word in normal(clause).split() if word not in known and not get_close_matches(word, known, 1, 0.8)]


def divided(text: str) -> list[str]:
    """The clauses of a text."""
    parts = re.split(r"[;,.\n]|\band then\b|\bthen\b|\band\b", text.lower())
    return [" ".join(part.split()) for part in parts if normal(part) or NUMBER.search(part)]


def is_instruction(text: str) -> bool:
    """Whether a text for actions is words rather than keys: some item has a space within, or a semicolon divides it."""
    return ";" in text or any(len(item.split()) > 1 for item in text.split(","))


def _refused(clause: str, kind: str) -> str:
    if kind == "place":
        return (
            f"instruction {clause!r}: expected a motion of the body, such as 'turn left a little' or 'go forward'; got "
            "a place to go to, and imagined scenes have no names for things. Steer towards a colour with "
            "hybridwm.actions.latent.steering, or say the way."
        )
    return (
        f"instruction {clause!r}: expected a motion of the body, such as 'turn left a little', 'go forward' or 'look "
        "up'; got something else. Say it in other words."
    )
