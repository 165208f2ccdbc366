"""Training of a latent action space: the models without labels, then the maps of bodies, then the words."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from render.files import atomic_write

from ...actions.body import Body
from ...actions.latent.bodies import BodyMap, fit_map
from ...actions.latent.sentences import SentenceEmbedding
from ...actions.latent.space import LatentActions, save_latent_actions
from ...actions.twist import DriveBody
from ...actions.walker import Walker
from ..clips import step_generator
from ..distributed import device_of
from ..loop import optimise
from .config import LatentTraining, PairsConfig
from .objective import LatentActionModel, errors
from .pairs import LARGEST, Moves, Pairs, recorded_pairs, room_pairs, walker_moves
from .words import train_words

FIELDS = ("before", "after", "match", "actions", "room")


def train(config: LatentTraining, folder: Path) -> Path:
    """Trains (or goes on training) in `folder` and returns the path of the published weights.

    Writes data/ (pairs), checkpoints/, metrics.jsonl and <name>.safetensors (averaged weights, fp16) with <name>.json.
    """
    device = device_of(config.device)
    if config.threads:
        torch.set_num_threads(config.threads)
    began = time.time()
    pairs, held_out = load_or_make(folder / "data", config.pairs)
    making = time.time() - began
    torch.manual_seed(config.seed)
    model = LatentActionModel(config.core).to(device)

    def loss_at(network: nn.Module, step: int, unit: int) -> tuple[Tensor, dict[str, float]]:
        stream = step_generator(config.seed, step, torch.device("cpu"))
        chosen = pairs[torch.randint(len(pairs), (config.batch,), generator=stream)]
        found = errors(model, chosen, stream, recolour=True, back=config.there_and_back > 0)
        shown = {"after": found.after.item(), "nats": found.nats.item()}
        return found.loss(config.bottleneck, config.there_and_back, config.matching), shown

    def scores(average: dict[str, Tensor]) -> dict[str, float]:
        judged = LatentActionModel(config.core).to(device)
        judged.load_state_dict(average)
        return validate(judged, held_out)

    trained = optimise(model, loss_at, scores, config, folder)
    model.load_state_dict(trained.average)
    model = model.cpu().eval().requires_grad_(False)
    space = LatentActions(model.inverse, model.ahead, {})
    if not config.pairs.source:
        space = replace(space, bodies=fit_bodies(space, config.pairs))
    if config.words_steps and "walker" in space.bodies:
        sentences = SentenceEmbedding(config.sentences) if config.sentences else None
        spoken = train_words(space.bodies["walker"], config.core.dim, config.words_steps, config.seed, sentences)
        space = replace(space, instructor=spoken)
    first = config.pairs.first_seed
    card = {
        "training_seeds": [first, first + config.pairs.rooms - 1],
        "pairs": len(pairs),
        "labelled_pairs_of_each_body": config.pairs.labelled if space.bodies else 0,
        "validation_at_the_end": validate(model, held_out),
        "seconds_making_or_reading_pairs": round(making, 1),
        "seconds": round(time.time() - began, 1),
        **trained.card,
    }
    return save_latent_actions(folder, config.name, space, asdict(config), card)


def load_or_make(folder: Path, config: PairsConfig) -> tuple[Pairs, Pairs]:
    """(pairs to train on, held-out ones), kept in `folder`. Raises FileNotFoundError, FormatError, ValueError."""
    if config.source:
        pairs = recorded_pairs(Path(config.source), config.rooms, quiet=False)
        first_held = int(pairs.room.max()) + 1 - config.validation
        training, held_out = pairs[pairs.room < first_held], pairs[pairs.room >= first_held]
        if not len(training) or not len(held_out):
            raise ValueError(
                f"{config.source}: expected more episodes than pairs.validation={config.validation}, and at least one "
                f"of those; got {int(pairs.room.max()) + 1}."
            )
        return training, held_out

    def kept(name: str, first: int, rooms: int) -> Pairs:
        file = folder / f"{name}-{first:08d}-{rooms}.safetensors"
        if not file.exists():
            made = room_pairs(range(first, first + rooms), quiet=False)
            with atomic_write(file) as temporary:
                save_file({name: getattr(made, name).contiguous() for name in FIELDS}, temporary)
        return Pairs(**load_file(file))

    return (
        kept("pairs", config.first_seed, config.rooms),
        kept("validation", config.validation_seed, config.validation),
    )


@torch.no_grad()
def validate(model: LatentActionModel, pairs: Pairs) -> dict[str, float]:
    """PSNR of the next frame by codes, of the frame before as a copy, and nats that a code tells."""
    stream, squared, copied, nats = torch.Generator().manual_seed(0), [], [], []
    for first in range(0, len(pairs), 64):
        some = pairs[slice(first, first + 64)]
        before, after = some.before.float() / 255, some.after.float() / 255
        device = next(model.parameters()).device
        code = model.inverse(before.to(device), after.to(device), some.match.to(device))[0]
        squared.append((model.ahead(before.to(device), code).frame.cpu().clamp(0, 1) - after).square().mean((1, 2, 3)))
        copied.append((before - after).square().mean((1, 2, 3)))
        nats.append(errors(model, some, stream, recolour=False, back=False).nats.expand(len(some)).cpu())
    psnr, copy = (float(-10 * torch.cat(each).mean().log10()) for each in (squared, copied))
    return {"psnr": psnr, "copy": copy, "nats": float(torch.cat(nats).mean())}


def drive_moves(stream: torch.Generator, count: int) -> Float[Tensor, "N 2"]:
    """Metres ahead and radians to the left, together or one of them."""
    kind = torch.rand(count, 1, generator=stream)
    used = torch.where(kind < 0.3, torch.tensor([1.0, 0.0]), torch.where(kind < 0.6, torch.tensor([0.0, 1.0]), 1.0))
    return used * LARGEST[[0, 2]] * (2 * torch.rand(count, 2, generator=stream) - 1)


LABELLED: Mapping[str, tuple[Body, Moves]] = {"walker": (Walker(), walker_moves), "drive": (DriveBody(), drive_moves)}
"""Bodies whose maps are fitted, with the moves that are shown of each."""


def fit_bodies(space: LatentActions, config: PairsConfig) -> dict[str, BodyMap]:
    """The map of each body, from labelled pairs in rooms that training did not see."""
    found, first = {}, config.first_seed + config.rooms
    for name, (body, moves) in LABELLED.items():
        pairs = labelled_pairs(range(first, first + 20), config.labelled, moves, body)
        codes = space.inverse(pairs.before.float() / 255, pairs.after.float() / 255, pairs.match)[0]
        found[name] = fit_map(pairs.actions, codes)
        first += 20
    return found


def labelled_pairs(seeds: range, count: int, moves: Moves, body: Body) -> Pairs:
    """The first so many, in a random order, of the pairs that these rooms give."""
    pairs = room_pairs(seeds, moves, body)
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(seeds[0]))
    return pairs[order[:count]]
