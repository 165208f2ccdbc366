"""Recordings made to crash, fill memory or read elsewhere give one FormatError, quickly; damaged ones too."""

import struct
import time
import tracemalloc
import zlib
from contextlib import suppress

import numpy as np
import pytest
import torch

from recon.readers import READERS, read_captured, read_model, read_trajectory
from render import FormatError
from render.video import write_mp4

from .test_colmap import model  # noqa: F401  the fixture
from .test_icl_nuim import folder as icl_nuim  # noqa: F401
from .test_kitti import folder as kitti  # noqa: F401
from .test_posed_rgbd import folder as posed_rgbd  # noqa: F401
from .test_realestate10k import folder as realestate10k  # noqa: F401
from .test_seven_scenes import folder as seven_scenes  # noqa: F401
from .test_transforms_json import write as transforms  # noqa: F401
from .test_tum import folder as tum  # noqa: F401

SECONDS, MEGABYTES = 2.0, 256
MUTATIONS = 40  # of each file of each layout


def refused(read, *arguments, size=0):
    """That reading raises FormatError in time and within memory."""
    tracemalloc.start()
    begun = time.perf_counter()
    try:
        with pytest.raises(FormatError) as error:
            read(*arguments)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(str(error.value)) < 1500
    assert peak < max(MEGABYTES * 2**20, 4 * size)
    # tracemalloc makes Python several times slower.
    assert time.perf_counter() - begun < 4 * SECONDS


BINARY = {
    "cameras.bin": {
        "huge count": lambda d: struct.pack("<Q", 2**63) + d[8:],
        "all ones": lambda d: b"\xff" * len(d),
        "unknown model": lambda d: d[:12] + struct.pack("<i", 4711) + d[16:],
        "negative model": lambda d: d[:12] + struct.pack("<i", -1) + d[16:],
        "no width": lambda d: d[:16] + struct.pack("<Q", 0) + d[24:],
        "endless width": lambda d: d[:16] + struct.pack("<Q", 2**64 - 1) + d[24:],
        "nan focal": lambda d: d[:32] + struct.pack("<d", np.nan) + d[40:],
        "vanishing focal": lambda d: d[:32] + struct.pack("<d", 1e-310) + d[40:],
        "negative focal": lambda d: d[:32] + struct.pack("<d", -5) + d[40:],
        "twice": lambda d: struct.pack("<Q", 2) + d[8:] + d[8:],
        "longer": lambda d: d + b"x",
        "big endian": lambda d: d[:8][::-1] + d[8:],
        "empty": lambda d: b"",
        "no cameras": lambda d: struct.pack("<Q", 0),
        "random": lambda d: np.random.default_rng(0).bytes(4000),
    },
    "images.bin": {
        "huge count": lambda d: struct.pack("<Q", 2**63) + d[8:],
        "billions of images": lambda d: struct.pack("<Q", 4_000_000_000) + d[8:],
        "nan pose": lambda d: d[:12] + struct.pack("<d", np.nan) + d[20:],
        "zero quaternion": lambda d: d[:12] + bytes(32) + d[44:],
        "infinite place": lambda d: d[:44] + struct.pack("<d", np.inf) + d[52:],
        "another camera": lambda d: d[:68] + struct.pack("<I", 99) + d[72:],
        "no name": lambda d: d[:72] + b"\0" + d[78:],
        "an endless name": lambda d: d[:72] + b"a" * 100_000,
        "a name in no alphabet": lambda d: d[:72] + b"\xff\xfe" + d[74:],
        "huge observations": lambda d: d[:78] + struct.pack("<Q", 2**60) + d[86:],
        "overflowing observations": lambda d: d[:78] + struct.pack("<Q", 2**64 // 24 + 1) + d[86:],
        "longer": lambda d: d + b"x",
        "empty": lambda d: b"",
    },
    "points3D.bin": {
        "huge count": lambda d: struct.pack("<Q", 2**62) + d[8:],
        "nan point": lambda d: d[:16] + struct.pack("<d", np.nan) + d[24:],
        "huge track": lambda d: d[:51] + struct.pack("<Q", 2**61) + d[59:],
        "longer": lambda d: d + bytes(8),
        "empty": lambda d: b"",
    },
}


@pytest.mark.parametrize("name, case", [(name, case) for name, cases in BINARY.items() for case in cases])
def test_binary_models_made_to_harm(model, name, case):  # noqa: F811
    folder = model(".bin")
    path = folder / "sparse/0" / name
    path.write_bytes(BINARY[name][case](path.read_bytes()))
    refused(read_captured, folder)


@pytest.mark.parametrize("name", BINARY)
def test_binary_models_cut_anywhere(model, name):  # noqa: F811
    folder = model(".bin") / "sparse/0"
    path = folder / name
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(FormatError):
            read_model(folder, observations=True)


JSON = {
    "empty": b"",
    "cut": b'{"frames": [{"file_path": "a',
    "nested lists": b"[" * 500_000,
    "nested deep": b"[" * 100_000 + b"]" * 100_000,
    "nested objects": b'{"a":' * 90_000,
    "a list": b"[]",
    "no frames": b'{"fl_x": 3}',
    "frames of nothing": b'{"frames": []}',
    "frames of numbers": b'{"frames": [1, 2]}',
    "frames as object": b'{"frames": {"a": 1}}',
    "a million frames": b'{"frames": [' + b"{}," * 1_000_000 + b"{}]}",
    "empty lists": b'{"frames": [' + b"[]," * 10_000_000 + b"[]]}",
    "numbers": b'{"frames": [' + b"1," * 20_000_000 + b"1]}",
    "a long number": b'{"frames": ' + b"9" * 1_000_000 + b"}",
    "a long name": b'{"frames": [{"file_path": "' + b"a" * 10_000_000 + b'"}]}',
    "not utf-8": b'\xff\xfe{"frames": []}',
    "zeros": bytes(10_000),
    "code": b"cos\nsystem\n(S'touch pwned'\ntR.",
}


@pytest.mark.parametrize("case", JSON)
def test_json_made_to_harm(case, tmp_path):
    (tmp_path / "transforms.json").write_bytes(JSON[case])
    refused(read_captured, tmp_path, size=len(JSON[case]))


TEXT = {
    "one endless line": b"1 " * 10_000_000,
    "zeros": bytes(1_000_000),
    "not text": np.random.default_rng(0).bytes(100_000),
    "too large": b"1.0 0 0 0 0 0 0 1\n" * 2_000_000,
    "other words": b"a b c d e f g h\n" * 1000,
    "infinite": b"1 0 0 1e999 0 0 0 1\n",
    "long numbers": b"1 0 0 " + b"9" * 4000 + b" 0 0 0 1\n",
}


@pytest.mark.parametrize("case", TEXT)
@pytest.mark.parametrize("layout", ["tum", "icl_nuim", "seven_scenes", "posed_rgbd", "realestate10k", "kitti"])
def test_text_made_to_harm(case, layout, request):
    folder = request.getfixturevalue(layout)
    names = {
        "tum": "groundtruth.txt",
        "icl_nuim": "pose.txt",
        "seven_scenes": "frame-000000.pose.txt",
        "posed_rgbd": "poses.txt",
        "realestate10k": "0123abcd.txt",
        "kitti": "calib.txt",
    }
    path = folder / names[layout]
    path.write_bytes(TEXT[case])
    refused(READERS["7scenes" if layout == "seven_scenes" else layout], path if layout == "realestate10k" else folder)


@pytest.mark.parametrize("case", TEXT)
def test_trajectories_made_to_harm(case, tmp_path):
    (tmp_path / "a.txt").write_bytes(TEXT[case])
    refused(read_trajectory, tmp_path / "a.txt", size=len(TEXT[case]))


def png(width, height, data):
    """A PNG whose head says width x height."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        png(60_000, 60_000, zlib.compress(bytes(1_000_000))),
        png(2**31 - 1, 2**31 - 1, b""),
        png(0, 5, b""),
        b"GIF89a" + bytes(20),
    ],
)
def test_images_made_to_harm(data, tmp_path):
    (tmp_path / "a.png").write_bytes(data)
    refused(read_captured, tmp_path)


@pytest.mark.parametrize("data", [b"", bytes(1000), b"\0\0\0\x18ftypmp42" + b"\xff" * 5000, b"RIFF" + bytes(100)])
def test_videos_made_to_harm(data, tmp_path):
    (tmp_path / "a.mp4").write_bytes(data)
    refused(read_captured, tmp_path / "a.mp4")


WORDS = (b"nan", b"-", b"1e300", b" ", b"\n", b"#", b"\0", b"[", b"../", b"9" * 30)


def mutate(data, seed):
    """Bytes changed, cut out, repeated or put in, from a seed."""
    random = np.random.default_rng(seed)
    data = bytearray(data)
    for _ in range(random.integers(1, 4)):
        at = int(random.integers(0, max(1, len(data))))
        length = int(random.integers(1, 9))
        match random.integers(0, 5):
            case 0:
                data[at : at + length] = random.bytes(length)
            case 1:
                del data[at : at + length]
            case 2:
                data[at:at] = data[at : at + length] * int(random.integers(1, 4))
            case 3:
                data[at : at + length] = random.choice(
                    [b"nan", b"-", b"1e300", b" ", b"\n", b"#", b"\0", b"[", b"9" * 30]
                )
            case 4:
                data[at : at + 8] = struct.pack("<q", int(random.choice([0, -1, 2**62, 2**31, 255, 10**6])))
    return bytes(data)


LAYOUTS = {
    "transforms": ("transforms", "transforms.json"),
    "7scenes": ("seven_scenes", "frame-000020.pose.txt", "camera-intrinsics.txt", "frame-000020.depth.png"),
    "posed_rgbd": ("posed_rgbd", "poses.txt", "K.txt", "images/00001.png"),
    "tum": ("tum", "groundtruth.txt", "rgb.txt", "depth.txt", "calib.txt"),
    "icl_nuim": ("icl_nuim", "pose.txt", "calib.txt"),
    "realestate10k": ("realestate10k", "0123abcd.txt"),
    "kitti": ("kitti", "calib.txt", "times.txt", "../../poses/07.txt"),
    "colmap .bin": ("model", "sparse/0/cameras.bin", "sparse/0/images.bin", "sparse/0/points3D.bin"),
    "colmap .txt": ("model", "sparse/0/cameras.txt", "sparse/0/images.txt", "sparse/0/points3D.txt"),
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_damage_from_a_seed(kind, request):
    """Any damage is a FormatError, a file that is not there, or views whose numbers are finite."""
    layout, *names = LAYOUTS[kind]
    made = request.getfixturevalue(layout)
    reader = READERS[kind.split()[0]]
    folder = made() if layout == "transforms" else made(kind.split()[1]) if layout == "model" else made
    path_of_file = {"realestate10k": folder / "0123abcd.txt"}.get(kind, folder)
    whole = {name: (folder / name).read_bytes() for name in names}
    for seed in range(MUTATIONS):
        for name in names:
            (folder / name).write_bytes(mutate(whole[name], seed))
            try:
                captured = reader(path_of_file)
                for view in captured.views:
                    assert view.camera.w2c.isfinite().all() and view.camera.K.isfinite().all(), seed
                    assert view.camera.K[0, 0] > 0 and view.camera.K[1, 1] > 0, seed
                    assert view.image.isfinite().all() and (view.depth is None or view.depth.isfinite().all()), seed
            except (FormatError, FileNotFoundError):
                pass
            (folder / name).write_bytes(whole[name])


def test_a_damaged_video_from_a_seed(tmp_path):
    whole = torch.arange(20, dtype=torch.uint8)[:, None, None, None].expand(20, 32, 48, 3)
    write_mp4(tmp_path / "a.mp4", whole, 10)
    data = (tmp_path / "a.mp4").read_bytes()
    for seed in range(MUTATIONS):
        (tmp_path / "a.mp4").write_bytes(mutate(data, seed))
        with suppress(FormatError):
            assert len(read_captured(tmp_path / "a.mp4")) >= 1
