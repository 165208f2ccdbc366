"""Latents of an autoencoder of Hugging Face diffusers, read from a local folder: nothing is ever downloaded.

Rombach et al. 2022 (latent diffusion): AutoencoderKL; the distilled AutoencoderTiny has the same latents.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

INSTALL = "pip install 'hybridwm[latent]'"
CLASSES = ("AutoencoderKL", "AutoencoderTiny")
WEIGHTS = "diffusion_pytorch_model.safetensors"
LARGEST_JSON = 1_000_000  # bytes
PROBE = 64  # pixels: the side of the image by which the factor is told
AT_ONCE = 64  # images


class DiffusersCodec:
    """An AutoencoderKL or AutoencoderTiny that `save_pretrained` wrote (config.json, *.safetensors), in float32.

    Frames are the latents' mean, moved and scaled as their model's diffusion had them: of about unit variance.
    Raises ImportError without diffusers, FileNotFoundError and ValueError for folders of anything else.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser()
        self._model = _load(self.folder)
        told = self._model.config
        mean, std = told.get("latents_mean"), told.get("latents_std")
        if mean is not None and std is not None:
            self._shift, self._scale = _column(mean), told["scaling_factor"] / _column(std)
        else:
            self._shift, self._scale = _column([told.get("shift_factor") or 0.0]), _column([told["scaling_factor"]])
        with torch.no_grad():
            latents = self._latents(torch.zeros(1, 3, PROBE, PROBE))
        self.channels, self.factor = int(latents.shape[1]), PROBE // int(latents.shape[2])
        if self.factor < 2:
            raise ValueError(f"{self.folder}: expected an autoencoder that makes images smaller; got factor 1.")

    @torch.no_grad()
    def encode(self, images: Float[Tensor, "*B H W 3"]) -> Float[Tensor, "*B c h w"]:
        height, width = images.shape[-3:-1]
        if height % self.factor or width % self.factor:
            raise ValueError(f"encode: expected sides that {self.factor} divides; got {height}x{width}.")
        flat = images.reshape(-1, height, width, 3).movedim(-1, 1) * 2 - 1
        with torch.autocast(images.device.type, enabled=False):
            latents = torch.cat([self._latents(some) for some in flat.float().split(AT_ONCE)])
        latents = (latents - self._shift.to(latents)) * self._scale.to(latents)
        return latents.view(*images.shape[:-3], *latents.shape[1:])

    @torch.no_grad()
    def decode(self, frames: Float[Tensor, "*B c h w"]) -> Float[Tensor, "*B H W 3"]:
        flat = frames.reshape(-1, *frames.shape[-3:]).float()
        flat = flat / self._scale.to(flat) + self._shift.to(flat)
        self._model.to(flat.device)
        with torch.autocast(frames.device.type, enabled=False):
            images = torch.cat([self._model.decode(some).sample for some in flat.split(AT_ONCE)])
        images = ((images.clamp(-1, 1) + 1) * 127.5).round().div(255).movedim(1, -1)
        return images.reshape(*frames.shape[:-3], *images.shape[1:])

    def _latents(self, images: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N c h w"]:
        encoded = self._model.to(images.device).encode(images)
        # the mean of the posterior, not a sample: equal images are equal frames
        return encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()


def _column(values: list[float]) -> Float[Tensor, "c 1 1"]:
    return torch.tensor(values)[:, None, None]


def _load(folder: Path) -> Any:
    kind = _kind(folder)
    try:
        import diffusers
    except ImportError as error:
        raise ImportError(f"{folder}: a latent codec needs diffusers, which is not installed: {INSTALL}") from error
    try:
        model = getattr(diffusers, kind).from_pretrained(
            folder, local_files_only=True, use_safetensors=True, low_cpu_mem_usage=False, torch_dtype=torch.float32
        )
    except Exception as error:  # whatever a damaged folder makes diffusers raise
        found = " ".join(str(error).split())[:200]
        raise ValueError(f"{folder}: expected the whole of a saved {kind}; got {found}. Save it again.") from None
    return model.eval().requires_grad_(False)


def _kind(folder: Path) -> str:
    """Which of CLASSES the folder holds."""
    expected = f"a local folder that an {' or '.join(CLASSES)} of diffusers was saved to by save_pretrained"
    file = folder / "config.json"
    if not file.is_file() or file.stat().st_size > LARGEST_JSON:
        raise FileNotFoundError(f"{folder}: expected {expected}; found no config.json there.")
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file}: expected {expected}; got no JSON ({error}).") from None
    kind = told.get("_class_name") if isinstance(told, dict) else None
    if kind not in CLASSES or told.get("in_channels") != 3:
        raise ValueError(f"{file}: expected {expected}, for rgb; got {kind or 'something else'}.")
    if not (folder / WEIGHTS).is_file():
        raise FileNotFoundError(f"{folder}: expected {WEIGHTS} beside config.json; found none. Save it as safetensors.")
    return kind
