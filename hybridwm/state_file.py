"""A WorldState on disk: one safetensors file, from which the dream goes on bit for bit."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from recon import GaussianScene, View
from recon.scene import PROVENANCE_SHAPES
from render import Camera, FormatError, Gaussians
from render.files import atomic_write

from .core.clip import Page
from .core.video_core import Context
from .memory.past import Past, PastFrame
from .memory.routed import RoutedState
from .world_model import Oracle, WorldState

VERSION = 3  # pages of earlier versions fit no core of today
VIEW_TENSORS = ("image", "depth", "confidence", "right")
PAGE_TENSORS = ("keys", "values", "frame")
PAST_TENSORS = ("image", "right", "depth")


def save_state(state: WorldState, path: str | Path) -> None:
    """Writes the state, whole or not at all. Its oracle (a function) is not written: give it again on reading.

    Raises TypeError for a memory whose state is neither nothing, nor a scene, nor past frames, nor both.
    """
    tensors: dict[str, Tensor] = {}
    _put_camera(tensors, "camera", state.camera)
    _put_camera(tensors, "context.camera", state.context.camera)
    for name, pages in _page_sets(state.context):
        for i, page in enumerate(pages):
            for part in PAGE_TENSORS:
                tensors[f"{name}.{i}.{part}"] = getattr(page, part)
    for i, view in enumerate(state.views):
        _put_camera(tensors, f"views.{i}.camera", view.camera)
        for name in VIEW_TENSORS:
            if getattr(view, name) is not None:
                tensors[f"views.{i}.{name}"] = getattr(view, name)
    scene, past = _parts(state.memory)
    if scene is not None:
        for field in fields(Gaussians):
            if getattr(scene.gaussians, field.name) is not None:
                tensors[f"scene.gaussians.{field.name}"] = getattr(scene.gaussians, field.name)
        for name in PROVENANCE_SHAPES:
            tensors[f"scene.{name}"] = getattr(scene, name)
    for i, frame in enumerate(() if past is None else past.frames):
        _put_camera(tensors, f"past.{i}.camera", frame.camera)
        for name in PAST_TENSORS:
            if getattr(frame, name) is not None:
                tensors[f"past.{i}.{name}"] = getattr(frame, name)
    about = {
        "version": VERSION,
        "steps": state.steps,
        "baseline": state.baseline,
        "clearance": state.clearance,
        "context": {
            "steps": state.context.steps,
            "seed": state.context.seed,
            "baseline": state.context.baseline,
        },
        "pages": [[[page.step, page.t] for page in pages] for _, pages in _page_sets(state.context)],
        "noisier": [noise for noise, _ in state.context.noisier],
        "views": [{"baseline": v.baseline, "disparity_offset": v.disparity_offset} for v in state.views],
        "sizes": {"camera": _size(state.camera), "context": _size(state.context.camera)},
        "past": None if past is None else {"newest": past.newest, "frames": [_about(f) for f in past.frames]},
    }
    with atomic_write(path) as temporary:
        copies = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
        save_file(copies, temporary, metadata={"hybridwm_state": json.dumps(about)})


def load_state(path: str | Path, *, oracle: Oracle | None = None, device: str | torch.device = "cpu") -> WorldState:
    """Reads a state that save_state wrote; `oracle` as for WorldModel.start.

    Raises FileNotFoundError where there is no file, FormatError where it is damaged or something else.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a file that save_state wrote; found nothing.")
    try:
        with safe_open(path, "pt", device=str(device)) as file:
            about = json.loads((file.metadata() or {})["hybridwm_state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if about["version"] != VERSION:
            raise ValueError(f"version {about['version']}, not {VERSION}")
        _check_finite(tensors)
        return _state(about, tensors, oracle)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        found = f"{type(error).__name__}: {error}"
        raise FormatError(path, "a state that save_state wrote", found, "save it again") from None


def _state(about: dict[str, Any], tensors: dict[str, Tensor], oracle: Oracle | None) -> WorldState:
    scene = None
    if "scene.observed" in tensors:
        parts: dict[str, Any] = {f.name: tensors.get(f"scene.gaussians.{f.name}") for f in fields(Gaussians)}
        provenance = {name: tensors[f"scene.{name}"] for name in PROVENANCE_SHAPES}
        scene = GaussianScene(Gaussians(**parts), **provenance)
    noises = about["noisier"]
    names = _page_names(len(noises))
    pages, *noisier = (_pages(tensors, name, kept) for name, kept in zip(names, about["pages"], strict=True))
    past = _past(about["past"], tensors) if about.get("past") else None
    camera = _camera(tensors, "camera", about["sizes"]["camera"])
    views = []
    for i, extra in enumerate(about["views"]):
        image = tensors[f"views.{i}.image"]
        views.append(
            View(
                camera=_camera(tensors, f"views.{i}.camera", [image.shape[1], image.shape[0]]),
                **{name: tensors.get(f"views.{i}.{name}") for name in VIEW_TENSORS},
                **extra,
            )
        )
    context = Context(
        pages,
        _camera(tensors, "context.camera", about["sizes"]["context"]),
        about["context"]["steps"],
        about["context"]["seed"],
        about["context"]["baseline"],
        tuple(zip(noises, noisier, strict=True)),
    )
    return WorldState(
        camera=camera,
        steps=about["steps"],
        context=context,
        memory=scene if past is None else past if scene is None else RoutedState(scene, past),
        views=tuple(views),
        baseline=about["baseline"],
        clearance=about["clearance"],
        oracle=oracle,
        scene=scene,
    )


def _page_names(noisier: int) -> list[str]:
    return ["pages", *(f"noisier.{k}" for k in range(noisier))]


def _pages(tensors: dict[str, Tensor], name: str, kept: list[Any]) -> tuple[Page, ...]:
    return tuple(
        Page(tensors[f"{name}.{i}.keys"], tensors[f"{name}.{i}.values"], tensors[f"{name}.{i}.frame"], t, step)
        for i, (step, t) in enumerate(kept)
    )


def _page_sets(context: Context) -> list[tuple[str, tuple[Page, ...]]]:
    """The context's pages, and those at other noise, each with the name of its tensors."""
    sets = [context.pages, *(pages for _, pages in context.noisier)]
    return list(zip(_page_names(len(context.noisier)), sets, strict=True))


def _parts(memory: Any) -> tuple[GaussianScene | None, Past | None]:
    """The scene and the past frames of a memory's state."""
    scene, past = (memory.scene, memory.past) if isinstance(memory, RoutedState) else (memory, None)
    if isinstance(memory, Past):
        scene, past = None, memory
    if scene is not None and not isinstance(scene, GaussianScene):
        raise TypeError(f"save_state: expected a memory of scenes, past frames or none; got {type(scene).__name__}.")
    return scene, past


def _about(frame: PastFrame) -> dict[str, Any]:
    return {"step": frame.step, "observed": frame.observed}


def _past(about: dict[str, Any], tensors: dict[str, Tensor]) -> Past:
    frames = []
    for i, told in enumerate(about["frames"]):
        image = tensors[f"past.{i}.image"]
        right, depth = (tensors.get(f"past.{i}.{name}") for name in ("right", "depth"))
        camera = _camera(tensors, f"past.{i}.camera", [image.shape[1], image.shape[0]])
        frames.append(PastFrame(told["step"], told["observed"], camera, image, right, depth))
    return Past(tuple(frames), about["newest"])


def _size(camera: Camera) -> list[int]:
    return [camera.width, camera.height]


def _put_camera(tensors: dict[str, Tensor], name: str, camera: Camera) -> None:
    tensors[f"{name}.K"], tensors[f"{name}.w2c"] = camera.K, camera.w2c


def _camera(tensors: dict[str, Tensor], name: str, size: list[int]) -> Camera:
    return Camera(tensors[f"{name}.K"], tensors[f"{name}.w2c"], int(size[0]), int(size[1]))


def _check_finite(tensors: dict[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        # depth may be NaN in a view whose depth no one reads
        if tensor.is_floating_point() and not name.endswith(".depth") and not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{name} is not finite")
