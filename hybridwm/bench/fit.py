"""A small fit, as the measure of a whole training loop: splats put off their places find back to posed images."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from render import Camera, Gaussians, RenderOutput, rgb_from_sh, sh_from_rgb

from .contenders import torch_threads
from .scenes import room_camera, room_splats

Render = Callable[[Gaussians, Camera], RenderOutput]

VIEWS = (-1.5, -0.5, 0.5, 1.5)  # room_camera's k
HELD_OUT = 0.0
DEPTH_WEIGHT = 0.05
# Adam's step for each parameter: metres, quaternion, log metres, logit, colour 0…1
RATES = {"means": 2e-3, "quats": 1e-3, "log_scales": 5e-3, "logits": 2e-2, "colours": 1e-2}


@dataclass(frozen=True)
class Fit:
    """PSNR in dB of the colours, over the fitted views and of the one held out, and seconds of the loop alone."""

    start: float
    start_held_out: float
    end: float
    end_held_out: float
    seconds: float
    steps: int


def fit_room(
    render: Render, *, count: int = 20_000, truth: int = 100_000, size: int = 128, steps: int = 120, seed: int = 0
) -> Fit:
    """Fits `count` splats of the room, moved by 2 cm and recoloured, to images of a scene of `truth` splats.

    render(splats, camera) takes cameras without a batch axis; its depth is fitted as well. torch itself stays on one
    thread: its threads spin after every small operation, and would take the cores from the renderer's own.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch_threads(1):
        target = room_splats(truth)
        cameras = [room_camera(size, size, k) for k in VIEWS]
        held_out = room_camera(size, size, HELD_OUT)
        with torch.no_grad():
            images = [render(target, camera) for camera in cameras]
            unseen = render(target, held_out)
        parameters = _disturbed(room_splats(count), generator)

        def score() -> tuple[float, float]:
            with torch.no_grad():
                splats = _splats(parameters)
                fitted = [
                    psnr(render(splats, camera).rgb, image.rgb) for camera, image in zip(cameras, images, strict=True)
                ]
                return sum(fitted) / len(fitted), psnr(render(splats, held_out).rgb, unseen.rgb)

        start = score()
        begun = time.perf_counter()
        groups = [{"params": [parameters[name]], "lr": rate} for name, rate in RATES.items()]
        optimizer = torch.optim.Adam(groups, fused=True)
        for step in range(steps):
            view = step % len(cameras)
            output = render(_splats(parameters), cameras[view])
            loss = (output.rgb - images[view].rgb).abs().mean()
            loss = loss + DEPTH_WEIGHT * (output.depth - images[view].depth).abs().mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        seconds = time.perf_counter() - begun
        return Fit(*start, *score(), seconds=seconds, steps=steps)


def psnr(image: Float[Tensor, "H W 3"], truth: Float[Tensor, "H W 3"]) -> float:
    """Peak signal-to-noise ratio in dB of colours 0…1."""
    return float(-10 * torch.log10((image - truth).square().mean()))


def _disturbed(splats: Gaussians, generator: torch.Generator) -> dict[str, Tensor]:
    """What Adam moves: free of bounds, and begun beside the truth."""

    def noise(deviation: float) -> Tensor:
        return deviation * torch.randn(splats.means.shape, generator=generator)

    values = {
        "means": splats.means + noise(0.02),
        "quats": splats.quats,
        "log_scales": splats.scales.log(),
        "logits": torch.logit(splats.opacities),
        "colours": (rgb_from_sh(splats.sh) + noise(0.1)).clamp(0, 1),
    }
    return {name: value.clone().requires_grad_() for name, value in values.items()}


def _splats(parameters: dict[str, Tensor]) -> Gaussians:
    return Gaussians(
        parameters["means"],
        parameters["quats"],
        parameters["log_scales"].exp(),
        parameters["logits"].sigmoid(),
        sh_from_rgb(parameters["colours"]),
    )
