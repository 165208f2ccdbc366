"""Refinement on rooms of exact truth: it recovers colours, places and cameras, and keeps its promises on the way."""

from dataclasses import fields, replace

import pytest
import torch

from recon.densify import relocate, share_opacity
from recon.fuse import fuse
from recon.photometric import photometric_loss, psnr, ssim
from recon.raw_splats import Rates, RawSplats
from recon.refine import RefineConfig, refine
from recon.scene import PROVENANCE_SHAPES, GaussianScene
from recon.uncovered import CONFIDENCE, filled
from recon.view import View
from recon.view_corrections import exponential
from render.camera import Camera
from render.gaussians import Gaussians
from render.rasterize import rasterize

GAINS = (1.2, 1.0, 1.0, 0.8)
QUICK = RefineConfig(steps=60, views_per_step=1, report_every=20, densify_every=20)


@pytest.fixture(scope="module")
def views(plane_view):
    """Five views of a corner, 64 x 48, exact depth."""
    planes = (((0.3, 0.15, 1.0), 2.4), ((-0.9, 0.1, 1.0), 2.2), ((0.0, 1.0, 0.1), 0.9))
    made = []
    for i, x in enumerate((-0.4, -0.2, 0.0, 0.2, 0.4)):
        w2c = torch.eye(4)
        w2c[0, 3], w2c[1, 3] = x, 0.05 * i
        view = plane_view(planes, w2c=w2c, shortest=0.3)
        made.append(replace(view, right=None, baseline=None, depth=view.depth.nan_to_num(posinf=0.0)))
    return made


@pytest.fixture(scope="module")
def own(views):
    return [views[i] for i in (0, 1, 3, 4)]


@pytest.fixture(scope="module")
def scene(own):
    fused = GaussianScene.empty()
    for step, view in enumerate(own):
        fused = fuse(fused, view, observed=True, step=step)
    return fused


def score(scene, views):
    shown = [psnr(rasterize(scene.gaussians, view.camera).rgb.clamp(0, 1), view.image) for view in views]
    return sum(shown) / len(shown)


def same(a, b):
    values = [(getattr(a, name), getattr(b, name)) for name in PROVENANCE_SHAPES]
    for field in fields(Gaussians):
        values.append((getattr(a.gaussians, field.name), getattr(b.gaussians, field.name)))
    return all(x is y is None or torch.equal(x, y) for x, y in values)


def test_refined_scenes_look_better_where_no_view_was_given(scene, own, views):
    before = score(scene, [views[2]])
    refined = refine(scene, own, replace(QUICK, steps=120))
    assert score(refined.scene, own) > score(scene, own) + 4
    assert score(refined.scene, [views[2]]) > before + 2
    output = rasterize(refined.scene.gaussians, views[2].camera)
    both = (output.depth > 0) & (views[2].depth > 0)
    error = (output.depth / views[2].depth - 1).abs()[both]
    assert float(both.float().mean()) > 0.95 and float((error < 0.05).float().mean()) > 0.97


def test_noisy_depth_is_repaired_by_the_images(own, views):
    generator = torch.Generator().manual_seed(0)
    noisy = []
    for view in own:
        coarse = torch.randn(1, 1, 12, 16, generator=generator)
        wave = torch.nn.functional.interpolate(coarse, size=view.depth.shape, mode="bilinear")[0, 0]
        noisy.append(replace(view, depth=view.depth * (1 + 0.03 * wave)))
    fused = GaussianScene.empty()
    for step, view in enumerate(noisy):
        fused = fuse(fused, view, observed=True, step=step)
    without_depth = [replace(view, depth=None) for view in noisy]
    refined = refine(fused, without_depth, replace(QUICK, steps=150))
    assert score(refined.scene, [views[2]]) > score(fused, [views[2]]) + 3


def test_what_comes_back_is_finite_unit_and_deterministic(scene, own):
    refined, again = refine(scene, own, QUICK), refine(scene, own, QUICK)
    assert same(refined.scene, again.scene)
    gaussians = refined.scene.gaussians
    assert all(bool(getattr(gaussians, f.name).isfinite().all()) for f in fields(gaussians) if f.name != "features")
    assert torch.allclose(gaussians.quats.norm(dim=1), torch.ones(len(gaussians)), atol=1e-5)
    assert ((gaussians.opacities > 0) & (gaussians.opacities < 1)).all() and (gaussians.scales > 0).all()
    assert not gaussians.means.requires_grad
    other = refine(scene, own, replace(QUICK, seed=1))
    assert not torch.equal(other.scene.gaussians.means[:100], gaussians.means[:100])


def test_the_scene_given_is_left_as_it_was(scene, own):
    kept = GaussianScene.cat([scene])
    refine(scene, own, replace(QUICK, steps=5))
    assert same(scene, kept)


def test_threads_of_torch_are_given_back(scene, own):
    before = torch.get_num_threads()
    refine(scene, own, replace(QUICK, steps=2))
    assert torch.get_num_threads() == before


def test_a_camera_that_was_put_off_is_found_again(scene, own):
    truth = refine(scene, own, QUICK).scene
    twist = torch.tensor([0.01, -0.015, 0.01, 0.02, -0.01, 0.015])
    wrong = replace(own[1].camera, w2c=exponential(twist) @ own[1].camera.w2c)
    disturbed = [own[0], replace(own[1], camera=wrong, depth=None)]
    config = replace(QUICK, steps=400, gaussians=False, cameras=True, camera_rate=1e-3, densify_every=0)
    found = refine(truth, disturbed, config)

    def off(camera):
        residual = camera.w2c @ torch.linalg.inv(own[1].camera.w2c)
        return float((residual[:3, :3] - torch.eye(3)).norm()), float(residual[:3, 3].norm())

    turned, moved = off(found.cameras[1])
    assert turned < 0.25 * off(wrong)[0] and moved < 0.35 * off(wrong)[1]
    assert same(found.scene, truth)


def test_with_moving_gaussians_the_first_camera_stays(scene, own):
    refined = refine(scene, own, replace(QUICK, steps=10, cameras=True))
    assert torch.equal(refined.cameras[0].w2c, own[0].camera.w2c)
    assert not torch.equal(refined.cameras[1].w2c, own[1].camera.w2c)
    assert len(refined.cameras) == len(own)


def test_exposures_take_up_what_differs_between_views(scene, own, views):
    brighter = [replace(view, image=(view.image * gain).clamp(0, 1)) for view, gain in zip(own, GAINS, strict=True)]
    config = replace(QUICK, steps=120, sh_degree=0)
    plain, exposed = (refine(scene, brighter, replace(config, exposures=on)).scene for on in (False, True))
    assert score(exposed, [views[2]]) > score(plain, [views[2]]) + 0.5


def test_the_budget_holds_and_each_gaussian_knows_where_it_came_from(scene, own):
    marked = replace(scene, step=torch.arange(len(scene), dtype=torch.int32))
    counts = []
    config = replace(QUICK, max_gaussians=len(scene) + 100, seed_uncovered=False, densify_every=10)
    refined = refine(marked, own, config, progress=lambda report: counts.append(report.gaussians))
    assert max(counts) == len(refined.scene) == len(scene) + 100
    assert torch.equal(refined.scene.step, marked.step[refined.source])
    assert torch.equal(refined.scene.observed, marked.observed[refined.source])
    assert torch.equal(refined.scene.confidence, marked.confidence[refined.source])


def test_a_scene_over_the_budget_is_merged_into_it(scene, own):
    config = replace(QUICK, steps=60, max_gaussians=len(scene) // 3)
    refined = refine(scene, own, config)
    assert len(refined.scene) <= len(scene) // 3
    assert score(refined.scene, own) > 20
    assert ((refined.source >= -1) & (refined.source < len(scene))).all()


def test_imagined_views_move_imagined_gaussians_only(scene, own, views):
    half = torch.arange(len(scene)) % 2 == 0
    mixed = replace(scene, observed=half)
    painted = replace(views[2], image=1 - views[2].image)
    config = replace(QUICK, steps=8, densify_every=0, seed_uncovered=False, report_every=1)
    only = refine(mixed, [replace(own[0], image=rasterize(mixed.gaussians, own[0].camera).rgb)], config)

    def moved(result, rows):
        before, after = mixed.gaussians.sh[rows], result.scene.gaussians.sh[rows][:, :1]
        return float((after - before).abs().mean())

    kept = refine(mixed, own[:1], config, imagined=[painted] * 50)
    asked = refine(mixed, own[:1], replace(config, imagined_moves_observed=True), imagined=[painted] * 50)
    assert moved(kept, ~half) > 2 * moved(only, ~half)
    assert moved(kept, half) < 0.5 * moved(asked, half)
    assert torch.equal(kept.scene.observed, half)


def test_seeds_fill_what_no_depth_was_measured_of(own):
    holed = []
    for view in own:
        depth = view.depth.clone()
        depth[:, 40:] = 0
        holed.append(replace(view, depth=depth))
    fused = fuse(GaussianScene.empty(), holed[0], observed=True, step=0)
    refined = refine(fused, holed[:1], QUICK)
    seeded = refined.source == -1
    assert seeded.any() and (refined.scene.confirmations[seeded] == 0).all()
    assert (refined.scene.confidence[seeded] == CONFIDENCE).all() and refined.scene.observed[seeded].all()
    alpha = rasterize(refined.scene.gaussians, holed[0].camera).alpha
    assert float((alpha > 0.5).float().mean()) > 0.97 > float((holed[0].depth > 0).float().mean())
    assert not (refine(fused, holed[:1], replace(QUICK, seed_uncovered=False)).source == -1).any()


def test_it_stops_when_the_views_held_out_get_worse_and_returns_the_best(scene, own, views):
    misleading = replace(views[2], image=rasterize(scene.gaussians, views[2].camera).rgb)
    config = replace(QUICK, steps=200, evaluate_every=5, patience=2, report_every=50)
    stopped = refine(scene, own, config, held_out=[misleading])
    assert stopped.best_step == 0 and stopped.history[-1].step == 10
    looks = {r.step: r.held_out_psnr for r in stopped.history if r.held_out_psnr is not None}
    assert max(looks, key=lambda step: looks[step]) == stopped.best_step
    unseeded = replace(config, seed_uncovered=False)
    assert torch.allclose(
        refine(scene, own, unseeded, held_out=[misleading]).scene.gaussians.means, scene.gaussians.means
    )


def test_progress_reports_psnr_and_the_time_left(scene, own):
    reports = []
    refined = refine(scene, own, QUICK, progress=reports.append)
    assert [r.step for r in reports] == [0, 20, 40, 60] and tuple(reports) == refined.history
    assert reports[-1].psnr > reports[1].psnr + 1 and reports[-1].loss < reports[1].loss
    assert reports[1].seconds_left > 0 == reports[-1].seconds_left


def test_no_steps_give_the_scene_back(scene, own):
    refined = refine(scene, own, RefineConfig(steps=0, seed_uncovered=False, sh_degree=0))
    assert torch.allclose(refined.scene.gaussians.means, scene.gaussians.means)
    assert torch.allclose(refined.scene.gaussians.opacities, scene.gaussians.opacities, atol=1e-5)


@pytest.mark.parametrize("name", ["image", "depth", "camera"])
def test_values_that_are_not_finite_are_refused_by_name(scene, own, name):
    broken = {
        "image": lambda v: replace(v, image=v.image.index_fill(0, torch.tensor([3]), torch.nan)),
        "depth": lambda v: replace(v, depth=v.depth * torch.inf),
        "camera": lambda v: replace(v, camera=Camera(v.camera.K, v.camera.w2c * torch.nan, v.width, v.height)),
    }[name](own[1])
    with pytest.raises(ValueError, match=rf"views\[1\]\.{name}"):
        refine(scene, [own[0], broken], QUICK)
    with pytest.raises(ValueError, match=rf"held_out\[0\]\.{name}"):
        refine(scene, own, QUICK, held_out=[broken])


def test_nothing_to_refine_is_refused(scene, own):
    with pytest.raises(ValueError, match="at least one view"):
        refine(scene, [], QUICK)
    with pytest.raises(ValueError, match="0 Gaussians"):
        refine(GaussianScene.empty(), own, QUICK)
    with pytest.raises(ValueError, match="gaussians.means holds NaN"):
        bad = replace(scene.gaussians, means=scene.gaussians.means * torch.nan)
        refine(replace(scene, gaussians=bad), own, QUICK)
    with pytest.raises(ValueError, match="steps must be at least 0"):
        RefineConfig(steps=-1)
    with pytest.raises(ValueError, match="sh_degree must be at most 3"):
        RefineConfig(sh_degree=4)


def test_shared_opacity_leaves_the_image(own):
    disc = Gaussians(
        torch.tensor([[0.0, 0.0, 2.0]]), torch.tensor([[1.0, 0, 0, 0]]), torch.tensor([[0.2, 0.2, 0.02]]),
        torch.tensor([0.9]), torch.ones(1, 1, 3),
    )  # fmt: skip
    splats = RawSplats(disc, 0, Rates(), 0.01)
    before = rasterize(disc, own[0].camera).alpha
    share_opacity(splats, torch.tensor([0, 0]))
    splats.append(torch.tensor([0, 0]))
    after = rasterize(splats.snapshot()[0], own[0].camera).alpha
    assert len(splats) == 3
    assert float((after.sum() / before.sum() - 1).abs()) < 0.1
    assert float((after - before).abs().max()) < 0.12


def test_dead_gaussians_move_to_living_ones(scene):
    half = replace(scene.gaussians, opacities=scene.gaussians.opacities.clone())
    half.opacities[::2] = 1e-4
    splats = RawSplats(half, 0, Rates(), 0.01)
    splats.tensors["logits"].data[::2] = -9.0
    moved = relocate(splats, len(splats), torch.Generator().manual_seed(0))
    assert moved == len(range(0, len(splats), 2)) and len(splats) == len(scene)
    assert (splats.source % 2 == 1).all()


def test_ssim_agrees_with_kornias():
    kornia = pytest.importorskip("kornia")
    a, b = torch.rand(2, 40, 30, 3, generator=torch.Generator().manual_seed(0))
    a.requires_grad_()
    inner = (slice(8, -8), slice(8, -8))  # it fills in outside the image otherwise
    theirs = kornia.metrics.ssim(a.permute(2, 0, 1)[None], b.permute(2, 0, 1)[None], 11)[0].permute(1, 2, 0)
    assert torch.allclose(ssim(a, b)[inner], theirs[inner], atol=1e-5)
    mine = torch.autograd.grad(ssim(a, b)[16:-16, 12:-12].sum(), a)[0]
    assert torch.allclose(mine, torch.autograd.grad(theirs[16:-16, 12:-12].sum(), a)[0], atol=1e-4)
    assert float(photometric_loss(b, b)) < 1e-6


def test_holes_are_filled_smoothly_and_what_is_known_stays():
    ramp = torch.linspace(1, 3, 33).expand(21, 33).clone()
    known = torch.ones_like(ramp, dtype=torch.bool)
    known[5:15, 10:25] = False
    result = filled(ramp * known, known)
    assert torch.equal(result[known], ramp[known])
    assert float((result - ramp).abs().max()) < 0.5
    assert ((result >= 1) & (result <= 3)).all()


def test_views_may_have_no_depth_and_sizes_of_their_own(scene, own):
    small = own[0].camera.resized(32, 24)
    image = torch.nn.functional.interpolate(own[0].image.permute(2, 0, 1)[None], (24, 32), mode="area")[0]
    mixed = [View(image.permute(1, 2, 0), small), replace(own[1], depth=None), own[2]]
    assert len(refine(scene, mixed, replace(QUICK, steps=6)).scene) >= len(scene)
