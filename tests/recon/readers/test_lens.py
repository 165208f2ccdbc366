"""Lenses are OpenCV's, and are taken out exactly."""

import cv2
import numpy as np
import pytest
import torch

from recon.readers.intrinsics import Intrinsics
from recon.readers.lens import distort, pinhole_within, seen_by, undistort_points
from render.camera import Camera

LENSES = {
    "tum": (0.231222, -0.784899, -0.003257, -0.000105, 0.917205),
    "phone": (0.0578421, -0.0805099, -0.000980296, 0.00015575),
    "barrel": (-0.3, 0.1, 0.001, -0.002),
    "rational": (0.4, 0.1, 0.0005, -0.0003, 0.02, 0.5, 0.15, 0.03),
}
FISHEYE = (0.05, -0.01, 0.003, -0.001)


def camera_with(distortion, fisheye=False, focal=300.0):
    return Intrinsics(360, 270, focal, focal * 0.98, 172.3, 140.9, tuple(distortion), fisheye)


CAMERAS = [camera_with(lens) for lens in LENSES.values()] + [
    camera_with(FISHEYE, True),
    camera_with(FISHEYE, True, 160.0),
]


@pytest.fixture(scope="module")
def rays():
    return np.random.default_rng(0).uniform(-0.45, 0.45, (500, 2))


@pytest.mark.parametrize("camera", CAMERAS)
def test_distortion_is_opencvs(camera, rays):
    points = np.concatenate([rays, np.ones((500, 1))], axis=1)
    K = np.array([[camera.fx, 0, camera.cx - 0.5], [0, camera.fy, camera.cy - 0.5], [0, 0, 1]])
    if camera.fisheye:
        there, _ = cv2.fisheye.projectPoints(points[:, None], np.zeros(3), np.zeros(3), K, np.array(camera.distortion))
    else:
        there, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), K, np.array(camera.distortion))
    assert np.abs(distort(camera, rays) - 0.5 - there[:, 0]).max() < 1e-9


@pytest.mark.parametrize("camera", CAMERAS)
def test_undistorting_is_the_inverse(camera, rays):
    found = undistort_points(camera, distort(camera, rays))
    assert np.abs(found - rays).max() < 1e-6


@pytest.mark.parametrize("camera", CAMERAS)
def test_no_pixel_of_the_pinhole_lies_outside_the_image(camera):
    pinhole = pinhole_within(camera)
    white = np.ones((camera.height, camera.width), np.float32)
    assert seen_by(white, camera, pinhole, nearest=True).min() == 1
    # And none more would fit: somewhere the pinhole's rim lies at that of the image.
    v, u = np.mgrid[0 : camera.height, 0 : camera.width] + 0.5
    ray = np.stack([(u - pinhole.cx) / pinhole.fx, (v - pinhole.cy) / pinhole.fy], axis=-1).reshape(-1, 2)
    pixels = distort(camera, ray)
    room = np.concatenate([pixels - 0.5, [camera.width - 0.5, camera.height - 0.5] - pixels], axis=1).min(axis=0)
    assert (room >= -0.01).all() and (room < 6).all()


@pytest.mark.parametrize("camera", CAMERAS)
def test_the_pinhole_sees_what_a_pinhole_sees(camera, see_planes, psnr):
    planes = (((0.05, 0.02, 1.0), 2.6),)
    pinhole = pinhole_within(camera)
    truth, depth = see_planes(Camera(pinhole.K.float(), torch.eye(4), 360, 270), planes, shortest=0.6)
    bent, bent_depth = bent_view(camera, planes, see_planes)
    straight = torch.from_numpy(seen_by(bent.numpy(), camera, pinhole))
    assert psnr(straight, truth) > 45
    assert psnr(bent, truth) < psnr(straight, truth) - 10  # control: the lens left in
    near = torch.from_numpy(seen_by(bent_depth.numpy(), camera, pinhole, nearest=True))
    assert torch.isin(near, bent_depth).all()  # no depth is mixed from two
    assert ((near - depth).abs() / depth).max() < 0.02


def bent_view(camera, planes, see_planes):
    """What the lens sees, each pixel through its own pinhole."""
    v, u = np.mgrid[0 : camera.height, 0 : camera.width] + 0.5
    rays = undistort_points(camera, np.stack([u.ravel(), v.ravel()], axis=1))
    rays = torch.from_numpy(np.nan_to_num(rays)).float().reshape(camera.height, camera.width, 2)

    class Bent:
        def rays(self):
            return torch.zeros(3), torch.cat([rays, torch.ones_like(rays[..., :1])], dim=-1)

    return see_planes(Bent(), planes, shortest=0.6)


@pytest.mark.parametrize("distortion", [(-4.0, 0.0, 0.0, 0.0), (0.0, 0.0, 40.0, 0.0), (1e5, -1e5, 0.0, 0.0)])
def test_a_lens_that_folds_the_image_is_refused_or_avoided(distortion):
    camera = camera_with(distortion)
    try:
        pinhole = pinhole_within(camera)
    except ValueError as error:
        assert "no pinhole fits" in str(error)
        return
    white = np.ones((camera.height, camera.width), np.float32)
    assert seen_by(white, camera, pinhole, nearest=True).min() == 1


def test_a_pinhole_is_left_as_it_is():
    camera = camera_with(())
    image = np.random.default_rng(0).random((270, 360, 3)).astype(np.float32)
    assert pinhole_within(camera) == camera
    assert seen_by(image, camera, camera) is image
