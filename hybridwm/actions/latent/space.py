"""The latent action space as it is used: codes of pairs of frames, of bodies' actions and of words; and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recon.networks.weights_file import WeightsFile, find_weights, read_weights, write_weights
from render import FormatError

from ..body import Body
from ..twist import DriveBody
from ..walker import ACTIONS, Walker, action_vectors
from .bodies import BodyMap, KeyMap
from .config import LatentConfig
from .forward import ForwardModel
from .instructions import Embedding, Instructor
from .inverse import InverseModel, rounded
from .matching import matched, small
from .words import OwnEmbedding, WordsEncoder

PACKAGED = Path(__file__).parent
DEFAULT = "latent-rooms"
NETWORK = "latent-actions"
AT_ONCE = 64


@dataclass(frozen=True)
class LatentActions:
    """grid: to whole multiples of which codes are rounded, 0 for not at all. bodies: map of each body by name, for
    metres and radians of one step. instructor, keys: None for weights without words, without a map of keys."""

    inverse: InverseModel
    ahead: ForwardModel
    grid: Float[Tensor, "d"]
    bodies: Mapping[str, BodyMap]
    instructor: Instructor | None = None
    keys: KeyMap | None = None
    card: dict[str, Any] = field(default_factory=dict)

    @property
    def dim(self) -> int:
        return self.inverse.config.dim

    @torch.no_grad()
    def codes(self, before: Float[Tensor, "N h w 3"], after: Float[Tensor, "N h w 3"]) -> Float[Tensor, "N d"]:
        """What was done between frames, 0…1, of any size: the middle of each code's bell, rounded as its noise asks."""
        found = []
        for a, b in zip(before.split(AT_ONCE), after.split(AT_ONCE), strict=True):
            first, second = small(a), small(b)
            found.append(self.read(first, second, matched(first, second)))
        return torch.cat(found) if found else before.new_zeros(0, self.dim)

    @torch.no_grad()
    def read(
        self, before: Float[Tensor, "N 3 32 32"], after: Float[Tensor, "N 3 32 32"], match: Float[Tensor, "N 3 8 8"]
    ) -> Float[Tensor, "N d"]:
        """The codes of small frames that are matched already."""
        return rounded(self.inverse(before, after, match)[0], self.grid)

    @torch.no_grad()
    def next_frames(self, frames: Float[Tensor, "N h w 3"], codes: Float[Tensor, "N d"]) -> Float[Tensor, "N 32 32 3"]:
        """What codes make of frames, 0…1, by the forward model alone: small and only for a look; a world model that is
        driven by decoded codes imagines the real ones."""
        made = [self.ahead(small(a), c).frame for a, c in zip(frames.split(AT_ONCE), codes.split(AT_ONCE), strict=True)]
        return torch.cat(made).clamp(0, 1).movedim(1, -1)

    def encode(self, body: Body, actions: Float[Tensor, "*B a"]) -> Float[Tensor, "*B d"]:
        """The codes of a body's actions. Raises ValueError for bodies without a map."""
        mapped, seconds = self._map(body)
        return mapped.encode(actions * seconds)

    def decode(self, body: Body, codes: Float[Tensor, "*B d"]) -> Float[Tensor, "*B a"]:
        """The actions of a body that do what codes say, as far as that body can. Raises ValueError."""
        mapped, seconds = self._map(body)
        return mapped.decode(codes) / seconds

    def pressed(self, codes: Float[Tensor, "N d"]) -> Float[Tensor, "N 4"]:
        """The actions of the keys that codes read off frames say likeliest. Raises ValueError for weights without keys.

        Codes that are read off frames carry noise, which `decode` would take for motion.
        """
        if self.keys is None:
            raise ValueError("latent actions: expected weights with a map of keys; got some without. Use latent-rooms.")
        return action_vectors()[self.keys.scores(codes).argmax(-1)]

    def instruct(self, text: str, body: Body | None = None) -> Float[Tensor, "T a"]:
        """The actions of a body (a walker by default) for words such as "turn left a little; go forward", a row for
        each step. Raises ValueError for what is no motion."""
        body = body or Walker()
        if self.instructor is None:
            raise ValueError(
                "instruct: expected weights that were trained with words; got some without. Use latent-rooms."
            )
        clauses = self.instructor.read(text)
        codes = torch.cat([clause.code.expand(clause.steps, -1) for clause in clauses])
        return self.decode(body, codes)

    def _map(self, body: Body) -> tuple[BodyMap, float]:
        name, seconds = map_name(body)
        if name not in self.bodies:
            raise ValueError(
                f"latent actions: expected a body with a map ({', '.join(sorted(self.bodies)) or 'none'}); got "
                f"{type(body).__name__}. Fit one from labelled pairs by hybridwm.actions.latent.bodies.fit_map."
            )
        return self.bodies[name], seconds


def map_name(body: Body) -> tuple[str, float]:
    """The name of a body's map, and the seconds by which its velocities become metres and radians of a step."""
    if isinstance(body, Walker):
        return "walker", 1.0
    return ("drive", body.period) if isinstance(body, DriveBody) else (type(body).__name__, 1.0)


def save_latent_actions(
    folder: Path, name: str, space: LatentActions, training: dict[str, Any], card: dict[str, Any]
) -> Path:
    """Writes <name>.safetensors (fp16) and <name>.json into `folder`; returns the first."""
    tensors = _prefixed("inverse", space.inverse) | _prefixed("ahead", space.ahead) | {"grid": space.grid}
    for body, mapped in space.bodies.items():
        tensors |= {f"bodies.{body}.encoder": mapped.encoder, f"bodies.{body}.decoder": mapped.decoder}
    if space.keys is not None:
        tensors |= {"keys.weight": space.keys.weight, "keys.bias": space.keys.bias}
    words: dict[str, Any] | None = None
    if space.instructor is not None:
        own, encoder = space.instructor.embedding, space.instructor.encoder
        tensors |= _prefixed("words", encoder)
        words = {"embedding": "own" if isinstance(own, OwnEmbedding) else "sentences", "width": len(encoder.middle)}
        if isinstance(own, OwnEmbedding):
            tensors |= _prefixed("embedding", own)
    content = {"network": NETWORK, "core": asdict(space.inverse.config), "bodies": sorted(space.bodies), "words": words}
    return write_weights(folder, name, tensors, {**content, "training": training, "card": card})


def load_latent_actions(name_or_path: str | Path = DEFAULT, *, sentences: Embedding | None = None) -> LatentActions:
    """Weights by packaged name, folder or file, for use. sentences: the embedding that the words were trained with,
    where it is not the package's own (actions.latent.sentences); without it such weights come without words.

    Raises FileNotFoundError, and FormatError for damaged files and weights of another network.
    """
    file = read_weights(find_weights(name_or_path, PACKAGED))
    beside = file.path.with_suffix(".json")
    if file.content.get("network") != NETWORK:
        found = repr(file.content.get("network"))
        raise FormatError(beside, "weights of latent actions", found, "choose weights of `train-latent-actions`")
    try:
        config = LatentConfig(**file.content["core"])
        bodies, words = list(map(str, file.content["bodies"])), file.content["words"]
        width = None if words is None else int(words["width"])
        own = words is not None and words["embedding"] == "own"
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(beside, "the sizes of latent actions", str(error), "train or copy again") from None
    model = nn.ModuleDict({"inverse": InverseModel(config), "ahead": ForwardModel(config)})
    if width is not None:
        if not 1 <= width <= 100_000:
            raise FormatError(beside, "words of a width in 1…100000", str(width), "train or copy again")
        model["words"] = WordsEncoder(width, config.dim)
        if own:
            model["embedding"] = OwnEmbedding()
    maps = {name: value for name, value in file.tensors.items() if name.startswith(("bodies.", "keys.", "grid"))}
    rest = {name: value for name, value in file.tensors.items() if name not in maps}
    WeightsFile(rest, file.content, file.path).fill(model)
    model.eval().requires_grad_(False)
    embedding: Any = model["embedding"] if own else sentences
    encoder: Any = model["words"] if width is not None else None
    instructor = None if encoder is None or embedding is None else Instructor(embedding, encoder, any_words=not own)
    mapped = {name: _map(file, maps, name, config.dim) for name in bodies}
    inverse, ahead_of = cast(InverseModel, model["inverse"]), cast(ForwardModel, model["ahead"])
    keys = _keys(file, maps, config.dim) if "keys.weight" in maps else None
    grid = maps.get("grid")
    if grid is None or grid.shape != (config.dim,):
        raise FormatError(file.path, f"a grid of {config.dim} numbers", "none that fits", "train or copy again")
    return LatentActions(inverse, ahead_of, grid, mapped, instructor, keys, file.content.get("card", {}))


def _map(file: WeightsFile, maps: Mapping[str, Tensor], name: str, dim: int) -> BodyMap:
    found: Sequence[Tensor | None] = [maps.get(f"bodies.{name}.{way}") for way in ("encoder", "decoder")]
    encoder, decoder = found
    if (
        encoder is None
        or decoder is None
        or encoder.ndim != 2
        or encoder.shape[1] != dim
        or decoder.shape != encoder.mT.shape
    ):
        raise FormatError(file.path, f"the map of the body {name[:40]}", "none that fits", "train or copy again")
    return BodyMap(encoder, decoder)


def _keys(file: WeightsFile, maps: Mapping[str, Tensor], dim: int) -> KeyMap:
    weight, bias = maps["keys.weight"], maps.get("keys.bias")
    if bias is None or weight.shape != (dim, len(ACTIONS)) or bias.shape != (len(ACTIONS),):
        raise FormatError(file.path, "the map of the keys", "none that fits", "train or copy again")
    return KeyMap(weight, bias)


def _prefixed(name: str, module: nn.Module) -> dict[str, Tensor]:
    return {f"{name}.{key}": value for key, value in module.state_dict().items()}
