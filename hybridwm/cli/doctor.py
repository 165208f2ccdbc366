"""`hybridwm doctor`"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from .. import environment


@dataclass(frozen=True)
class Options:
    """Say what is installed, which backends work here (each is tried), and what to install for the rest."""

    json: bool = False
    """Print one JSON object instead of text."""


def run(options: Options) -> None:
    """Prints the findings."""
    findings = examine()
    print(json.dumps(findings, indent=2) if options.json else as_text(findings))


def examine() -> dict[str, Any]:
    """Versions and machine, and for each rasterizer and depth source whether it works or why not."""
    import torch

    from recon.depth_sources import DEPTH_SOURCES
    from render.rasterize import BACKENDS

    from ..weights.store import names

    return {
        **environment.describe(),
        "rasterizers": {name: _try_rasterizer(name) for name in BACKENDS},
        "depth_sources": list(DEPTH_SOURCES),
        "weights": names(),
        "default_device": "cuda" if torch.cuda.is_available() else "cpu",
        "missing": {
            name: {"for": purpose, "install": command}
            for name, (purpose, command) in _optional().items()
            if environment.installed_version(name) is None
        },
    }


def _optional() -> dict[str, tuple[str, str]]:
    """Optional distribution: what it adds, and how to get it."""
    from render.rasterize_pytorch3d import INSTALL_PAGE

    return {
        "gsplat": ("the CUDA rasterizer, backend 'gsplat'", "pip install 'hybridwm[gsplat]'"),
        "transformers": ("depth from one image, 'monocular(FOLDER)'", "pip install 'hybridwm[monocular]'"),
        "diffusers": ("latents as frames, `codec: FOLDER`", "pip install 'hybridwm[latent]'"),
        "pycolmap": ("cameras by COLMAP, method 'colmap'", "pip install 'hybridwm[sfm]'"),
        "vizdoom": ("the world doom", "pip install 'hybridwm[doom]'"),
        "mujoco": ("the world arm, and bodies moved by a robot's kinematics", "pip install 'hybridwm[arm]'"),
        "pytorch3d": (
            "a baseline of round splats, backend 'pytorch3d', and its cameras",
            f"no wheel; see {INSTALL_PAGE}",
        ),
    }


def as_text(findings: dict[str, Any]) -> str:
    """The findings for a terminal."""
    width = max(map(len, findings["rasterizers"]))
    lines = [
        f"hybridwm {findings['hybridwm']}, Python {findings['python']}, {findings['system']} "
        f"{findings['machine']}, {findings['cores']} cores",
        f"device: {findings['default_device']} {', '.join(findings.get('devices', []))}".rstrip(),
        "packages: " + ", ".join(f"{name} {version}" for name, version in findings["packages"].items()),
        "rasterizers:",
        *(f"  {name:<{width}} {_verdict(found)}" for name, found in findings["rasterizers"].items()),
        f"depth sources: {', '.join(findings['depth_sources'])}",
        f"weights: {', '.join(findings['weights']) or 'none'}",
    ]
    for name, what in findings["missing"].items():
        lines.append(f"not installed: {name}, {what['for']}; {what['install']}")
    return "\n".join(lines)


def _verdict(found: dict[str, Any]) -> str:
    return f"works ({found['milliseconds']} ms for 100 splats at 64x64)" if found["works"] else f"no: {found['why']}"


def _try_rasterizer(name: Any) -> dict[str, Any]:
    """Renders a hundred splats with the backend, on the device that it is for."""
    import torch

    from render import Camera, Gaussians, rasterize, sh_from_rgb
    from render.rasterize import backend_problem

    problem = backend_problem(name)
    if problem is not None:
        return {"works": False, "why": problem}
    device = "cuda" if name == "gsplat" else "cpu"
    points = torch.randn(100, 3, generator=torch.Generator().manual_seed(0)) + torch.tensor([0.0, 0.0, 4.0])
    quats = torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(100, 4)
    sizes = torch.full((100, 3), 0.05)
    splats = Gaussians(points, quats, sizes, torch.full((100,), 0.8), sh_from_rgb(torch.rand(100, 3)))
    camera = Camera.from_fov(64, 64, 77.0)
    try:
        for _ in range(2):  # the first call may compile
            begun = time.perf_counter()
            image = rasterize(splats.to(device), camera.to(device), backend=name)
            seconds = time.perf_counter() - begun
    except Exception as error:  # whatever a driver or a compiler throws is a finding, not an end
        return {"works": False, "why": " ".join(str(error).split())[:200]}
    if not bool(torch.isfinite(image.rgb).all()) or float(image.alpha.max()) == 0:
        return {"works": False, "why": "it rendered an empty or broken image"}
    return {"works": True, "milliseconds": round(1000 * seconds, 1)}
