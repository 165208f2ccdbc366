"""What is measured: our backends, each with a number of threads, and any rasterizer in a folder beside them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from render import Camera, Gaussians, rgb_from_sh
from render.rasterize import BACKENDS, backend_problem

BESIDE = "nbsplat"  # the module that --beside imports from the folder

Draw = Callable[[], tuple[Tensor, ...]]


@dataclass(frozen=True)
class Contender:
    """A rasterizer and its threads. `folder` is where another's module lies; None for a backend of ours."""

    name: str
    threads: int
    folder: Path | None = None

    @property
    def key(self) -> str:
        return f"{self.name}, {self.threads} thread{'s' if self.threads > 1 else ''}"

    @property
    def device(self) -> str:
        return "cuda" if self.name == "gsplat" else "cpu"

    @property
    def torch_threads(self) -> int:
        """Threads of torch's own operations. One beside those that bring workers of their own: torch's spin for a
        while after each operation, and would take the workers' cores."""
        return 1 if self.name == "cpu" or self.folder is not None else self.threads

    def prepare(self, gaussians: Gaussians, camera: Camera) -> tuple[Draw, list[Tensor]]:
        """(draw, leaves): draw() renders colour, depth and alpha of this camera (without a batch axis); the leaves
        are copies of the splats' tensors and of w2c, to which gradients go."""
        gaussians, camera = gaussians.to(self.device), camera.to(self.device)
        if self.folder is not None:
            return _prepare_beside(self.folder, gaussians, camera, self.threads)
        leaves: dict[str, Any] = {
            field.name: _leaf(value)
            for field in fields(gaussians)
            if (value := getattr(gaussians, field.name)) is not None
        }
        w2c = _leaf(camera.w2c[None])
        splats, cameras = Gaussians(**leaves), replace(camera, K=camera.K[None], w2c=w2c)

        def draw() -> tuple[Tensor, ...]:
            output = self._rasterize(splats, cameras)
            return output.rgb, output.depth, output.alpha

        return draw, [*leaves.values(), w2c]

    def _rasterize(self, gaussians: Gaussians, cameras: Camera) -> Any:
        if self.name == "cpu":
            from render.rasterize_cpu import rasterize_cpu

            return rasterize_cpu(gaussians, cameras, threads=self.threads)
        return BACKENDS[self.name](gaussians, cameras)


def contenders(names: Sequence[str], threads: Sequence[int], beside: Path | None) -> list[Contender]:
    """Those that work here: the cpu backend and the one beside with each number of threads, torch with the fewest (its
    threads spin between small operations, which on a busy machine makes it slower many times), others with the most.

    Without names, every backend that works. Raises ValueError for a backend asked for by name that does not, and
    FileNotFoundError where the folder beside holds no module of the expected name.
    """
    for name in names:
        problem = backend_problem(name)
        if problem is not None:
            raise ValueError(problem)
    chosen = names or [name for name in BACKENDS if backend_problem(name) is None]
    # The slow one last: a round's other measurements lie close together in time.
    found = [Contender("cpu", n) for n in threads if "cpu" in chosen]
    if beside is not None:
        if not (beside / f"{BESIDE}.py").is_file():
            raise FileNotFoundError(
                f"{beside}: expected a folder with {BESIDE}.py, a rasterizer to measure beside ours"
            )
        found += [Contender(BESIDE, n, beside) for n in threads]
    found += [Contender(name, max(threads)) for name in chosen if name not in ("cpu", "torch")]
    return found + [Contender("torch", min(threads)) for name in chosen if name == "torch"]


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """torch's own operations have so many threads meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _prepare_beside(folder: Path, gaussians: Gaussians, camera: Camera, threads: int) -> tuple[Draw, list[Tensor]]:
    """As `prepare`, of `rasterize(means, quats, scales, opacities, colours, w2c, K, width, height, threads)`."""
    rasterize = _module(folder).rasterize
    columns = gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, rgb_from_sh(gaussians.sh)
    leaves = [_leaf(column) for column in (*columns, camera.w2c)]
    return lambda: rasterize(*leaves, camera.K, camera.width, camera.height, threads), leaves


def _module(folder: Path) -> Any:
    sys.path.insert(0, str(folder))  # it imports its own neighbours by their bare names
    try:
        return importlib.import_module(BESIDE)
    finally:
        sys.path.remove(str(folder))


def _leaf(value: Tensor) -> Tensor:
    return value.detach().clone().requires_grad_()
