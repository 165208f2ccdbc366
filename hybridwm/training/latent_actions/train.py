"""Training of a latent action space: the models without labels, then the maps of bodies, then the words."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from render.files import atomic_write

from ...actions.latent.bodies import BodyMap, fit_keys, fit_map
from ...actions.latent.sentences import SentenceEmbedding
from ...actions.latent.space import LatentActions, save_latent_actions
from ...actions.walker import ACTIONS
from ..clips import step_generator
from ..distributed import device_of
from ..loop import optimise
from .config import LatentTraining, PairsConfig
from .objective import LatentActionModel, errors
from .pairs import Pairs, labelled_keys, recorded_pairs, room_pairs
from .words import train_words

LABELLED_ROOMS = 12
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
    space = LatentActions(model.inverse, model.ahead, usual_spread(model, held_out), {})
    if not config.pairs.source:
        space = fit_bodies(space, config.pairs)
    if config.words_steps and "walker" in space.bodies:
        sentences = SentenceEmbedding(config.sentences) if config.sentences else None
        spoken = train_words(space.bodies["walker"], config.core.dim, config.words_steps, config.seed, sentences)
        space = replace(space, instructor=spoken)
    first = config.pairs.first_seed
    card = {
        "training_seeds": [first, first + config.pairs.rooms - 1],
        "pairs": len(pairs),
        "labelled_pairs": config.pairs.labelled if space.bodies else 0,
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


@torch.no_grad()
def usual_spread(model: LatentActionModel, pairs: Pairs) -> Float[Tensor, "d"]:
    """The median spread of each number of a code; 0 for codes without noise."""
    if not model.config.noise:
        return torch.zeros(model.config.dim)
    parts = [pairs[slice(i, i + 64)] for i in range(0, len(pairs), 64)]
    spreads = [model.inverse(p.before.float() / 255, p.after.float() / 255, p.match)[1] for p in parts]
    return (torch.cat(spreads) / 2).exp().median(0).values


def fit_bodies(space: LatentActions, config: PairsConfig) -> LatentActions:
    """With maps of keys, of the walker and of wheels, from one set of labelled pairs of walks by keys, in rooms that
    training did not see. Wheels move the camera as a walker does that goes ahead and turns, so they share its map."""
    first = config.first_seed + config.rooms
    pairs, keys = labelled_keys(range(first, first + LABELLED_ROOMS), config.labelled)
    codes = space.read(pairs.before.float() / 255, pairs.after.float() / 255, pairs.match)
    walker = fit_map(pairs.actions, codes)
    drive = BodyMap(walker.encoder[[0, 2]].contiguous(), walker.decoder[:, [0, 2]].contiguous())
    return replace(space, bodies={"walker": walker, "drive": drive}, keys=fit_keys(codes, keys, len(ACTIONS)))
