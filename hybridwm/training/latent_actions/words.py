"""Training of the words: phrases of the grammar to the codes of what they ask for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from ...actions.latent.bodies import BodyMap
from ...actions.latent.grammar import COUNTS, KINDS, MOTIONS, PHRASES, Phrase, phrases
from ...actions.latent.instructions import Embedding, Instructor
from ...actions.latent.words import Meant, OwnEmbedding, WordsEncoder

BATCH, RATE, DECAY = 256, 4e-3, 1e-4
FEW = 4000  # phrases that a sentence model is asked for: it is slow, and its vectors are kept


def train_words(walker: BodyMap, dim: int, steps: int, seed: int, sentences: Embedding | None = None) -> Instructor:
    """An encoder of the phrases that are not held out; with `sentences` for an embedding, else with one of its own,
    trained too. A function of its arguments."""
    stream = torch.Generator().manual_seed(seed)
    known = [phrase for phrase in phrases() if not phrase.held_out]
    if sentences is not None:
        chosen = torch.multinomial(_weights(known), min(FEW, len(known)), generator=stream)
        known = [known[i] for i in chosen.tolist()]
    weights = _weights(known)
    motions = torch.tensor([list(PHRASES).index(phrase.motion) for phrase in known])
    counts = torch.tensor([COUNTS.index(phrase.steps) for phrase in known])
    kinds = torch.tensor([KINDS.index(phrase.kind) for phrase in known])
    texts = [phrase.words for phrase in known]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        embedding: Embedding = OwnEmbedding() if sentences is None else sentences
        vectors = None if sentences is None else sentences(texts)
        width = embedding.width if isinstance(embedding, OwnEmbedding) else vectors.shape[1]  # pyright: ignore[reportOptionalMemberAccess]
        encoder = WordsEncoder(width, dim)
        encoder.motions.copy_(walker.encode(torch.tensor([MOTIONS[motion] for motion in PHRASES])))
        if vectors is not None:
            encoder.middle.copy_(vectors.mean(0))
            encoder.spread.copy_(vectors.std(0).clamp(min=1e-4))
        trained = nn.ModuleList([encoder, *([embedding] if isinstance(embedding, OwnEmbedding) else [])])
        optimiser = torch.optim.AdamW(trained.parameters(), RATE, weight_decay=DECAY)
        for step in range(steps):
            for group in optimiser.param_groups:
                group["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
            chosen = torch.multinomial(weights, BATCH, replacement=True, generator=stream)
            given = embedding([texts[i] for i in chosen.tolist()]) if vectors is None else vectors[chosen]
            meant = encoder(given)
            optimiser.zero_grad()
            words_loss(meant, motions[chosen], counts[chosen], kinds[chosen]).backward()
            optimiser.step()
    trained.eval().requires_grad_(False)
    return Instructor(embedding, encoder, any_words=sentences is not None)


def words_loss(
    meant: Meant, motions: Int[Tensor, "N"], counts: Int[Tensor, "N"], kinds: Int[Tensor, "N"]
) -> Float[Tensor, ""]:
    """Cross entropies: of the motion and the number of steps, where a motion is asked for, and of the kind."""
    asked = (kinds == KINDS.index("motion")).float()
    motion, count, kind = meant.scores
    own = F.cross_entropy(motion, motions, reduction="none") + F.cross_entropy(count, counts, reduction="none")
    return (own * asked).mean() + F.cross_entropy(kind, kinds)


def _weights(known: Sequence[Phrase]) -> Tensor:
    """Chance of each phrase: two thirds motions, each motion as often as another; the rest places and others."""
    groups = [f"{phrase.kind} {phrase.motion}" for phrase in known]
    sizes = Counter(groups)
    shares = {group: 2 / 3 / len(PHRASES) if group.startswith("motion") else 1 / 6 for group in sizes}
    return torch.tensor([shares[group] / sizes[group] for group in groups])
