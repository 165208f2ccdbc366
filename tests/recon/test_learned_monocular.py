"""Depth from one image by the packaged network: any size, the camera's scale, and what is known put right."""

from dataclasses import replace

import pytest
import torch

from recon import DepthContext, View, depth_source
from recon.learned_monocular import Guess, aligned, guess_depth, working_size
from recon.monocular import monocular
from recon.networks.monocular_weights import RIGHT, load_monocular
from render import Camera, FormatError

SOURCE = depth_source("monocular")


def view_of(height=64, width=64, fov=77.0, seed=0):
    """A textured floor and wall, as an image that has no truth."""
    v, u = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    stripes = 0.5 + 0.3 * torch.sin(40 * u / (0.2 + v)) * (v > 0.5)
    image = torch.stack([stripes, 0.4 + 0.4 * v, 0.7 - 0.3 * u], dim=-1)
    noise = 0.02 * torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))
    return View((image + noise).clamp(0, 1), Camera.from_fov(width, height, fov))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 80), (20, 30), (150, 40), (240, 320), (9, 200), (1, 1)])
def test_any_size_gives_whole_depth(height, width):
    depth, confidence = SOURCE([view_of(height, width)])
    assert depth.shape == confidence.shape == (height, width)
    assert bool(depth.isfinite().all()) and bool((depth > 0).all())
    assert bool(((confidence > 0) & (confidence < 1)).all())


def test_sides_are_multiples_of_eight_in_the_images_proportions():
    assert working_size(64, 64, 64) == (64, 64)
    assert working_size(480, 640, 64) == (56, 72)
    assert working_size(5, 5000, 64) == (16, 256)


def test_the_same_image_gives_the_same_depth_bit_for_bit():
    first, again = SOURCE([view_of()]), SOURCE([view_of()])
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])


def test_the_scale_follows_the_focal_length():
    """The same pixels by a lens of twice the focal length are twice as far away, and no other pixels are."""
    view = view_of()
    K = view.camera.K.clone()
    K[:2, :2] *= 2
    longer = replace(view, camera=Camera(K, view.camera.w2c, 64, 64))
    near, far = SOURCE([view]), SOURCE([longer])
    assert torch.allclose(far[0], 2 * near[0], rtol=1e-5) and torch.equal(far[1], near[1])
    assert not torch.allclose(SOURCE([view_of(seed=1)])[0], near[0], rtol=1e-3)


def test_a_larger_picture_of_the_same_camera_shows_the_same_depth():
    """Pixels three times as small: depth that followed the focal length alone would be three times as large."""
    small = view_of()
    pixels = small.image.repeat_interleave(3, 0).repeat_interleave(3, 1)
    large = View(pixels, Camera.from_fov(192, 192, 77.0))
    ratio = SOURCE([large])[0][1::3, 1::3] / SOURCE([small])[0]
    assert 0.85 < float(ratio.median()) < 1.15


def test_the_views_own_depth_is_never_read():
    view = view_of()
    spoiled = replace(view, depth=torch.full((64, 64), torch.nan), confidence=torch.zeros(64, 64))
    for views, others in (([view], [spoiled]), ([view, view], [spoiled, spoiled])):
        (depth, confidence), (other, sure) = SOURCE(views), SOURCE(others)
        assert torch.equal(depth, other) and torch.equal(confidence, sure)


def test_what_is_no_image_is_refused():
    with pytest.raises(ValueError, match="at least one view"):
        SOURCE([])
    with pytest.raises(ValueError, match="finite"):
        SOURCE([replace(view_of(), image=torch.full((64, 64, 3), torch.nan))])


def guess():
    return guess_depth(load_monocular(), view_of())


@pytest.mark.parametrize("factor", [0.5, 1.4])
def test_known_depth_puts_a_wrong_scale_right(factor):
    """What is known of a quarter of the view gives all of it its scale."""
    word, _ = SOURCE([view_of()])
    truth = factor * word
    known = torch.where((torch.arange(64) < 32) & (torch.arange(64)[:, None] < 32), truth, 0.0)
    depth, _ = SOURCE([view_of()], DepthContext(recalled_depth=known))
    assert torch.allclose(depth, truth, rtol=1e-3)
    assert not torch.allclose(word, truth, rtol=0.2)


def test_a_shift_is_found_where_a_scale_does_not_do():
    found = guess()
    truth = 1 / (1.1 / found.depth + 0.15 / found.depth.median())
    known = torch.where(torch.rand(64, 64, generator=torch.Generator().manual_seed(0)) < 0.3, truth, 0.0)
    error = (aligned(found, known).depth / truth - 1).abs()
    by_scale = (found.depth * (truth / found.depth).median() / truth - 1).abs()
    assert float(error.median()) < 1e-3 < float(by_scale.median())


def test_known_depth_decides_how_sure_it_is():
    """Confidence is the chance to be within 10 %: it falls where the network is off by more than it thinks."""
    found = guess()
    noise = torch.distributions.Laplace(0.0, 1.0)
    torch.manual_seed(0)
    for factor in (1.0, 1.5, 2.0):
        truth = found.depth * (factor * found.scale * noise.sample((64, 64))).exp()
        known = torch.where(torch.rand(64, 64) < 0.5, truth, 0.0)
        judged = aligned(found, known)
        right = ((judged.depth / truth).log().abs() < RIGHT).float().mean()
        assert float(judged.confidence().mean()) == pytest.approx(float(right), abs=0.06)
    assert torch.equal(aligned(found, found.depth).scale, found.scale), "what it is fitted to makes it no surer"


def test_what_contradicts_the_scene_gives_nothing_and_too_little_is_not_listened_to():
    found = guess()
    torch.manual_seed(0)
    nonsense = 0.3 + 6 * torch.rand(64, 64)
    against = aligned(found, nonsense)
    assert not against.depth.any() and not against.confidence().any()
    few = torch.zeros(64, 64)
    few[0, :20] = 9.0
    assert torch.equal(aligned(found, few).depth, found.depth)


def test_confidence_is_the_chance_of_a_laplace_distribution():
    scale = torch.full((100, 100), 0.08)
    torch.manual_seed(0)
    error = torch.distributions.Laplace(0.0, 0.08).sample((100, 100))
    share = (error.abs() < RIGHT).float().mean()
    assert float(Guess(torch.ones(100, 100), scale).confidence()[0, 0]) == pytest.approx(float(share), abs=0.02)


def test_folders_are_told_apart_by_their_files(tmp_path):
    assert monocular() is SOURCE
    (tmp_path / "some.safetensors").write_bytes(b"no weights")
    with pytest.raises(FileNotFoundError, match=r"some\.json"):
        depth_source(f"monocular({tmp_path})")
    (tmp_path / "some.json").write_text("{}")
    with pytest.raises(FormatError, match="whole safetensors"):
        depth_source(f"monocular({tmp_path})")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="no architecture"):
        depth_source(f"monocular({tmp_path})")


def test_the_packaged_weights_are_small():
    from recon.networks.monocular_weights import DEFAULT, PACKAGED

    assert (PACKAGED / f"{DEFAULT}.safetensors").stat().st_size <= 3_000_000
    assert sum(p.numel() for p in load_monocular().parameters()) <= 1_500_000
