import struct

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from render import FormatError, load


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 60), st.integers(0, 10**6))
def test_round_trip(tmp_path_factory, writers, count, seed):
    scene = writers.scene(count, 0, seed)
    path = tmp_path_factory.getbasetemp() / "scene.splat"
    path.write_bytes(writers.splat(scene))
    again = load(path)
    assert torch.equal(again.means, scene.means) and torch.equal(again.scales, scene.scales)
    assert (again.opacities - scene.opacities).abs().max() < 0.51 / 255
    assert (again.sh - scene.sh).abs().max() * 0.2820948 < 0.51 / 255
    aligned = again.quats * (again.quats * scene.quats).sum(1, keepdim=True).sign()
    assert (aligned - scene.quats).abs().max() < 0.02  # bytes of 1/128, the largest cut at 127/128


def test_known_values(shared_data):
    gaussians = load(shared_data("splats") / "splat_transform_fixtures/minimal.splat")
    assert gaussians.means.tolist() == [[-1, 0, -1], [0, 0, -1], [-1, 0, 0], [0, 0, 0]]
    assert torch.allclose(gaussians.scales, torch.full((4, 3), 0.1))
    assert torch.allclose(gaussians.opacities, torch.full((4,), 230 / 255))
    assert torch.allclose(gaussians.quats, torch.tensor([0.0, 0, 0, 1]).expand(4, 4))  # bytes 128 128 128 255
    rgb = 0.5 + 0.28209479 * gaussians.sh[:, 0]
    bytes_ = [[85, 85, 128], [170, 85, 128], [85, 170, 128], [170, 170, 128]]
    assert torch.allclose(rgb, torch.tensor(bytes_) / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("offset", "value", "match"),
    [(4, "nan", "NaN or infinity in its positions"), (16, "inf", "in its scales"), (12, "-0.5", "0 or more; got -0.5")],
)
def test_values_that_no_splat_has(tmp_path, writers, offset, value, match):
    data = bytearray(writers.splat(writers.scene(3)))
    struct.pack_into("<f", data, 32 + offset, float(value))
    (tmp_path / "scene.splat").write_bytes(data)
    with pytest.raises(FormatError, match=match):
        load(tmp_path / "scene.splat")


@pytest.mark.parametrize("length", [0, 1, 31, 33, 95])
def test_lengths_that_rows_do_not_fill(tmp_path, writers, length):
    (tmp_path / "scene.splat").write_bytes(writers.splat(writers.scene(4))[:length])
    with pytest.raises(FormatError, match=f"expected rows of 32 bytes; got {length} bytes"):
        load(tmp_path / "scene.splat")
