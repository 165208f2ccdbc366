"""The scene: Gaussians and, for each, where it came from. Saved as a PLY with a sidecar in the same order."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from render.camera import Camera
from render.files import atomic_folder
from render.formats import FormatError, load, save
from render.gaussians import Gaussians
from render.transforms import split_similarity

from .box import Box

FORMAT_VERSION = 1


@dataclass(frozen=True)
class GaussianScene:
    """Gaussians with their provenance, one entry for each Gaussian.

    observed [N]: seen in a measured image (else imagined); step [N] int32: the step that made it;
    confirmations [N] int32: observed views that agree with it, its own included; confidence [N] in 0..1;
    direction [N, 3]: unit vector, world, from the camera that made it to the Gaussian.

    Raises ValueError when the counts differ.
    """

    gaussians: Gaussians
    observed: Bool[Tensor, "N"]
    step: Int[Tensor, "N"]
    confirmations: Int[Tensor, "N"]
    confidence: Float[Tensor, "N"]
    direction: Float[Tensor, "N 3"]

    def __post_init__(self) -> None:
        count = len(self.gaussians)
        for name, shape in PROVENANCE_SHAPES.items():
            got = tuple(getattr(self, name).shape)
            if got != (count, *shape):
                raise ValueError(
                    f"GaussianScene.{name} must be {[count, *shape]}, one for each Gaussian; got {list(got)}."
                )

    def __len__(self) -> int:
        return len(self.gaussians)

    def __getitem__(self, index: Bool[Tensor, "N"] | Int[Tensor, "M"] | slice) -> GaussianScene:
        """The scene of the Gaussians chosen by a mask, an index tensor or a slice."""
        if isinstance(index, slice):
            index = torch.arange(len(self), device=self.device)[index]
        elif index.dtype == torch.bool:
            index = index.nonzero().squeeze(1)
        # index_select costs a third of indexing, and this runs in every step on every Gaussian
        gaussians = {
            f.name: None if (value := getattr(self.gaussians, f.name)) is None else value.index_select(0, index)
            for f in fields(Gaussians)
        }
        provenance = {name: getattr(self, name).index_select(0, index) for name in PROVENANCE_SHAPES}
        return GaussianScene(Gaussians(**gaussians), **provenance)  # type: ignore[arg-type]

    @property
    def device(self) -> torch.device:
        return self.gaussians.means.device

    def to(self, *args, **kwargs) -> GaussianScene:
        """The scene on another device (dtype is never changed)."""
        moved = {name: getattr(self, name).to(*args, **kwargs) for name in PROVENANCE_SHAPES}
        return GaussianScene(self.gaussians.to(*args, **kwargs), **moved)

    def select(self, *, observed: bool) -> GaussianScene:
        """Only what was observed, or only what was imagined."""
        return self[self.observed == observed]

    def delete(self, box: Box | Float[Tensor, "4 4"]) -> GaussianScene:
        """The scene without the Gaussians whose centre lies in the box; a matrix is that of Box.of."""
        box = box if isinstance(box, Box) else Box.of(box)
        return self[~box.contains(self.gaussians.means)]

    def transform(self, b_from_a: Float[Tensor, "4 4"]) -> GaussianScene:
        """The same scene expressed in b: the Gaussians as by Gaussians.transform, and the directions they were seen in.

        b_from_a: a rigid or similarity transform; shear and reflections raise ValueError.
        """
        gaussians = self.gaussians.transform(b_from_a)
        rotation, _ = split_similarity(b_from_a.to(self.direction))
        return replace(self, gaussians=gaussians, direction=self.direction @ rotation.T)

    @property
    def bytes_each(self) -> int:
        """Bytes that one Gaussian and its provenance take."""
        tensors = [getattr(self.gaussians, f.name) for f in fields(Gaussians)]
        tensors += [getattr(self, name) for name in PROVENANCE_SHAPES]
        return sum(math.prod(t.shape[1:]) * t.element_size() for t in tensors if t is not None)

    def with_observed_share(self) -> Gaussians:
        """The Gaussians with features [N, 1] = 1 where observed: a render then carries the observed share."""
        return replace(self.gaussians, features=self.observed.to(self.gaussians.means.dtype)[:, None])

    def exchanged(self, gone: Int[Tensor, "R"], added: GaussianScene) -> GaussianScene:
        """The scene without the Gaussians at the indices `gone` (sorted, each once) and with those of `added`.

        The new ones take the places of the old, and the last ones fill what stays open: so a step moves few rows
        and copies the rest as a block, which costs a fifth of choosing every row that is kept.
        """
        count, fits = len(self) - len(gone) + len(added), min(len(gone), len(added))
        taken, open_ = gone[:fits], gone[fits:]
        open_ = open_[open_ < count]
        last = torch.ones(max(0, len(self) - count), dtype=torch.bool, device=self.device)
        last[gone[fits:][gone[fits:] >= count] - count] = False
        last = last.nonzero().squeeze(1) + count

        def column(old: Tensor, new: Tensor) -> Tensor:
            result = torch.cat([old[:count], new[fits:]])
            result[taken] = new[:fits]
            result[open_] = old[last]
            return result

        gaussians = {}
        for f in fields(Gaussians):
            old, new = getattr(self.gaussians, f.name), getattr(added.gaussians, f.name)
            gaussians[f.name] = None if old is None else column(old, new)
        provenance = {name: column(getattr(self, name), getattr(added, name)) for name in PROVENANCE_SHAPES}
        return GaussianScene(Gaussians(**gaussians), **provenance)  # type: ignore[arg-type]

    @staticmethod
    def empty(sh_degree: int = 0, device: torch.device | str = "cpu") -> GaussianScene:
        """A scene that knows nothing."""
        return GaussianScene(
            Gaussians.empty(sh_degree=sh_degree).to(device),
            torch.zeros(0, dtype=torch.bool, device=device),
            torch.zeros(0, dtype=torch.int32, device=device),
            torch.zeros(0, dtype=torch.int32, device=device),
            torch.zeros(0, device=device),
            torch.zeros(0, 3, device=device),
        )

    @staticmethod
    def cat(scenes: list[GaussianScene]) -> GaussianScene:
        """The scenes joined in order."""
        joined = {name: torch.cat([getattr(s, name) for s in scenes]) for name in PROVENANCE_SHAPES}
        return GaussianScene(Gaussians.cat([s.gaussians for s in scenes]), **joined)


PROVENANCE_SHAPES: dict[str, tuple[int, ...]] = {
    "observed": (),
    "step": (),
    "confirmations": (),
    "confidence": (),
    "direction": (3,),
}
PROVENANCE_DTYPES = {
    "observed": torch.bool,
    "step": torch.int32,
    "confirmations": torch.int32,
    "confidence": torch.float32,
    "direction": torch.float32,
}


def save_scene(scene: GaussianScene, folder: str | Path, cameras: Camera | None = None) -> None:
    """Write scene.ply, provenance.safetensors (same order) and cameras.json into `folder`, all or nothing.

    cameras: one camera or a batch [V], written as K, w2c, width, height. An existing folder is replaced.
    """
    with atomic_folder(Path(folder)) as place:
        place = Path(place)
        save(replace(scene.gaussians, features=None), place / "scene.ply")
        provenance = {
            name: getattr(scene, name).detach().to("cpu", dtype).contiguous()
            for name, dtype in PROVENANCE_DTYPES.items()
        }
        save_file(provenance, str(place / "provenance.safetensors"), {"version": str(FORMAT_VERSION)})
        (place / "cameras.json").write_text(json.dumps(_describe_cameras(cameras), indent=1))


def load_scene(folder: str | Path) -> GaussianScene:
    """Read a folder that save_scene wrote.

    Raises FileNotFoundError when a file is missing, FormatError when one is damaged or the counts differ.
    """
    folder = Path(folder)
    for name in ("scene.ply", "provenance.safetensors"):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name} is missing; expected a folder written by recon.save_scene().")
    gaussians = load(folder / "scene.ply")
    return GaussianScene(gaussians, **_load_provenance(folder / "provenance.safetensors", len(gaussians)))


def load_cameras(folder: str | Path) -> Camera | None:
    """The cameras [V] that were saved with a scene, or None. Raises FormatError when the file is damaged."""
    path = Path(folder) / "cameras.json"
    if not path.is_file():
        return None
    try:
        entries = json.loads(path.read_text())["cameras"]
        cameras = [
            Camera(
                torch.tensor(entry["K"], dtype=torch.float32).reshape(3, 3),
                torch.tensor(entry["w2c"], dtype=torch.float32).reshape(4, 4),
                int(entry["width"]),
                int(entry["height"]),
            )
            for entry in entries
        ]
        if not all(bool(torch.isfinite(c.K).all() & torch.isfinite(c.w2c).all()) for c in cameras):
            raise ValueError("NaN or infinite values")
        return Camera.stack(cameras) if cameras else None
    except (ValueError, KeyError, TypeError, RuntimeError, RecursionError, OverflowError) as error:
        expected = "a list of cameras with K, w2c, width, height"
        raise FormatError(path, expected, str(error)[:80], "save the scene again") from None


def _describe_cameras(cameras: Camera | None) -> dict:
    entries = []
    if cameras is not None:
        K, w2c = cameras.K.reshape(-1, 3, 3), cameras.w2c.reshape(-1, 4, 4)
        entries = [
            {"K": k.tolist(), "w2c": w.tolist(), "width": cameras.width, "height": cameras.height}
            for k, w in zip(K, w2c, strict=True)
        ]
    return {
        "version": FORMAT_VERSION,
        "convention": "OpenCV axes, world to camera, pixel centres at 0.5",
        "cameras": entries,
    }


def _load_provenance(path: Path, count: int) -> dict[str, Tensor]:
    again = "the files of a scene belong together: save it again"
    try:
        tensors = load_file(str(path))
    except (SafetensorError, ValueError, OSError) as error:
        raise FormatError(path, "a safetensors file", str(error)[:80], again) from None
    if set(tensors) != set(PROVENANCE_DTYPES):
        expected = f"the tensors {', '.join(sorted(PROVENANCE_DTYPES))}"
        raise FormatError(path, expected, ", ".join(sorted(tensors))[:120] or "none", again)
    for name, dtype in PROVENANCE_DTYPES.items():
        tensor, shape = tensors[name], [count, *PROVENANCE_SHAPES[name]]
        if tensor.dtype != dtype or list(tensor.shape) != shape:
            expected = f"{name} {shape} {dtype}, one entry for each Gaussian of scene.ply"
            raise FormatError(path, expected, f"{list(tensor.shape)} {tensor.dtype}", again)
        if dtype.is_floating_point and not bool(torch.isfinite(tensor).all()):
            raise FormatError(path, f"finite {name}", "NaN or infinite values", again)
    confidence = tensors["confidence"]
    if bool((confidence < 0).any() | (confidence > 1).any()):
        raise FormatError(path, "confidence in 0..1", "values outside", again)
    if bool((tensors["confirmations"] < 0).any()):
        raise FormatError(path, "confirmations of at least 0", "negative counts", again)
    return tensors
