import pytest
import torch

from render import Camera
from render.geometry import project


def test_points_fall_on_the_pixels_worked_out_by_hand():
    K = torch.tensor([[100.0, 0, 30], [0, 200, 12], [0, 0, 1]])
    camera = Camera(K, torch.eye(4), 64, 32)
    # 2 m ahead, 0.1 m right, 0.05 m down: u = 30 + 100 * 0.05, v = 12 + 200 * 0.025.
    pixels, depth = project(torch.tensor([[0.1, 0.05, 2.0]]), camera)
    assert pixels.tolist() == [[35.0, 17.0]] and depth.tolist() == [2.0]


def test_the_top_left_pixel_centre_is_half_half():
    camera = Camera.from_fov(6, 4, 90.0)
    assert camera.K[0, 2] == 3 and camera.K[1, 2] == 2 and camera.K[0, 0] == pytest.approx(3)
    _, directions = camera.rays()
    assert directions.shape == (4, 6, 3)
    assert directions[0, 0].tolist() == pytest.approx([(0.5 - 3) / 3, (0.5 - 2) / 3, 1.0])


def test_w2c_and_c2w_are_inverse_and_center_is_where_the_camera_is(camera):
    assert torch.allclose(camera.w2c @ camera.c2w, torch.eye(4), atol=1e-6)
    assert camera.center.tolist() == pytest.approx([0.3, 0.1, -0.4], abs=1e-6)


def test_the_right_eye_lies_along_plus_x_and_sees_things_further_left(camera):
    right = camera.moved_right(0.3)
    assert torch.allclose(right.center, camera.center + 0.3 * camera.c2w[:3, 0], atol=1e-6)
    point = torch.tensor([[0.2, 0.0, 2.5]])
    left_pixel, depth = project(point, camera)
    right_pixel, _ = project(point, right)
    disparity = left_pixel - right_pixel
    assert disparity[0, 0].item() == pytest.approx((60 * 0.3 / depth).item(), rel=1e-4)
    assert abs(disparity[0, 1].item()) < 1e-3


def test_resizing_scales_pixel_coordinates_exactly(camera):
    half = camera.resized(35, 90)
    point = torch.tensor([[0.2, 0.1, 2.5]])
    before, after = project(point, camera)[0], project(point, half)[0]
    assert torch.allclose(after, before * torch.tensor([0.5, 2.0]), atol=1e-4)


def test_batches_index_stack_and_move_like_their_members(camera):
    pair = Camera.stack([camera, camera.moved_right(0.3)])
    assert pair.batch_shape == (2,) and len(pair) == 2 and pair.center.shape == (2, 3)
    assert torch.equal(pair[1].w2c, camera.moved_right(0.3).w2c)
    assert torch.equal(pair.moved_right(torch.tensor([0.3, 0.0]))[0].w2c, pair[1].w2c)
    grid = Camera(pair.K.expand(4, 2, 3, 3), pair.w2c.expand(4, 2, 4, 4), 70, 45)
    assert grid.rays()[1].shape == (4, 2, 45, 70, 3)
    assert pair.to(torch.float64).dtype == torch.float64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(K=torch.eye(4)), r"K must be \[\*B, 3, 3\]"),
        (dict(w2c=torch.eye(4)[:3]), "0 0 0 1"),
        (dict(w2c=torch.eye(4).expand(2, 4, 4)), "equal batch axes"),
        (dict(w2c=torch.eye(4, dtype=torch.float64)), "share dtype and device"),
        (dict(width=0), "at least 1"),
    ],
)
def test_mistakes_are_named(change, message, unchecked):
    values = dict(K=torch.eye(3), w2c=torch.eye(4), width=8, height=6) | change
    with pytest.raises(ValueError, match=message):
        Camera(**values)
