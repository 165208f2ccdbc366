import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from render import FormatError, load, save


def sizes():
    return st.integers(1, 40) | st.sampled_from([255, 256, 257, 600])


def angle(a, b):
    """Degrees between the rotations of two sets of quaternions; exact for small ones, unlike acos."""
    apart = torch.minimum((a - b).norm(dim=1), (a + b).norm(dim=1)).double()
    return torch.rad2deg(4 * torch.asin((apart / 2).clamp(max=1)))


@settings(max_examples=100, deadline=None)
@given(sizes(), st.integers(0, 3), st.integers(0, 10**6), st.booleans())
def test_round_trip(tmp_path_factory, writers, count, degree, seed, coloured):
    scene = writers.scene(count, degree, seed)
    path = tmp_path_factory.getbasetemp() / "packed.ply"
    path.write_bytes(writers.packed(scene, coloured=coloured))
    again = load(path)
    assert len(again) == count and again.sh.shape == scene.sh.shape
    step = torch.tensor([2047.0, 1023.0, 2047.0])
    assert ((again.means - scene.means).abs() <= 8 / step * 0.51 + 1e-6).all()
    assert ((again.scales.log() - scene.scales.log()).abs() <= 4 / step * 0.51 + 1e-5).all()
    assert angle(again.quats, scene.quats).max() < 0.25
    assert (again.opacities - scene.opacities).abs().max() < 0.51 / 255
    assert (again.sh[:, 0] - scene.sh[:, 0]).abs().max() * 0.2820948 < 0.51 / 255
    if degree:
        assert (again.sh[:, 1:] - scene.sh[:, 1:]).abs().max() < 0.51 * 8 / 256


def test_bytes_of_opacity_at_the_ends_stay_finite_when_saved_again(tmp_path, writers):
    scene = writers.scene(4)
    scene.opacities[:2] = torch.tensor([0.0, 1.0])
    (tmp_path / "packed.ply").write_bytes(writers.packed(scene))
    again = load(tmp_path / "packed.ply")
    assert again.opacities[:2].tolist() == [0, 1]
    save(again, tmp_path / "plain.ply")
    values = np.frombuffer((tmp_path / "plain.ply").read_bytes()[-4 * 62 * 4 :], "<f4")
    assert np.isfinite(values).all()


def test_plyfile_finds_the_layout_that_the_test_writes(tmp_path, writers):
    plyfile = pytest.importorskip("plyfile")
    scene = writers.scene(300, 1)
    (tmp_path / "packed.ply").write_bytes(writers.packed(scene))
    data = plyfile.PlyData.read(str(tmp_path / "packed.ply"))
    assert [element.name for element in data.elements] == ["chunk", "vertex", "sh"]
    assert [element.count for element in data.elements] == [2, 300, 300]
    lowest = np.minimum(data["chunk"]["min_x"][0], data["chunk"]["min_x"][1])
    assert lowest == scene.means[:, 0].min()
    # A splat lies between the bounds of its own chunk of 256.
    word = data["vertex"]["packed_position"][299]
    low, high = data["chunk"]["min_x"][1], data["chunk"]["max_x"][1]
    assert low + (word >> 21) / 2047 * (high - low) == pytest.approx(float(scene.means[299, 0]), abs=2e-3)


def test_tables_in_another_order(tmp_path, writers):
    scene = writers.scene(5)
    data = writers.packed(scene)
    start = data.index(b"end_header\n") + len(b"end_header\n")
    lines = data[:start].decode().splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("element vertex"))
    header = [*lines[:2], *lines[first:-1], *lines[2:first], lines[-1]]
    chunk = data[start : start + 18 * 4]
    (tmp_path / "a.ply").write_bytes(data)
    (tmp_path / "b.ply").write_bytes("\n".join([*header, ""]).encode() + data[start + len(chunk) :] + chunk)
    a, b = load(tmp_path / "a.ply"), load(tmp_path / "b.ply")
    assert torch.equal(a.means, b.means) and torch.equal(a.quats, b.quats) and torch.equal(a.sh, b.sh)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (b"uint packed_scale", b"float packed_scale", "uint columns in table 'vertex'"),
        (b"element chunk 1", b"element other 1", "float columns in table 'chunk'"),
        (b"float max_b", b"float maxb", "max_b"),
    ],
)
def test_tables_that_do_not_fit_are_refused_by_name(tmp_path, writers, old, new, match):
    data = writers.packed(writers.scene(5))
    assert old in data
    (tmp_path / "packed.ply").write_bytes(data.replace(old, new, 1))
    with pytest.raises(FormatError, match=match):
        load(tmp_path / "packed.ply")
