"""Refinement: a few hundred steps of Adam on the Gaussians of a scene, through the rasterizer, to look like its views.

Loss: L1 + SSIM (Kerbl et al. 2023), the depth where it was measured, and the sizes and opacities that no image needs
(Kheradmand et al. 2024). The scene is a value: a new one comes back.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from render.camera import Camera
from render.gaussians import Gaussians
from render.rasterize import RenderOutput

from .densify import relocate
from .photometric import photometric_loss, psnr
from .raw_splats import Rates, RawSplats
from .refine_inputs import Draw, check_inputs, drawing, pixel_size, typical_depth, within
from .scene import PROVENANCE_SHAPES, GaussianScene
from .uncovered import seed_uncovered
from .view import View
from .view_corrections import CameraCorrections, Exposures


@dataclass(frozen=True)
class RefineConfig:
    """How a scene is refined. Weights are of the loss beside (1 - w) L1 + w (1 - SSIM)."""

    steps: int = 300
    views_per_step: int = 3  # whose gradients are added
    max_gaussians: int = 400_000  # never more, whatever the scene had
    sh_degree: int = 3  # raised to, for colours that change with the direction
    gaussians: bool = True  # whether they move
    cameras: bool = False  # whether they move too; the first one stays
    exposures: bool = False  # a gain and an offset for each view
    seed_uncovered: bool = True  # Gaussians at guessed depths where the views show what the scene lacks
    densify_every: int = 100  # steps; 0 for never
    ssim_weight: float = 0.2
    depth_weight: float = 0.5  # of the relative error of the depth
    depth_outlier: float = 0.1  # relative errors beyond this are the measurement's and pull no further
    opacity_weight: float = 1e-3
    scale_weight: float = 1e-3  # per pixel of size
    imagined_moves_observed: bool = False  # whether gradients of imagined views reach observed Gaussians
    rates: Rates = field(default_factory=Rates)
    camera_rate: float = 5e-4  # radians a step
    exposure_rate: float = 5e-3
    last_rate: float = 0.1  # share of the rates at the last step, reached exponentially
    report_every: int = 10  # steps
    evaluate_every: int = 25  # steps between looks at the views held out
    patience: int = 4  # such looks without a better one before it stops
    seed: int = 0

    def __post_init__(self) -> None:
        least = {
            "steps": 0, "views_per_step": 1, "max_gaussians": 1, "sh_degree": 0, "densify_every": 0, "report_every": 1,
            "evaluate_every": 1, "patience": 1, "ssim_weight": 0, "depth_weight": 0, "opacity_weight": 0,
            "scale_weight": 0, "camera_rate": 0, "exposure_rate": 0,
        }  # fmt: skip
        for name, lowest in least.items():
            if not getattr(self, name) >= lowest:
                raise ValueError(f"RefineConfig.{name} must be at least {lowest}; got {getattr(self, name)}.")
        if self.sh_degree > 3:
            raise ValueError(f"RefineConfig.sh_degree must be at most 3; got {self.sh_degree}.")
        if not 0 < self.last_rate <= 1 or not self.depth_outlier > 0:
            raise ValueError(
                "RefineConfig.last_rate must lie in 0..1 and depth_outlier above 0; got "
                f"{self.last_rate} and {self.depth_outlier}."
            )


@dataclass(frozen=True)
class Progress:
    """After a step: the loss and PSNR (dB) over the steps since the last report, the views held out where they were
    just looked at, the number of Gaussians, and seconds gone and (as far as one can tell) to go."""

    step: int
    steps: int
    loss: float
    psnr: float
    held_out_psnr: float | None
    gaussians: int
    seconds: float
    seconds_left: float


@dataclass(frozen=True)
class Refined:
    """scene; cameras: of the views, in order, corrected if asked; history: the reports; source [N]: which Gaussian of
    the scene given each came from, -1 for those at a guessed depth; best_step: the step whose state this is."""

    scene: GaussianScene
    cameras: tuple[Camera, ...]
    history: tuple[Progress, ...]
    source: Int[Tensor, "N"]
    best_step: int


def refine(
    scene: GaussianScene,
    views: Sequence[View],
    config: RefineConfig | None = None,
    *,
    held_out: Sequence[View] = (),
    imagined: Sequence[View] = (),
    progress: Callable[[Progress], None] | None = None,
) -> Refined:
    """The scene, moved, recoloured and rearranged to look like the measured views.

    held_out: views that are only looked at: the best state for them is returned, and no better one in `patience`
    looks ends it. imagined: views that were made up; they move imagined Gaussians only, unless the config lets them
    move observed ones. Confirmations, confidence, step and direction of each Gaussian stay those of its source.
    Deterministic for a seed. Features are not fitted: they stay those of each Gaussian's source.

    Raises ValueError for no views, an empty scene, and images, depth or cameras that are not finite.
    """
    config = config or RefineConfig()
    check_inputs(scene, [*views, *imagined], held_out)
    with drawing(scene.gaussians) as draw:
        return _Refinement(scene, [*views, *imagined], len(views), held_out, config, draw).run(progress)


class _Refinement:
    """The state of one refinement."""

    def __init__(
        self, scene: GaussianScene, views: list[View], measured: int, held_out: Sequence[View], config: RefineConfig,
        draw: Draw,
    ) -> None:  # fmt: skip
        self.config, self.views, self.measured, self.held_out, self.draw = config, views, measured, held_out, draw
        cameras = [view.camera for view in views]
        distance = typical_depth(scene, cameras)
        self.pixel = pixel_size(distance, cameras)
        count = len(scene)
        scene, origin = within(scene, config.max_gaussians, self.pixel)
        if config.seed_uncovered and config.gaussians:
            scene = seed_uncovered(scene, views[:measured], draw, config.max_gaussians)
        self.scene = scene
        self.origin = torch.cat([origin, origin.new_full((len(scene) - len(origin),), -1)])
        assert len(origin) <= max(count, config.max_gaussians)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.splats = RawSplats(scene.gaussians, config.sh_degree, config.rates, self.pixel)
        self.corrections = CameraCorrections(cameras, config.camera_rate, distance, anchored=config.gaussians)
        self.exposures = Exposures(len(views), config.exposure_rate, scene.gaussians.means)
        self.queue: list[int] = []

    def run(self, progress: Callable[[Progress], None] | None) -> Refined:
        config, started = self.config, time.perf_counter()
        history: list[Progress] = []
        best, best_score, best_step, worse = None, -math.inf, 0, 0
        losses: list[float] = []
        errors: list[float] = []
        for step in range(config.steps + 1):
            looks = bool(self.held_out) and (step % config.evaluate_every == 0 or step == config.steps)
            score = self._held_out_psnr() if looks else None
            if score is not None:
                worse += 1
                if score > best_score:
                    best, best_score, best_step, worse = self._state(), score, step, 0
            ends = step == config.steps or worse >= config.patience
            if step % config.report_every == 0 or ends or looks:
                seconds = time.perf_counter() - started
                left = 0.0 if ends else seconds / step * (config.steps - step) if step else math.nan
                report = Progress(
                    step, config.steps, _mean(losses), _mean(errors), score, len(self.splats), seconds, left
                )
                history.append(report)
                losses, errors = [], []
                if progress is not None:
                    progress(report)
            if ends:
                break
            loss, error = self._step(step)
            losses.append(loss)
            errors.append(error)
        if best is None:
            best, best_step = self._state(), history[-1].step
        gaussians, source, cameras = best
        return Refined(
            _with_provenance(gaussians, self.scene, source), tuple(cameras[: self.measured]), tuple(history),
            self.origin[source], best_step,
        )  # fmt: skip

    def _step(self, step: int) -> tuple[float, float]:
        """One step; the loss and the PSNR before it."""
        config, share = self.config, self.config.last_rate ** (step / max(1, self.config.steps))
        chosen = [self._next_view() for _ in range(config.views_per_step)]
        total = error = 0.0
        for i in chosen:
            loss, squared = self._loss(i)
            (loss / len(chosen)).backward()
            total += float(loss.detach()) / len(chosen)
            error += squared / len(chosen)
        if config.gaussians:
            only_imagined = all(i >= self.measured for i in chosen) and not config.imagined_moves_observed
            frozen = self.scene.observed[self.splats.source] if only_imagined else None
            self.splats.step(share, frozen)
        if config.cameras:
            self.corrections.step(share)
        if config.exposures:
            self.exposures.step(share)
        last = config.steps - config.densify_every
        if config.gaussians and config.densify_every and 0 < step <= last and step % config.densify_every == 0:
            relocate(self.splats, config.max_gaussians, self.generator)
        return total, -10 * math.log10(max(error, 1e-12))

    def _loss(self, i: int) -> tuple[Float[Tensor, ""], float]:
        config, view = self.config, self.views[i]
        camera = self.corrections.camera(i) if config.cameras else view.camera
        gaussians = self.splats.gaussians()
        if not config.gaussians:
            gaussians = gaussians.detach()
        output = self.draw(gaussians, camera)
        rgb = self.exposures.apply(output.rgb, i) if config.exposures else output.rgb
        loss = photometric_loss(rgb, view.image, config.ssim_weight)
        if view.depth is not None and config.depth_weight:
            loss = loss + config.depth_weight * _depth_loss(output, view, config.depth_outlier)
        if config.gaussians:
            loss = loss + config.opacity_weight * gaussians.opacities.mean()
            loss = loss + config.scale_weight * gaussians.scales.mean() / self.pixel
        return loss, float((rgb.detach() - view.image).square().mean())

    def _next_view(self) -> int:
        if not self.queue:
            self.queue = torch.randperm(len(self.views), generator=self.generator).tolist()
        return self.queue.pop()

    @torch.no_grad()
    def _held_out_psnr(self) -> float:
        gaussians = self.splats.gaussians()
        return _mean([psnr(self.draw(gaussians, view.camera).rgb, view.image) for view in self.held_out])

    def _state(self) -> tuple[Gaussians, Int[Tensor, "N"], list[Camera]]:
        gaussians, source = self.splats.snapshot()
        return (gaussians if self.config.gaussians else self.scene.gaussians), source, self.corrections.snapshot()


def _depth_loss(output: RenderOutput, view: View, outlier: float) -> Float[Tensor, ""]:
    """The mean relative error of the depth where it was measured and the scene shows something."""
    assert view.depth is not None
    both = (view.depth > 0) & (output.depth > 0)
    trust = both.to(view.depth.dtype) if view.confidence is None else view.confidence * both
    relative = (output.depth - view.depth).abs() / view.depth.clamp(min=1e-6)
    return (relative.clamp(max=outlier) * trust).sum() / trust.numel()


def _with_provenance(gaussians: Gaussians, scene: GaussianScene, source: Int[Tensor, "N"]) -> GaussianScene:
    features = scene.gaussians.features
    gaussians = replace(gaussians, features=None if features is None else features[source])
    provenance = {name: getattr(scene, name)[source] for name in PROVENANCE_SHAPES}
    return GaussianScene(gaussians, **provenance)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan
