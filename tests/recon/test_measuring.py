"""Input that cannot be measured: the recipes say which it is, and make nothing of invalid pixels."""

from dataclasses import replace

import pytest
import torch

from recon import reconstruct
from recon.measuring import measure_views
from recon.scale_checks import check_scale
from recon.sequences import SequenceConfig, reconstruct_sequence
from render.geometry import project

PLANES = (((0.3, 0.15, 1.0), 2.4), ((-0.5, 0.1, 1.0), 3.0))
SOURCES = ["stereo", "rgbd", "multiview"]


@pytest.fixture(scope="module")
def walk(plane_view):
    """Five views of two planes, 10 cm apart, each with depth and a right eye."""
    views = []
    for i in range(5):
        w2c = torch.eye(4)
        w2c[0, 3], w2c[1, 3] = -0.1 * i, 0.02 * i
        views.append(plane_view(PLANES, w2c=w2c, width=160, height=120, focal=100.0, baseline=0.2, shortest=0.08))
    return views


def grey(view):
    return replace(view, image=torch.full_like(view.image, 0.5), right=torch.full_like(view.image, 0.5))


def with_nan_depth(view):
    depth = view.depth.clone()
    depth[20:50, 30:90] = torch.nan
    return replace(view, depth=depth)


def miscalibrated(view, factor=1.4):
    K = view.camera.K.clone()
    K[0, 0] *= factor
    K[1, 1] *= factor
    return replace(view, camera=replace(view.camera, K=K))


def swapped(view):
    return replace(view, image=view.right, right=view.image)


HOPELESS = {
    ("stereo", "no texture"): grey,
    ("stereo", "identical frames"): lambda view: replace(view, right=view.image),
    ("stereo", "zero baseline"): lambda view: replace(view, baseline=0.0),
    ("stereo", "swapped eyes: .*Exchange left and right"): swapped,
    ("stereo", "swapped"): lambda view: replace(view, baseline=-view.baseline),
    ("stereo", "not rectified"): lambda view: replace(view, right=view.right.roll(4, 0)),
    ("stereo", "View.right has .* NaN"): lambda view: replace(view, right=view.right * torch.nan),
    ("stereo", "no right eye"): lambda view: replace(view, right=None, baseline=None),
    ("rgbd", "depth is NaN.* in 19200 of 19200 pixels"): lambda view: replace(view, depth=view.depth * torch.nan),
    ("multiview", "has texture to compare"): grey,
}


@pytest.mark.parametrize("source", SOURCES)
def test_a_healthy_walk_has_no_problems(walk, source):
    built = reconstruct_sequence(walk, SequenceConfig(depth=source))
    assert built.problems == {} and built.scale.ok and len(built.scene) > 10_000
    assert built.scale.numbers["pairs"] >= 5, "the cameras were in fact compared"


@pytest.mark.parametrize("source, reason", HOPELESS)
def test_what_nothing_can_be_made_of_is_named(walk, source, reason):
    views = [HOPELESS[source, reason](view) for view in walk]
    with pytest.raises(ValueError, match=f"(?s)none of 5 views gave depth by .*{reason}"):
        reconstruct_sequence(views, SequenceConfig(depth=source))


@pytest.mark.parametrize("source, reason", [key for key in HOPELESS if key[0] == "stereo"])
def test_one_bad_view_is_named_and_the_others_are_used(walk, source, reason):
    views = [*walk[:2], HOPELESS[source, reason](walk[2]), *walk[3:]]
    measured = measure_views(views, source)
    assert list(measured.problems) == [2] and measured.summary().startswith("1 of 5 views: ")
    assert (measured.views[2].depth == 0).all() and (measured.views[3].depth > 0).float().mean() > 0.5
    with pytest.warns(UserWarning, match=reason):
        reconstruct(views, source)


def test_a_camera_that_never_moved_measures_nothing_by_multiview(walk):
    with pytest.raises(ValueError, match="from one place"):
        reconstruct_sequence([walk[0]] * 4, SequenceConfig(depth="multiview"))
    frozen = [replace(view, image=walk[0].image) for view in walk]
    with pytest.raises(ValueError, match="images did not: frames are repeated"):
        reconstruct_sequence(frozen, SequenceConfig(depth="multiview"))


def test_swapped_eyes_are_not_reconstructed_inside_out(walk):
    measured = measure_views([swapped(view) for view in walk], "stereo")
    assert set(measured.problems) == set(range(5)) and "swapped eyes" in measured.problems[0]
    assert all((view.depth == 0).all() and (view.confidence == 0).all() for view in measured.views)


def test_no_gaussian_comes_of_an_invalid_pixel(walk):
    views = [with_nan_depth(walk[0])]
    built = reconstruct_sequence(views, SequenceConfig(depth="rgbd"))
    assert "1800 of 19200 pixels" in built.problems[0]
    pixels, _ = project(built.scene.gaussians.means, walk[0].camera)
    column, row = pixels.floor().long().unbind(1)
    assert views[0].depth[row, column].isfinite().all() and len(built.scene) > 15_000

    image = walk[0].image.clone()
    image[60, 80, 1] = torch.nan
    built = reconstruct_sequence([replace(walk[0], image=image), walk[1]], SequenceConfig(depth="rgbd"))
    assert "View.image has 1 NaN" in built.problems[0] and 1 not in built.problems
    assert built.scene.gaussians.sh.isfinite().all()
    first = built.scene[built.scene.step == 0]
    pixels, _ = project(first.gaussians.means, walk[0].camera)
    assert not ((pixels - torch.tensor([80.5, 60.5])).abs() < 1.4).all(1).any()


def test_a_camera_that_is_not_finite_is_named(walk):
    camera = replace(walk[1].camera, w2c=walk[1].camera.w2c * torch.nan)
    views = [walk[0], replace(walk[1], camera=camera), walk[2]]
    for source in ("truth", "stereo", "multiview"):
        with pytest.raises(ValueError, match="finite cameras; that of view 1"):
            reconstruct(views, source)


@pytest.mark.parametrize("factor", [0.75, 1.4])
def test_a_wrong_focal_length_or_baseline_is_told_by_reprojection(walk, factor):
    wrong = [replace(view, baseline=view.baseline * factor) for view in walk]
    for views, source in ((wrong, "stereo"), ([miscalibrated(view, 1 / factor) for view in walk], "rgbd")):
        built = reconstruct_sequence(views, SequenceConfig(depth=source))
        assert not built.scale.ok and "wrong calibration" in built.scale.reason
        assert built.scale.numbers["factor"] * factor == pytest.approx(1, rel=0.08)


def test_cameras_of_other_views_fit_no_depth(walk):
    far = [replace(view, camera=other.camera) for view, other in zip(walk, walk[2:] + walk[:2], strict=True)]
    status = check_scale(measure_views(far, "truth").views)
    assert not status.ok and "wrong cameras" in status.reason


def test_too_little_motion_says_nothing_of_the_scale(walk):
    status = check_scale(measure_views([miscalibrated(walk[0])] * 3, "truth").views)
    assert status.ok and status.numbers == {}
