import time
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from render import FormatError, Gaussians, load, rasterize, save

INRIA = (
    ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"]
    + [f"f_rest_{i}" for i in range(45)]
    + ["opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_a_scene_returns_and_renders_the_same(degree, tmp_path, random_gaussians, camera):
    gaussians = random_gaussians(degree, sh_degree=degree)
    save(gaussians, tmp_path / "scene.ply")
    again = load(tmp_path / "scene.ply")
    assert torch.equal(again.means, gaussians.means) and torch.equal(again.sh, gaussians.sh)
    assert torch.allclose(again.scales, gaussians.scales, rtol=1e-5)
    assert torch.allclose(again.opacities, gaussians.opacities, atol=1e-6)
    difference = rasterize(again, camera).rgb - rasterize(gaussians, camera).rgb
    assert difference.abs().max() < 1 / 255


def test_plyfile_reads_inrias_layout(tmp_path, random_gaussians):
    plyfile = pytest.importorskip("plyfile")
    gaussians = random_gaussians(0, sh_degree=1)
    save(gaussians, tmp_path / "scene.ply")
    vertex = plyfile.PlyData.read(str(tmp_path / "scene.ply"))["vertex"]
    assert [p.name for p in vertex.properties] == INRIA and vertex.count == 300
    assert np.array_equal(np.stack([vertex[n] for n in "xyz"], axis=1), gaussians.means.numpy())
    assert np.allclose(np.exp(vertex["scale_1"]), gaussians.scales[:, 1], rtol=1e-5)
    assert np.allclose(1 / (1 + np.exp(-vertex["opacity"])), gaussians.opacities, atol=1e-6)
    # Channel-major: the three degree-1 coefficients of red come first, green's start at f_rest_15.
    assert np.array_equal(vertex["f_rest_2"], gaussians.sh[:, 3, 0])
    assert np.array_equal(vertex["f_rest_15"], gaussians.sh[:, 1, 1])
    assert not np.any(vertex["nx"]) and not np.any(vertex["f_rest_3"])


def test_open3d_reads_the_same_count_and_bounds(tmp_path, random_gaussians):
    libusb = pytest.importorskip("libusb_package")
    import ctypes

    ctypes.CDLL(str(libusb.get_library_path()), mode=ctypes.RTLD_GLOBAL)
    open3d = pytest.importorskip("open3d")
    gaussians = random_gaussians(0, sh_degree=3)
    save(gaussians, tmp_path / "scene.ply")
    cloud = open3d.t.io.read_point_cloud(str(tmp_path / "scene.ply"))
    positions = cloud.point["positions"].numpy()
    assert np.array_equal(positions, gaussians.means.numpy())
    assert {"opacity", "f_dc", "f_rest", "scale", "rot"} <= set(cloud.point)


def test_columns_are_found_by_name_in_any_order(tmp_path, random_gaussians):
    plyfile = pytest.importorskip("plyfile")
    gaussians = random_gaussians(1, sh_degree=2)
    save(gaussians, tmp_path / "scene.ply")
    table = plyfile.PlyData.read(str(tmp_path / "scene.ply"))["vertex"].data
    rows = gaussians.sh.shape[1] - 1
    names = [name for name in INRIA if not name.startswith(("f_rest_", "n"))]
    shuffled = np.random.default_rng(0).permutation(
        names + [f"f_rest_{i}" for i in range(3 * rows)] + ["extra"]
    )
    other = np.zeros(len(table), [(str(name), "f8" if name == "x" else "f4") for name in shuffled])
    for name in names:
        other[name] = table[name]
    for channel in range(3):  # degree 2 alone: eight coefficients a channel
        for i in range(rows):
            other[f"f_rest_{channel * rows + i}"] = table[f"f_rest_{channel * 15 + i}"]
    element = plyfile.PlyElement.describe(other, "vertex")
    plyfile.PlyData([element]).write(str(tmp_path / "other.ply"))
    again = load(tmp_path / "other.ply")
    assert torch.equal(again.means, gaussians.means) and torch.equal(again.sh, gaussians.sh)


def test_opacities_of_zero_and_one_stay_finite_in_the_file(tmp_path, random_gaussians):
    gaussians = random_gaussians(0, 4)
    gaussians.opacities[:2] = torch.tensor([0.0, 1.0])
    gaussians.scales[0] = 0
    save(gaussians, tmp_path / "scene.ply")
    values = np.frombuffer((tmp_path / "scene.ply").read_bytes()[-4 * 62 * 4 :], "<f4")
    assert np.isfinite(values).all()
    assert load(tmp_path / "scene.ply").opacities[:2].tolist() == pytest.approx([0, 1], abs=2e-6)


def test_files_of_other_tools(shared_data):
    splats = shared_data("splats")
    first, second = (
        load(splats / "playbot_lod6_sh2/playbot6.ply"),
        load(splats / "playbot_lod6_sh2/playbot6_gsplat.ply"),
    )
    assert len(first) == 1873 and first.sh.shape == (1873, 9, 3)
    assert torch.allclose(first.means, second.means) and torch.allclose(first.sh, second.sh)
    crop = load(splats / "playcanvas_biker/crop/biker_crop.ply")
    assert len(crop) == 5397 and crop.opacities.max() == 1  # infinite logits are read as 1


def test_nothing_is_written_for_values_that_are_not_finite(tmp_path, random_gaussians):
    gaussians = random_gaussians(0, 4)
    gaussians.means[1, 1] = torch.nan
    with pytest.raises(ValueError, match="means must be finite"):
        save(gaussians, tmp_path / "scene.ply")
    assert not list(tmp_path.iterdir())


def test_names_are_checked_first(tmp_path):
    with pytest.raises(FormatError, match=r"scene\.obj: expected a name ending in"):
        save(Gaussians.empty(), tmp_path / "scene.obj")
    with pytest.raises(FileNotFoundError, match="no such file"):
        load(tmp_path / "none.ply")
    (tmp_path / "folder.ply").mkdir()
    with pytest.raises(FormatError, match="folder"):
        load(tmp_path / "folder.ply")


def _whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("ply") / "good.ply"
    n = 3
    save(
        Gaussians(torch.rand(n, 3), torch.rand(n, 4), torch.rand(n, 3), torch.rand(n), torch.rand(n, 1, 3)),
        path,
    )
    return path.read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return _whole(tmp_path_factory)


def swap(old, new, data):
    assert old in data
    return data.replace(old, new, 1)


def poke(column, value, data):
    start = len(data) - 3 * 62 * 4 + 4 * INRIA.index(column)
    return data[:start] + np.float32(value).tobytes() + data[start + 4 :]


HOSTILE = {
    "empty": lambda data: b"",
    "not ply": lambda data: b"PK\x03\x04" + data,
    "only magic": lambda data: b"ply\n",
    "no end": lambda data: data[: data.index(b"end_header")],
    "endless header": lambda data: b"ply\n" + b"comment x\n" * 100_000 + data[4:],
    "one long line": lambda data: b"ply\ncomment " + b"x" * 1_000_000 + data[3:],
    "end misspelt": partial(swap, b"end_header", b"end_headers"),
    "not ascii": partial(swap, b"element vertex", "élement vertex".encode()),
    "ascii format": partial(swap, b"binary_little_endian", b"ascii"),
    "big endian": partial(swap, b"binary_little_endian", b"binary_big_endian"),
    "no format": partial(swap, b"format binary_little_endian 1.0\n", b""),
    "two formats": partial(swap, b"format b", b"format ascii 1.0\nformat b"),
    "count too high": partial(swap, b"vertex 3", b"vertex 4"),
    "count too low": partial(swap, b"vertex 3", b"vertex 2"),
    "count of billions": partial(swap, b"vertex 3", b"vertex 4000000000"),
    "count beyond 64 bits": partial(swap, b"vertex 3", b"vertex 99999999999999999999999"),
    "count of a million digits": partial(swap, b"vertex 3", b"vertex " + b"9" * 60_000),
    "negative count": partial(swap, b"vertex 3", b"vertex -3"),
    "count in words": partial(swap, b"vertex 3", b"vertex three"),
    "count of zero with rows": partial(swap, b"vertex 3", b"vertex 0"),
    "no vertex": partial(swap, b"element vertex", b"element face"),
    "rows without columns": lambda data: (
        b"ply\nformat binary_little_endian 1.0\nelement vertex 4000000000\nend_header\n"
    ),
    "other rows without columns": partial(
        swap, b"element vertex 3", b"element a 4000000000\nelement b 4000000000\nelement vertex 5"
    ),
    "a list": partial(swap, b"property float nx", b"property list uchar int nx"),
    "unknown type": partial(swap, b"property float nx", b"property quad nx"),
    "property first": partial(swap, b"element vertex 3\n", b""),
    "same name twice": partial(swap, b"property float nx", b"property float x"),
    "no opacity": partial(swap, b"property float opacity", b"property float opaque"),
    "a hole in f_rest": partial(swap, b"f_rest_7\n", b"f_rest_70\n"),
    "too few f_rest": partial(swap, b"f_rest_44\n", b"other\n"),
    "f_rest of words": partial(swap, b"f_rest_44\n", b"f_rest_x\n"),
    "wider column": partial(swap, b"property float nx", b"property double nx"),
    "a point cloud": lambda data: (
        b"ply\nformat binary_little_endian 1.0\nelement vertex 1\nproperty float x\nproperty float y\n"
        b"property float z\nproperty uchar red\nend_header\n" + bytes(13)
    ),
    "cut short": lambda data: data[:-1],
    "trailing bytes": lambda data: data + b"x",
    "nan": partial(poke, "y", np.nan),
    "infinite": partial(poke, "f_dc_1", np.inf),
    "nan opacity": partial(poke, "opacity", np.nan),
    "huge scale": partial(poke, "scale_2", 1000),
    "nan in f_rest": partial(poke, "f_rest_20", -np.inf),
    "zero quaternion": lambda data: poke(
        "rot_0", 0, poke("rot_1", 0, poke("rot_2", 0, poke("rot_3", 0, data)))
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_give_one_clear_error(name, whole, tmp_path):
    path = tmp_path / "hostile.ply"
    path.write_bytes(HOSTILE[name](whole))
    start = time.perf_counter()
    with pytest.raises(FormatError, match=r"hostile\.ply: expected .*; got .*; .+\.$") as caught:
        load(path)
    assert time.perf_counter() - start < 2
    assert len(str(caught.value)) < 600 and "\n" not in str(caught.value)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutated_files_load_or_give_a_format_error(tmp_path_factory, data):
    whole = bytearray(_cached(tmp_path_factory))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = _CACHE["path"]
    path.write_bytes(whole[: data.draw(st.integers(len(whole) - 60, len(whole)))])
    try:
        gaussians = load(path)
    except FormatError:
        return
    assert gaussians.means.isfinite().all() and gaussians.scales.isfinite().all()


_CACHE: dict = {}


def _cached(tmp_path_factory):
    if not _CACHE:
        _CACHE["whole"] = _whole(tmp_path_factory)
        _CACHE["path"] = tmp_path_factory.mktemp("mutated") / "mutated.ply"
    return _CACHE["whole"]


def test_every_truncation_is_refused(whole, tmp_path):
    path = tmp_path / "cut.ply"
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(FormatError):
            load(path)
