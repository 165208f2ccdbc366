"""Scenes that other tools wrote in several encodings come out the same, to what each encoding can hold."""

import math
import time

import pytest
import torch

from render import Camera, load, rasterize
from render.trajectory import look_at

PLAYBOT, CROP = "splats/playbot_lod6_sh2/playbot6", "splats/playcanvas_biker/crop/biker_crop"
DC = 0.28209479


def angle(a, b):
    """Degrees between the rotations of two sets of quaternions; exact for small ones, unlike acos."""
    apart = torch.minimum((a - b).norm(dim=1), (a + b).norm(dim=1)).double()
    return torch.rad2deg(4 * torch.asin((apart / 2).clamp(max=1)))


def in_order_of(reference, gaussians):
    """The same Gaussians in the reference's order, told by place, size and opacity."""
    spatial = pytest.importorskip("scipy.spatial")

    def values(g):
        return torch.cat([g.means / 1e-3, g.scales.log() / 0.06, g.opacities[:, None] * 255, g.sh[:, 0]], dim=1)

    _, index = spatial.cKDTree(values(gaussians).numpy()).query(values(reference).numpy())
    assert len(set(index.tolist())) == len(reference)  # one to one
    return gaussians[torch.from_numpy(index)]


def beside(shared_data, name):
    stem = shared_data(name.rpartition("/")[0]) / name.rpartition("/")[2]
    return lambda ending: load(f"{stem}{ending}")


@pytest.mark.parametrize("name", [PLAYBOT, CROP])
def test_glb_holds_the_plys_values(name, shared_data):
    read = beside(shared_data, name)
    ply, glb = read(".ply"), read(".glb")
    assert torch.equal(glb.means, ply.means)
    assert torch.allclose(glb.sh, ply.sh, rtol=1e-6, atol=1e-12)
    assert torch.allclose(glb.scales, ply.scales, rtol=1e-6)
    assert torch.allclose(glb.opacities, ply.opacities, atol=1e-6)
    assert angle(glb.quats, ply.quats).max() < 1e-4


@pytest.mark.parametrize("ending", [".spz", "_v3.spz"])
@pytest.mark.parametrize("name", [PLAYBOT, CROP])
def test_spz_is_within_its_steps(name, ending, shared_data):
    read = beside(shared_data, name)
    ply, spz = read(".ply"), read(ending)
    assert spz.sh.shape == ply.sh.shape
    assert (spz.means - ply.means).abs().max() <= 0.5001 / 4096
    assert angle(spz.quats, ply.quats).max() < 0.18
    assert (spz.scales.log() - ply.scales.log()).abs().max() < 0.032
    assert (spz.opacities - ply.opacities).abs().max() < 0.002
    limit = 0.5 / 0.15  # what a byte of colour can stand for; beyond it the writer clamps
    assert (spz.sh[:, 0] - ply.sh[:, 0].clamp(-limit, limit)).abs().max() * DC < 0.004
    if ply.sh.shape[1] > 1:  # five bits of degree 1, four above
        rest = ply.sh[:, 1:].clamp(-1, 1)
        assert (spz.sh[:, 1:4] - rest[:, :3]).abs().max() < 4.1 / 128 + 1 / 128
        assert (spz.sh[:, 4:] - rest[:, 3:]).abs().max() < 8.1 / 128 + 1 / 128


@pytest.mark.parametrize(
    ("name", "ending"),
    [(PLAYBOT, ".compressed.ply"), (PLAYBOT, "_gsplat.compressed.ply"), (CROP, ".compressed.ply")],
)
def test_compressed_ply_is_within_its_steps(name, ending, shared_data):
    read = beside(shared_data, name)
    ply = read(".ply")
    packed = in_order_of(ply, read(ending))
    assert packed.sh.shape == ply.sh.shape
    assert (packed.means - ply.means).abs().max() < 1e-3
    assert angle(packed.quats, ply.quats).max() < 1.6
    assert (packed.scales.log() - ply.scales.log()).abs().max() < 0.061
    assert (packed.opacities - ply.opacities).abs().max() < 0.002
    assert (packed.sh[:, 0] - ply.sh[:, 0]).abs().max() * DC < 0.012
    if ply.sh.shape[1] > 1:
        assert (packed.sh[:, 1:] - ply.sh[:, 1:]).abs().max() < 1.01 * 8 / 256


def test_splat_is_within_its_steps(shared_data):
    read = beside(shared_data, PLAYBOT)
    ply, splat = read(".ply"), read("_gsplat.splat")
    order = torch.cdist(ply.means.double(), splat.means.double()).argmin(1)
    splat = splat[order]
    assert torch.equal(splat.means, ply.means) and torch.allclose(splat.scales, ply.scales, rtol=1e-5)
    assert angle(splat.quats, ply.quats).max() < 1.7  # that writer cuts bytes off instead of rounding
    assert (splat.opacities - ply.opacities).abs().max() < 1 / 255
    assert (DC * splat.sh[:, 0] - (DC * ply.sh[:, 0]).clamp(-0.5, 0.5)).abs().max() < 1.01 / 255


def test_a_scene_of_150_000_loads_in_seconds_and_is_the_same_from_both_files(shared_data):
    folder = shared_data("splats/playcanvas_biker")
    start = time.perf_counter()
    packed, spz = load(folder / "biker.compressed.ply"), load(folder / "biker.spz")
    assert time.perf_counter() - start < 5
    assert len(packed) == len(spz) == 152_746
    assert all(value.isfinite().all() for g in (packed, spz) for value in (g.means, g.quats, g.scales, g.sh))
    assert int((packed.opacities == 1).sum()) == 198 and packed.opacities.max() == 1
    # Written one from the other, in the same order.
    assert (packed.means - spz.means).abs().max() < 1.3e-4
    assert (packed.scales.log().clamp(min=-10) - spz.scales.log()).abs().max() < 0.032  # a byte's least is -10
    assert angle(packed.quats, spz.quats).max() < 0.18
    assert ((packed.sh - spz.sh.clamp(-3.33, 3.33)).abs().flatten().quantile(0.999)) * DC < 0.004


def preload_libusb():
    import ctypes

    libusb = pytest.importorskip("libusb_package")
    ctypes.CDLL(str(libusb.get_library_path()), mode=ctypes.RTLD_GLOBAL)


@pytest.mark.parametrize("ending", ["_gsplat.splat", "_v3.spz", ".spz"])
def test_open3d_reads_the_same(ending, shared_data):
    preload_libusb()
    open3d = pytest.importorskip("open3d")
    path = shared_data(PLAYBOT.rpartition("/")[0]) / f"playbot6{ending}"
    ours, cloud = load(path), open3d.t.io.read_point_cloud(str(path)).point
    theirs = {name: torch.from_numpy(cloud[name].numpy()) for name in cloud}
    # It leaves SPZ's own axes, a half turn about x from the PLY's.
    turn = torch.tensor([1.0, 1, 1, 1] if ending.endswith(".splat") else [1.0, 1, -1, -1])
    assert torch.allclose(theirs["positions"] * turn[1:], ours.means, atol=1e-6)
    assert angle(theirs["rot"] * turn, ours.quats).max() < 1e-3
    assert torch.allclose(theirs["scale"], ours.scales, rtol=1e-5)
    assert torch.allclose(theirs["opacity"][:, 0].sigmoid(), ours.opacities, atol=1e-5)
    assert torch.allclose(theirs["f_dc"], ours.sh[:, 0], atol=1e-4)
    if "f_rest" in theirs:
        signs = torch.tensor([-1.0, -1, 1, -1, 1, 1, -1, 1])  # of what is odd in y or z, but not in both
        assert torch.allclose(theirs["f_rest"] * signs[:, None], ours.sh[:, 1:], atol=1e-5)


def test_renders_are_the_same(shared_data):
    read = beside(shared_data, PLAYBOT)
    K = torch.tensor([[150.0, 0, 81], [0, 150.0, 57], [0, 0, 1]])
    views = [(2.2, -0.9, -1.6), (-1.5, -1.4, 2.0), (0.3, 1.2, -2.4)]
    worst = {".glb": 80.0, ".spz": 42.0, "_v3.spz": 42.0, ".compressed.ply": 49.0, "_gsplat.splat": 27.0}
    ply, others = read(".ply"), {ending: read(ending) for ending in worst}
    for eye in views:
        w2c = look_at(torch.tensor(eye), torch.tensor([0.0, -0.5, 0.0]), torch.tensor([0.0, -1.0, 0.0]))
        camera = Camera(K, w2c, 160, 120)
        image = rasterize(ply, camera).rgb
        assert image.std() > 0.05
        for ending, least in worst.items():
            error = (rasterize(others[ending], camera).rgb - image).square().mean()
            assert -10 * math.log10(max(float(error), 1e-12)) > least, (ending, eye)
