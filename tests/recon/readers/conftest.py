"""A short walk past two planes, exact, and its parts in the forms in which files hold them."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image

from render.camera import Camera
from render.images import to_uint8
from render.transforms import invert_rigid, matrix_from_quats

WIDTH, HEIGHT = 96, 72
FX, FY, CX, CY = 90.0, 86.0, 45.7, 37.7  # first pixel centre at (0.5, 0.5); neither square nor centred
PLANES = (((0.25, 0.1, 1.0), 2.6), ((0.9, -0.2, 1.0), 3.1))
OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Shot:
    """One frame of the walk: image [H, W, 3] in 0..1, depth [H, W] metres, camera, wxyz and c2w [4, 4] in float64."""

    image: torch.Tensor
    depth: torch.Tensor
    camera: Camera
    wxyz: np.ndarray
    c2w: np.ndarray


@pytest.fixture(scope="session")
def walk(see_planes):
    """Five frames, each moved and turned about all three axes."""
    shots = []
    for step in range(5):
        wxyz = torch.tensor([1.0, 0.02 * step, -0.03 * step, 0.015 * step], dtype=torch.float64)
        wxyz = wxyz / wxyz.norm()
        c2w = torch.eye(4, dtype=torch.float64)
        c2w[:3, :3] = matrix_from_quats(wxyz)
        c2w[:3, 3] = torch.tensor([0.09, -0.03, 0.05]) * step
        K = torch.tensor([[FX, 0, CX], [0, FY, CY], [0, 0, 1]])
        camera = Camera(K, invert_rigid(c2w).float(), WIDTH, HEIGHT)
        image, depth = see_planes(camera, PLANES, seed=3, shortest=0.3)
        shots.append(Shot(image, depth, camera, wxyz.numpy(), c2w.numpy()))
    return shots


@pytest.fixture(scope="session")
def save():
    """save(path, image [H, W, 3] or depth [H, W] with step in metres): a PNG, its folder made."""

    def write(path, values, step=None):
        path.parent.mkdir(parents=True, exist_ok=True)
        if step is None:
            pixels = to_uint8(values)
        else:
            pixels = np.rint(torch.where(values.isfinite(), values, 0).numpy() / step).astype(np.uint16)
        Image.fromarray(pixels).save(path)
        return path

    return write


@pytest.fixture(scope="session")
def rows():
    """rows(matrix): its numbers in one line, all digits kept."""
    return lambda values: " ".join(repr(float(value)) for value in np.asarray(values).ravel())


@pytest.fixture(scope="session")
def check_walk(walk, psnr):
    """check_walk(captured, depth=True): that the views are those of the walk: cameras, images, depth."""

    def check(captured, depth=True, kept=range(5)):
        assert len(captured.views) == len(captured.names) == len(kept)
        for view, index in zip(captured.views, kept, strict=True):
            shot = walk[index]
            assert (view.camera.w2c - shot.camera.w2c).abs().max() < 1e-5
            assert (view.camera.K - shot.camera.K).abs().max() < 1e-3
            assert psnr(view.image, shot.image) > 50
            if depth:
                known = shot.depth.isfinite()
                assert (view.depth - shot.depth)[known].abs().max() < 0.002
            else:
                assert view.depth is None

    return check


@pytest.fixture(scope="session")
def depth_error():
    """depth_error(a, b): median relative difference between a's depth taken to b and b's own."""
    from hybridwm.bench.recon_readers import depth_reprojection

    return lambda a, b: depth_reprojection(a, b)[0]
