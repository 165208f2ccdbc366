"""Depth from one image by a network from a local folder: one of Hugging Face transformers, or one trained here.

The prediction of the former has no scale, or one of its own: metres come from what the scene already knows in that
view, or, where it knows nothing yet, from plane sweep over the earlier views.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from .depth_scale import DepthScale, Kind, fit_depth_scale
from .known_depth import known_depth
from .learned_monocular import learned_monocular_depth, newest, trained_in
from .view import DepthContext, View

INSTALL = "pip install 'hybridwm[monocular]'"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, where the folder names none
LARGEST_JSON = 1_000_000  # bytes

Predictor = Callable[[Float[Tensor, "H W 3"]], Float[Tensor, "H W"]]


def monocular(folder: str | Path | None = None):
    """A depth source from a folder that a depth model of transformers was saved to (config.json, model.safetensors), or
    that `hybridwm train-depth` wrote (no config.json: see recon.learned_monocular, also for the packaged network, which
    is what there is without a folder).

    Depth of transformers' models is aligned to context.recalled_depth, else to plane sweep over the earlier views;
    confidence is 1 / (1 + relative error of that fit). Metric models are taken at their word where nothing is known
    (confidence 0.5); relative ones then give depth 0. Weights are read from safetensors alone, and nothing is
    downloaded.

    Raises ImportError without transformers, FileNotFoundError and ValueError for other folders.
    """
    if folder is None:
        return learned_monocular_depth
    path = Path(folder).expanduser()
    if path.is_dir() and not (path / "config.json").exists() and any(path.glob("*.safetensors")):
        return trained_in(path)
    kind = _kind(path)

    def monocular_depth(views: Sequence[View], context: DepthContext | None = None) -> tuple[Tensor, Tensor]:
        view = newest(views)
        return to_metres(_predictor(path.resolve())(view.image), kind, views, context)

    return monocular_depth


def to_metres(
    prediction: Float[Tensor, "H W"], kind: Kind, views: Sequence[View], context: DepthContext | None
) -> tuple[Float[Tensor, "H W"], Float[Tensor, "H W"]]:
    """Depth [H, W] in metres and confidence [H, W] of a network's prediction for the newest view."""
    nothing = torch.zeros_like(prediction)
    if not bool(prediction.isfinite().all()):
        return nothing, nothing.clone()
    known = known_depth(views, context)
    fit, _ = (None, "") if known is None else fit_depth_scale(prediction, known, kind)
    if fit is None and kind == "metric" and known is None:
        fit = DepthScale(kind, 1.0, 0.0, 1.0, 0.0)
    if fit is None:
        return nothing, nothing.clone()
    depth = fit.apply(prediction)
    return depth, (depth > 0).to(depth.dtype) / (1 + fit.error)


@functools.lru_cache(maxsize=2)
def _predictor(folder: Path) -> Predictor:
    """The network as a function of one image; its prediction has the image's size."""
    try:
        from transformers import AutoModelForDepthEstimation
    except ImportError as error:
        raise ImportError(f"depth source 'monocular' needs transformers, which is not installed: {INSTALL}") from error
    # Never pickles: safetensors alone, and never code from the folder.
    model: Any = AutoModelForDepthEstimation.from_pretrained(
        folder, local_files_only=True, use_safetensors=True, trust_remote_code=False
    )
    model.eval()
    prepare = _preparation(folder, model.config)

    @torch.inference_mode()
    def predict(image: Float[Tensor, "H W 3"]) -> Float[Tensor, "H W"]:
        model.to(image.device)
        found = model(prepare(image)).predicted_depth
        found = found.reshape(1, 1, *found.shape[-2:]).to(image.dtype)
        size = (image.shape[0], image.shape[1])
        return torch.nn.functional.interpolate(found, size, mode="bilinear", align_corners=False)[0, 0].clone()

    return predict


def _preparation(folder: Path, config: Any) -> Callable[[Tensor], Tensor]:
    """Image [H, W, 3] of 0..1 to what the network takes: normalised, its shorter side as in training, both sides whole
    patches."""
    settings = _json(folder / "preprocessor_config.json") if (folder / "preprocessor_config.json").exists() else {}
    backbone = getattr(config, "backbone_config", None) or config
    multiple = int(settings.get("ensure_multiple_of") or getattr(backbone, "patch_size", None) or 32)
    size = settings.get("size") or getattr(backbone, "image_size", None) or 384
    if isinstance(size, dict):
        size = size.get("shortest_edge") or min(size.get("height", 384), size.get("width", 384))
    if isinstance(size, (list, tuple)):
        size = min(size)
    mean = torch.tensor(settings.get("image_mean") or MEAN)
    std = torch.tensor(settings.get("image_std") or STD)

    def prepare(image: Tensor) -> Tensor:
        factor = float(size) / min(image.shape[:2])
        sides = [max(multiple, round(side * factor / multiple) * multiple) for side in image.shape[:2]]
        batch = ((image - mean.to(image)) / std.to(image)).permute(2, 0, 1)[None]
        return torch.nn.functional.interpolate(batch, sides, mode="bicubic", align_corners=False, antialias=True)

    return prepare


def _kind(folder: Path) -> Kind:
    """What the folder's network predicts: metres, or inverse depth without a scale."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; expected one that a depth model was saved to.")
    config = _json(folder / "config.json")
    architecture = " ".join(str(name) for name in config.get("architectures") or [])
    if "Depth" not in architecture:
        raise ValueError(
            f"{folder}: expected a model for depth estimation; its config.json names "
            f"{architecture or 'no architecture'}."
        )
    metric = config.get("depth_estimation_type") == "metric" or any(
        name in architecture for name in ("ZoeDepth", "DepthPro")
    )
    return "metric" if metric else "inverse"


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected a folder written by save_pretrained().")
    if path.stat().st_size > LARGEST_JSON:
        raise ValueError(f"{path}: expected less than {LARGEST_JSON} bytes; got {path.stat().st_size}.")
    try:
        found = json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda _: math.nan)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected JSON; got {str(error)[:80]}.") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: expected a JSON object; got {type(found).__name__}.")
    return found
