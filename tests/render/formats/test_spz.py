import gzip
import struct
import tracemalloc

import numpy as np
import pytest
import torch
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from render import FormatError, load, save
from render.formats.spz_streams import FREE_BYTES, MAX_RATIO


def angle(a, b):
    """Degrees between the rotations of two sets of quaternions; exact for small ones, unlike acos."""
    apart = torch.minimum((a - b).norm(dim=1), (a + b).norm(dim=1)).double()
    return torch.rad2deg(4 * torch.asin((apart / 2).clamp(max=1)))


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 40), st.integers(0, 3), st.integers(0, 10**6), st.integers(1, 4))
def test_round_trip(tmp_path_factory, writers, count, degree, seed, version):
    scene = writers.scene(count, degree, seed)
    path = tmp_path_factory.getbasetemp() / "scene.spz"
    path.write_bytes(writers.spz(scene, version))
    again = load(path)
    assert again.sh.shape == scene.sh.shape
    assert (again.means - scene.means).abs().max() < (2e-3 if version == 1 else 0.51 / 4096)
    assert (again.scales.log() - scene.scales.log()).abs().max() < 0.51 / 16
    if version > 2:
        # Half a step of sqrt(0.5) / 511 in three components, and what follows for the fourth: at most 0.28 degrees.
        assert angle(again.quats, scene.quats).max() < 0.28
    else:  # w follows from bytes of x, y, z, so it is coarse where it is small
        aligned = again.quats * (again.quats * scene.quats).sum(1, keepdim=True).sign()
        assert (aligned - scene.quats)[:, 1:].abs().max() < 0.01
    assert (again.opacities - scene.opacities).abs().max() < 0.51 / 255
    assert (again.sh[:, 0] - scene.sh[:, 0]).abs().max() < 0.51 / 255 / 0.15
    if degree:
        assert (again.sh[:, 1:] - scene.sh[:, 1:]).abs().max() < 0.51 / 128


@pytest.mark.parametrize("version", [2, 3, 4])
def test_known_values(version, shared_data):
    gaussians = load(shared_data("splats") / f"splat_transform_fixtures/minimal-v{version}.spz")
    # The writer of the first put the PLY's own numbers into the file: by the format's axes, z comes out as -z.
    z = 1.0 if version == 2 else -1.0
    assert gaussians.means.tolist() == [[-1, 0, z], [0, 0, z], [-1, 0, 0], [0, 0, 0]]
    assert torch.allclose(gaussians.scales.log(), torch.full((4, 3), 123 / 16 - 10))  # 0.1 to the nearest byte
    assert torch.allclose(gaussians.opacities, torch.full((4,), 230 / 255))
    if version > 2:
        rgb = 0.5 + 0.28209479 * gaussians.sh[:, 0]
        bytes_ = [[85, 85, 128], [170, 85, 128], [85, 170, 128], [170, 170, 128]]
        assert (rgb - torch.tensor(bytes_) / 255).abs().max() < 0.004


def test_a_plain_payload_of_an_older_version_is_refused(shared_data):
    with pytest.raises(FormatError, match="expected version 4; got version 2"):
        load(shared_data("splats") / "splat_transform_fixtures/minimal-raw.spz")


def test_opacity_bytes_at_the_ends_stay_finite(tmp_path, writers):
    scene = writers.scene(4)
    scene.opacities[:2] = torch.tensor([0.0, 1.0])
    (tmp_path / "scene.spz").write_bytes(writers.spz(scene))
    again = load(tmp_path / "scene.spz")
    assert again.opacities[:2].tolist() == [0, 1]
    save(again, tmp_path / "plain.ply")
    assert load(tmp_path / "plain.ply").opacities[:2].tolist() == pytest.approx([0, 1], abs=2e-6)


def record(kind, payload):
    return struct.pack("<II", kind, len(payload)) + payload


@pytest.mark.parametrize("version", [3, 4])
def test_extensions_are_passed_over_unless_they_change_the_axes(tmp_path, writers, version):
    scene, path = writers.scene(6), tmp_path / "scene.spz"
    path.write_bytes(
        writers.spz(scene, version, records=record(0xADBE0002, bytes(12)) + record(0xADBE0003, b"\4\0\0\0"))
    )
    assert len(load(path)) == 6
    path.write_bytes(writers.spz(scene, version, records=record(0xADBE0003, b"\6\0\0\0")))
    with pytest.raises(FormatError, match="usual axes"):
        load(path)
    path.write_bytes(writers.spz(scene, version, records=record(0xADBE0002, bytes(12))[:-1]))
    with pytest.raises(FormatError, match="whole extension records"):
        load(path)


def bomb_v3(count):
    zeros = gzip.compress(struct.pack("<4sIIBBBB", b"NGSP", 3, count, 0, 12, 0, 0) + bytes(20 * count), 9)
    return zeros


def bomb_v4(count):
    frames = [zstandard.compress(bytes(width * count)) for width in (9, 1, 3, 3, 4)]
    start = struct.pack("<4sIIBBBBI12x", b"NGSP", 4, count, 0, 12, 0, 5, 32)
    sizes = [struct.pack("<QQ", len(f), w * count) for f, w in zip(frames, (9, 1, 3, 3, 4), strict=True)]
    return start + b"".join(sizes + frames)


@pytest.mark.parametrize("bomb", [bomb_v3, bomb_v4])
def test_a_bomb_is_refused_before_memory_is_taken(tmp_path, bomb):
    path = tmp_path / "bomb.spz"
    path.write_bytes(bomb(4_000_000))  # 80 MB of zeros in a few kB
    assert path.stat().st_size * 800 < 80_000_000 and FREE_BYTES < 80_000_000
    tracemalloc.start()
    with pytest.raises(FormatError, match=r"a header that promises 80000000 for 4000000 splats"):
        load(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


@pytest.mark.parametrize("unknown_size", [False, True])
def test_a_frame_larger_than_the_header_promises_is_refused_before_memory_is_taken(tmp_path, writers, unknown_size):
    packer = zstandard.ZstdCompressor(write_content_size=not unknown_size)
    large = packer.compress(bytes(100_000_000)) if not unknown_size else packer.compressobj().compress(bytes(10**8))
    path = tmp_path / "bomb.spz"
    whole = bytearray(writers.spz(writers.scene(1000)))
    packed, unpacked = struct.unpack_from("<QQ", whole, 32)
    struct.pack_into("<QQ", whole, 32, len(large), unpacked)
    start = 32 + 16 * whole[15]
    path.write_bytes(bytes(whole[:start]) + large + bytes(whole[start + packed :]))
    tracemalloc.start()
    with pytest.raises(FormatError, match="zstd streams|a stream of 9000 bytes"):
        load(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_a_uniform_scene_within_the_limits_is_read(tmp_path):
    count = FREE_BYTES // 20
    path = tmp_path / "uniform.spz"
    path.write_bytes(bomb_v4(count))
    assert path.stat().st_size * MAX_RATIO < FREE_BYTES  # so the free allowance decides
    gaussians = load(path)
    assert len(gaussians) == count and np.isclose(gaussians.scales[0, 0], np.exp(-10))
