import math
import statistics
import time
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridwm.bench.scenes import room_camera, room_splats
from render import Camera, Gaussians, rasterize, sh_from_rgb
from render.frustum import boxes_in_view, nearest_depths
from render.level_of_detail import levels, merge, select
from render.merging import MAX_GROWTH, MAX_OPACITY
from render.rasterize_cpu import rasterize_cpu
from render.trajectory import look_at
from render.transforms import matrix_from_quats

RED, BLUE = (0.9, 0.2, 0.1), (0.1, 0.3, 0.9)


def wall(side=60, thickness=0.0, turn=0.0, colours=((0.5, 0.5, 0.5),)):
    """Discs as a depth image gives them: a wall of 2 x 2 m, or the two sides of one, turned about the y axis."""
    u = (torch.arange(side) + 0.5) * 2 / side - 1
    x, y = (axis.flatten() for axis in torch.meshgrid(u, u, indexing="xy"))
    faces = []
    for i, colour in enumerate(colours):
        n = len(x)
        faces.append(
            Gaussians(
                means=torch.stack([x, y, torch.full((n,), (i - 0.5) * thickness)], dim=1),
                quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(n, 1),
                scales=torch.tensor([0.7, 0.7, 0.03]).repeat(n, 1) * 2 / side,
                opacities=torch.full((n,), 0.9),
                sh=sh_from_rgb(torch.tensor(colour).repeat(n, 1)),
            )
        )
    b_from_a = torch.eye(4)
    cos, sin = math.cos(turn), math.sin(turn)
    b_from_a[:3, :3] = torch.tensor([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    b_from_a[:3, 3] = torch.tensor([0.013, 0.004, 0.017])
    return Gaussians.cat(faces).transform(b_from_a)


def camera_before(distance, size=48):
    eye, up = torch.tensor([0.0, 0.0, -distance]), torch.tensor([0.0, -1.0, 0.0])
    return Camera.from_fov(size, size, 60.0, look_at(eye, torch.zeros(3), up))


def antialiased(gaussians, camera):
    return rasterize_cpu(gaussians, Camera.stack([camera]), antialiased=True).rgb[0]


def true_image(gaussians, camera, factor=8):
    """Many pixels for each pixel, averaged: what no single sample at a pixel's centre can be."""
    fine = rasterize(gaussians, camera.resized(camera.width * factor, camera.height * factor), backend="cpu").rgb
    return fine.reshape(camera.height, factor, camera.width, factor, 3).mean(dim=(1, 3))


def psnr(image, reference):
    return -10 * float((image.clamp(0, 1) - reference.clamp(0, 1)).square().mean().log10())


def covariances(gaussians):
    root = matrix_from_quats(gaussians.quats.double()) * gaussians.scales.double()[:, None, :]
    return root @ root.transpose(1, 2)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_one_cell_has_the_moments_of_its_parts(seed):
    generator = torch.Generator().manual_seed(seed)
    n = int(torch.randint(2, 9, (), generator=generator))
    noise = [torch.rand(n, k, generator=generator) for k in (3, 4, 3, 1, 12, 2)]
    quats = torch.tensor([1.0, 0, 0, 0]) + 0.2 * noise[1]  # all face the same axis of the world
    scales = torch.tensor([0.3, 0.3, 0.01]) * (0.5 + 0.5 * noise[2])
    parts = Gaussians(
        noise[0] * torch.tensor([0.99, 0.99, 0.01]), quats, scales, noise[3][:, 0], noise[4].reshape(n, 4, 3), noise[5]
    )
    whole = merge(parts, 1.0)
    if len(whole) == 2:  # thicker than a layer: two surfaces
        return
    assert len(whole) == 1

    def area(scales):
        a, b, c = scales.double().square().unbind(-1)
        return (a * b + b * c + c * a).sqrt()

    mass = parts.opacities.double() * area(parts.scales)
    share = mass / mass.sum()
    mean = (share[:, None] * parts.means).sum(0)
    offset = parts.means.double() - mean
    between = offset[:, :, None] * offset[:, None, :]
    covariance = (share[:, None, None] * (covariances(parts) + between)).sum(0)
    growth = covariances(whole)[0].trace() / covariance.trace()
    assert 1 - 1e-5 < growth < MAX_GROWTH + 1e-4
    assert torch.allclose(whole.means[0].double(), mean, atol=1e-6)
    assert torch.allclose(covariances(whole)[0], growth * covariance, atol=1e-6)
    assert torch.allclose(whole.sh[0].double(), (share[:, None, None] * parts.sh).sum(0), atol=1e-6)
    assert torch.allclose(whole.features[0].double(), (share[:, None] * parts.features).sum(0), atol=1e-6)
    rotation = matrix_from_quats(whole.quats)[0]
    assert abs(float(whole.quats.norm()) - 1) < 1e-5 and torch.linalg.det(rotation) > 0.99

    def absorbed(gaussians):  # the optical depth of each, summed over its plane by a plain sum
        r = torch.linspace(0, 8, 20_001, dtype=torch.float64)
        alpha = gaussians.opacities.double()[:, None] * (-r * r / 2).exp()
        return (-(1 - alpha).log() * r).sum(1) * r[1] * area(gaussians.scales)

    if growth < MAX_GROWTH - 1e-3:
        assert float(absorbed(whole)) == pytest.approx(float(absorbed(parts).sum()), rel=2e-3)
    assert whole.opacities <= MAX_OPACITY + 1e-6


@pytest.mark.parametrize("turn", [0.0, 0.6])
def test_a_wall_of_discs_becomes_a_wall_of_larger_discs(turn):
    discs = wall(turn=turn)
    coarse = merge(discs, 0.15)
    assert len(coarse) < len(discs) / 12
    thinnest, _, longest = coarse.scales.sort(dim=1).values.unbind(1)
    assert (thinnest < 0.1 * longest).all()
    normals = matrix_from_quats(coarse.quats).gather(2, coarse.scales.argmin(1)[:, None, None].expand(-1, 3, 1))[..., 0]
    expected = torch.tensor([math.sin(turn), 0.0, math.cos(turn)])
    assert ((normals @ expected).abs() > 0.999).all()
    inside = rasterize(coarse, camera_before(1.0, 96), backend="cpu").alpha[24:72, 24:72]
    assert inside.min() > 0.85  # close up, each cell 12 pixels wide: no gaps between the discs


@pytest.mark.parametrize("thickness", [0.1, 0.02, 0.006])
@pytest.mark.parametrize("turn", [0.0, 0.6])
def test_the_sides_of_a_thin_wall_keep_their_colours(thickness, turn):
    sides = wall(200, thickness, turn, (RED, BLUE))
    camera = camera_before(3.2)
    coarse = merge(sides, 0.05)  # 0.65 pixels
    assert len(coarse) < len(sides) / 10
    shown, full = (antialiased(part, camera)[16:32, 16:32].mean(dim=(0, 1)) for part in (coarse, sides))
    if turn == 0:
        assert torch.allclose(shown / shown.sum(), torch.tensor(RED) / sum(RED), atol=0.05)
    # Aslant, splats of the far side pass before their neighbours of the near one, merged or not.
    assert shown[0] > full[0] - 0.06


def test_what_is_alone_or_wider_than_a_cell_stays_as_it_is(random_gaussians):
    scattered = random_gaussians(3, 50, sh_degree=2, features=2)
    for cell in (1e-4, 0.01):  # nothing shares a cell; then everything is wider than one
        kept = merge(scattered if cell == 1e-4 else replace(scattered, scales=scattered.scales + 0.02), cell)
        assert torch.equal(kept.means, scattered.means) and torch.equal(kept.sh, scattered.sh)
        assert torch.equal(kept.quats, scattered.quats) and torch.equal(kept.features, scattered.features)


def test_the_order_of_the_gaussians_does_not_matter():
    discs = wall(40, 0.05, 0.3, (RED, BLUE))
    shuffled = discs[torch.randperm(len(discs), generator=torch.Generator().manual_seed(0))]
    camera = camera_before(2.0)
    first, second = (rasterize(merge(part, 0.2), camera, backend="cpu").rgb for part in (discs, shuffled))
    assert (first - second).abs().max() < 1e-4


def test_degenerate_gaussians():
    assert len(merge(Gaussians.empty(2, 3), 0.1)) == 0
    one = wall(1)
    assert torch.equal(merge(one, 10.0).means, one.means)
    few = replace(wall(4), means=wall(4).means + 2)  # all in one cell of 10 m
    for name, value in (("opacities", 0.0), ("opacities", 1.0), ("scales", 0.0), ("quats", 0.0)):
        part = merge(replace(few, **{name: torch.full_like(getattr(few, name), value)}), 10.0)
        assert len(part) == 1 and all(getattr(part, f).isfinite().all() for f in ("means", "quats", "scales", "sh"))
        assert 0 <= float(part.opacities) <= 1
    same = merge(Gaussians.cat([one] * 5), 10.0)
    assert len(same) == 1 and torch.allclose(same.means, one.means[:1], atol=1e-7)
    assert merge(few.to(torch.float64), 10.0).dtype == torch.float64
    outlier = replace(wall(4), means=torch.cat([wall(4).means[:-1], torch.full((1, 3), 1e7)]))
    assert torch.unique(torch.floor(outlier.means / 1e-3), dim=0).shape[0] == len(merge(outlier, 1e-3))


def test_what_cannot_be_merged_is_refused():
    discs = wall(4)
    for cell in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="A cell must be a number of metres above 0"):
            merge(discs, cell)
    with pytest.raises(ValueError, match="too small for a scene that reaches"):
        merge(discs, 1e-16)
    with pytest.raises(ValueError, match="Gaussians.means must be finite"):
        merge(replace(discs, means=discs.means * math.nan), 0.1)
    with pytest.raises(ValueError, match="a count of at least 1"):
        levels(discs, 0.1, 0)
    with pytest.raises(ValueError, match="pixels must be above 0"):
        select(levels(discs, 0.1, 1), camera_before(2.0), pixels=0.0)


def test_select_takes_the_level_that_the_distance_asks_for():
    discs = wall(128)
    pyramid = levels(discs, 2 / 64, 4)
    counts = [len(level) for level in pyramid.levels]
    assert counts == sorted(counts, reverse=True) and pyramid.cells == (0, 2 / 64, 2 / 32, 2 / 16, 2 / 8)
    focal = float(camera_before(1.0, 96).K[0, 0])
    for i, cell in enumerate(pyramid.cells[1:], start=1):
        # A little farther than the distance at which the cell is that many pixels wide.
        for pixels in (0.5, 1.0):
            far = camera_before(1.05 * cell * focal / pixels, 96)
            assert len(select(pyramid, far, pixels)) == counts[i]
    near = camera_before(1.0)
    assert len(select(pyramid, near)) < len(discs)  # only what is in view
    shown, full = (rasterize(part, near, backend="cpu").rgb for part in (select(pyramid, near), discs))
    assert (shown - full).abs().max() < 2e-4  # all lie at one depth and come in another order
    away = replace(near, w2c=torch.diag(torch.tensor([-1.0, 1, -1, 1])) @ near.w2c)
    assert len(select(pyramid, away)) == 0
    assert len(select(levels(Gaussians.empty(), 0.1, 2), near)) == 0
    far = camera_before(30.0)
    both = select(pyramid, Camera.stack([near, far, away]))
    for camera in (near, far):  # as fine as the nearer camera asks, and all that the farther one sees
        assert psnr(rasterize(both, camera, backend="cpu").rgb, rasterize(discs, camera, backend="cpu").rgb) > 28


def test_no_box_that_reaches_the_image_is_called_out_of_view(random_gaussians, camera):
    for seed in range(5):
        gaussians = random_gaussians(seed, 400, log_size=-2.5)
        largest = gaussians.scales.amax(1)
        seen = boxes_in_view(gaussians.means, gaussians.means, largest, camera)[0]
        assert 0 < seen.sum() < 0.9 * len(gaussians)  # and many of those that do not are
        all_of_them, those = (rasterize(part, camera, backend="torch") for part in (gaussians, gaussians[seen]))
        assert torch.equal(all_of_them.alpha, those.alpha)
        depth = nearest_depths(gaussians.means - 0.1, gaussians.means + 0.1, camera)[0]
        corners = gaussians.means[:, None] + 0.1 * torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 3)
        z = (corners @ camera.w2c[2, :3] + camera.w2c[2, 3]).amin(dim=1)
        assert torch.allclose(depth.float(), z.clamp(min=0.01), atol=1e-5)


@pytest.mark.parametrize(
    "size, fewer, against_antialiased, against_truth", [(64, 8, 31, 22.5), (128, 2, 40, 27)], ids=str
)
def test_a_room_looks_the_same(size, fewer, against_antialiased, against_truth, capsys):
    """200,000 splats in 4096 or 16384 pixels, drawn with cells of up to one pixel."""
    room = room_splats(200_000)
    camera = room_camera(size, size, 1.0)
    chosen = select(levels(room, 0.01, 6), camera)
    control = room[torch.randperm(len(room), generator=torch.Generator().manual_seed(0))[: len(chosen)]]
    full, truth = antialiased(room, camera), true_image(room, camera)
    images = {"all": room, "level of detail": chosen, "control": control}
    figures = {}
    for name, part in images.items():
        plain, smooth = rasterize(part, camera, backend="cpu").rgb, antialiased(part, camera)
        figures[name] = [psnr(smooth, full), psnr(smooth, truth), psnr(plain, truth)]
    taken = {name: [] for name in images}
    for _ in range(9):
        for name, part in images.items():
            start = time.perf_counter()
            rasterize(part, camera, backend="cpu")
            taken[name].append(time.perf_counter() - start)
    seconds = {name: statistics.median(times) for name, times in taken.items()}
    with capsys.disabled():
        print(f"\n{size} x {size}: {len(room)} splats, {len(chosen)} chosen")
        print(f"  {seconds['all'] / seconds['level of detail']:.1f} times as fast")
        for name, (to_full, to_truth, plain) in figures.items():
            print(f"  {name}: {to_full:.1f} dB to all, {to_truth:.1f} to the truth; {plain:.1f} without antialiasing")
    assert len(chosen) < len(room) / fewer
    to_full, to_truth, plain = figures["level of detail"]
    assert to_full > against_antialiased and to_truth > against_truth
    assert to_full > figures["control"][0] + 8 and to_truth > figures["control"][1] + 4
    assert plain > figures["all"][2]  # without antialiasing too, nearer to the truth than all Gaussians
    assert seconds["level of detail"] < 0.8 * seconds["all"]
