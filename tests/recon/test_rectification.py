"""Raw pairs: lenses bent, eyes turned to each other. Made exactly, and one recorded by a car."""

import cv2
import numpy as np
import pytest
import torch

from recon import rectify
from recon.pipeline import read_pair, reconstruct_raw_pair
from recon.readers.camera_info import read_camera_info, stereo_motion
from recon.readers.intrinsics import Intrinsics
from recon.readers.lens import distort, undistort_points
from recon.stereo import stereo_depth
from recon.stereo_checks import check_pair
from recon.view import View
from render import FormatError
from render.camera import Camera
from render.images import write_png

PLANES = (((0.2, 0.1, 1.0), 2.6), ((0.0, 1.0, 0.2), 1.2))
LEFT = Intrinsics(240, 180, 190.0, 192.0, 121.3, 88.9, (-0.25, 0.08, 0.001, -0.0007, 0.0))
RIGHT = Intrinsics(240, 180, 188.0, 191.0, 117.8, 92.4, (-0.24, 0.07, -0.0004, 0.0009, 0.0))
BASELINE = 0.2


def motion(degrees=(1.2, 2.0, -1.5)):
    """right_from_left: turned by a little about each axis, and mostly moved to the side."""
    turn = torch.from_numpy(cv2.Rodrigues(np.deg2rad(np.array(degrees)))[0])
    out = torch.eye(4, dtype=torch.float64)
    out[:3, :3] = turn
    out[:3, 3] = -turn @ (BASELINE * torch.nn.functional.normalize(torch.tensor([1.0, 0.05, -0.04]).double(), dim=0))
    return out


def taken(see_planes, lens, w2c):
    """What a bent lens sees: the pixels of a wide pinhole, looked up where the lens puts them."""
    wide = Camera(torch.tensor([[380.0, 0, 320], [0, 380.0, 240], [0, 0, 1]]), w2c.float(), 640, 480)
    image, _ = see_planes(wide, PLANES, shortest=0.06)
    v, u = np.mgrid[: lens.height, : lens.width] + 0.5
    xy = undistort_points(lens, np.stack([u.ravel(), v.ravel()], axis=1)).reshape(lens.height, lens.width, 2)
    x, y = (380 * xy[..., 0] + 320 - 0.5).astype(np.float32), (380 * xy[..., 1] + 240 - 0.5).astype(np.float32)
    return torch.from_numpy(cv2.remap(image.numpy(), x, y, cv2.INTER_LINEAR)).clamp(0, 1)


@pytest.fixture(scope="module")
def pair(see_planes):
    return taken(see_planes, LEFT, torch.eye(4)), taken(see_planes, RIGHT, motion())


def plane_errors(depth, camera, turn):
    """Of measured depth, how far its points are from the nearer plane, over the depth; turn: left from rectified."""
    _, rays = camera.rays()
    points = (depth[..., None] * rays)[depth > 0] @ turn.T.float()
    off = []
    for normal, offset in PLANES:
        direction = torch.tensor(normal)
        off.append((points @ direction - offset).abs() / direction.norm())
    return torch.stack(off).amin(0) / depth[depth > 0]


def turned(view_motion):
    """left_from_rectified, as OpenCV makes it."""
    K = [np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])] * 2
    numbers = view_motion.numpy()
    found = cv2.stereoRectify(K[0], None, K[1], None, (10, 10), numbers[:3, :3], numbers[:3, 3:])
    return torch.from_numpy(found[0]).T


@pytest.mark.parametrize("known", [True, False])
def test_depth_of_a_raw_pair_is_metric(pair, known):
    given = {"right_from_left": motion()} if known else {"baseline": BASELINE}
    found = rectify([pair], LEFT, RIGHT, **given)
    view = found.views[0]
    assert found.sure and view.baseline == pytest.approx(BASELINE, rel=1e-3)
    assert check_pair(view).ok
    depth, _ = stereo_depth([view])
    error = plane_errors(depth, view.camera, turned(found.right_from_left))
    assert (depth > 0).float().mean() > 0.7
    assert error.median() < 0.01 and (error < 0.05).float().mean() > 0.9


def test_each_pixel_shows_what_its_ray_met():
    """To a tenth of a pixel: half a one is what a wrong first centre costs."""
    v, u = torch.meshgrid(torch.arange(180) + 0.5, torch.arange(240) + 0.5, indexing="ij")
    places = torch.stack([u / 240, v / 180, torch.zeros_like(u)], dim=-1)  # every pixel's colour is its place
    known = motion()
    view = rectify([(places, places)], LEFT, RIGHT, right_from_left=known).views[0]
    assert view.right is not None
    _, rays = view.camera.rays()
    left_from_rectified = turned(known)
    for lens, image, eye_from_left in ((LEFT, view.image, torch.eye(3)), (RIGHT, view.right, known[:3, :3])):
        local = rays.double() @ left_from_rectified.T @ eye_from_left.double().T
        expected = torch.from_numpy(distort(lens, (local[..., :2] / local[..., 2:]).reshape(-1, 2).numpy()))
        shown = image[..., :2].reshape(-1, 2).double() * torch.tensor([240.0, 180.0])
        inside = ((expected > 1) & (expected < torch.tensor([239.0, 179.0]))).all(-1)
        assert inside.float().mean() > 0.8
        assert (shown - expected)[inside].abs().max() < 0.1


def test_unrectified_it_is_refused_and_measured_wrong(pair):
    """The control."""
    camera = rectify([pair], LEFT, RIGHT, right_from_left=motion()).views[0].camera
    raw = View(pair[0], camera, right=pair[1], baseline=BASELINE)
    status = check_pair(raw)
    assert not status.ok and "not rectified" in status.reason


def test_what_is_no_rig_is_refused(pair):
    swapped = motion()
    swapped[:3, 3] *= -1
    with pytest.raises(ValueError, match="swapped eyes"):
        rectify([pair], LEFT, RIGHT, right_from_left=swapped)
    ahead = torch.eye(4, dtype=torch.float64)
    ahead[:3, 3] = torch.tensor([-0.01, 0.0, 0.3])
    with pytest.raises(ValueError, match="beside each other"):
        rectify([pair], LEFT, RIGHT, right_from_left=ahead)
    with pytest.raises(ValueError, match="baseline in metres above 0; got None"):
        rectify([pair], LEFT, RIGHT)
    with pytest.raises(ValueError, match="left eye's lens is of 240x180"):
        rectify([(pair[0][:-2], pair[1][:-2])], LEFT, RIGHT, baseline=BASELINE)
    blank = torch.full_like(pair[0], 0.5)
    with pytest.raises(ValueError, match="the eyes share 0 points"):
        rectify([(blank, blank)], LEFT, RIGHT, baseline=BASELINE)


def camera_info(lens, turn=None, shift=0.0):
    K = [lens.fx, 0, lens.cx - 0.5, 0, lens.fy, lens.cy - 0.5, 0, 0, 1]
    turn = torch.eye(3).double() if turn is None else turn
    P = [200.0, 0, 120, 200.0 * shift, 0, 200.0, 90, 0, 0, 0, 1, 0]
    return (
        f"image_width: {lens.width}\nimage_height: {lens.height}\ncamera_name: eye\n"
        f"camera_matrix: {{rows: 3, cols: 3, data: {K}}}\ndistortion_model: plumb_bob\n"
        f"distortion_coefficients: {{rows: 1, cols: 5, data: {list(lens.distortion)}}}\n"
        f"rectification_matrix: {{rows: 3, cols: 3, data: {turn.flatten().tolist()}}}\n"
        f"projection_matrix: {{rows: 3, cols: 4, data: {P}}}\n"
    )


def test_ros_calibrations_say_how_the_eyes_stand(tmp_path, pair):
    found = cv2.stereoRectify(
        np.eye(3), None, np.eye(3), None, (10, 10), motion()[:3, :3].numpy(), motion()[:3, 3:].numpy()
    )
    turns = [torch.from_numpy(turn) for turn in found[:2]]
    (tmp_path / "left.yaml").write_text(camera_info(LEFT, turns[0]))
    (tmp_path / "right.yaml").write_text(camera_info(RIGHT, turns[1], -BASELINE))
    infos = [read_camera_info(tmp_path / f"{eye}.yaml") for eye in ("left", "right")]
    assert infos[0].lens == LEFT and infos[1].lens == RIGHT
    assert torch.allclose(stereo_motion(*infos), motion(), atol=1e-9)
    for name, image in zip(("left", "right"), pair, strict=True):
        write_png(tmp_path / f"{name}.png", image)
    files = [tmp_path / name for name in ("left.png", "right.png", "left.yaml", "right.yaml")]
    scene, view = reconstruct_raw_pair(*files)
    assert len(scene) > 10_000 and view.baseline == pytest.approx(BASELINE, rel=1e-3)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("image_width: 240", "image_width: 0", "image_width"),
        ("plumb_bob", "omni", "distortion_model"),
        ("rows: 3, cols: 4, data: [200.0", "rows: 3, cols: 4, data: [.nan", "projection_matrix"),
        ("camera_matrix: {rows: 3, cols: 3, data: [", "camera_matrix: {rows: 3, cols: 3, data: [1, ", "camera_matrix"),
        ("image_width", "{", "camera_info"),
    ],
)
def test_damaged_calibrations_are_named(tmp_path, old, new, words):
    content = camera_info(LEFT)
    assert old in content
    (tmp_path / "eye.yaml").write_text(content.replace(old, new, 1))
    with pytest.raises(FormatError, match=words):
        read_camera_info(tmp_path / "eye.yaml")


def test_a_recorded_raw_pair(shared_data):
    folder = shared_data("stereo_gt/utbm_bb2_unrectified_noGT")
    infos = [read_camera_info(folder / f"bb2_{eye}.yaml") for eye in ("left", "right")]
    assert stereo_motion(*infos) is None
    images = [read_pair(folder / f"left/frame_{i}.jpg", folder / f"right/frame_{i}.jpg") for i in (1, 2, 3)]
    found = rectify(images, infos[0].lens, infos[1].lens, baseline=0.12)
    assert found.sure
    raw = check_pair(View(*images[0][:1], found.views[0].camera, right=images[0][1], baseline=0.12))
    rectified = check_pair(found.views[0])
    assert not raw.ok and "not rectified" in raw.reason
    assert rectified.ok and rectified.numbers["off_row"] < 0.4 < 0.7 < raw.numbers["off_row"]
    depth, _ = stereo_depth([found.views[0]])
    assert (depth > 0).float().mean() > 0.8
    # The road: nearer towards the bottom of the image.
    rows = [
        float(depth[row : row + 40, 300:700][depth[row : row + 40, 300:700] > 0].median()) for row in (520, 620, 720)
    ]
    assert rows[0] > 1.2 * rows[1] > 1.2**2 * rows[2] and 1 < rows[2] < 6
