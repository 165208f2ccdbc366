"""Sound files changed at random, from a seed: each loads as finite Gaussians or gives a FormatError, in a second."""

import copy
import gzip
import json
import struct
import time

import numpy as np
import pytest
import zstandard

from render import FormatError, load, save

IN_CI, LONG = 400, 100_000
WORDS = [0, 1, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7F7FFFFF, 0x80000000, 0x7FFFFFFF, 0xFFFFFFFF, 0x00000100]
VALUES = [None, True, 0, -1, 1, 2, 9, 255, 5126, 2**31, 2**63, -(2**40), 1e308, -1e-308, 0.5, "", "x", "VEC3", "..", []]
VALUES += [{}, [0], [0, 0, 0], [1, 2, 3], [0, 0, 0, 1], [1e20] * 4, {"a": 1}]


def change_bytes(rng, data):
    data = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(0, len(data)))
        match rng.integers(0, 6):
            case 0 | 1:
                data[at] = rng.integers(0, 256)
            case 2:
                data[at] ^= 1 << rng.integers(0, 8)
            case 3:
                data[at : at + 4] = struct.pack("<I", WORDS[rng.integers(0, len(WORDS))])
            case 4:
                del data[at : at + rng.integers(1, 9)]
            case _:
                data[at:at] = data[at : at + rng.integers(1, 33)]
        if not data:
            break
    return bytes(data)


def change_within(rng, data):
    """As above, but never in length."""
    changed = change_bytes(rng, data)[: len(data)]
    return changed + data[len(changed) :]


def change_json(rng, text):
    """One or two values anywhere in the document replaced, removed, or put elsewhere."""
    document = json.loads(text)
    for _ in range(rng.integers(1, 3)):
        places = list(_places(document))
        if not places:
            break
        place, key = places[rng.integers(0, len(places))]
        match rng.integers(0, 4):
            case 0 if isinstance(place, dict):
                del place[key]
            case 1:
                other, name = places[rng.integers(0, len(places))]
                place[key] = copy.deepcopy(other[name])
            case _:
                place[key] = copy.deepcopy(VALUES[rng.integers(0, len(VALUES))])
    return json.dumps(document).encode()


def _places(value):
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in list(keys):
        yield value, key
        yield from _places(value[key])


def inside_spz3(rng, data):
    return gzip.compress(change_bytes(rng, gzip.decompress(data)), 1)


def inside_spz4(rng, data):
    """Other values in the streams, packed again."""
    sizes = list(struct.iter_unpack("<QQ", data[32 : 32 + 16 * data[15]]))
    frames, at = [], 32 + 16 * data[15]
    for packed, _ in sizes:
        frames.append(zstandard.compress(change_within(rng, zstandard.decompress(data[at : at + packed]))))
        at += packed
    table = [struct.pack("<QQ", len(frame), size) for frame, (_, size) in zip(frames, sizes, strict=True)]
    return data[:32] + b"".join(table + frames)


def inside_glb(rng, data):
    end = 20 + struct.unpack_from("<I", data, 12)[0]
    text = change_json(rng, data[20:end])
    text += b" " * (-len(text) % 4)
    body = struct.pack("<I4s", len(text), b"JSON") + text + data[end:]
    return data[:8] + struct.pack("<I", 12 + len(body)) + body


# The file to start from, the change, and the least and largest share that still loads: both what lies behind the
# first checks and the checks are reached. Every byte of an SPZ stream means something.
FUZZERS = {
    "plain ply": ("plain.ply", change_bytes, 0.0, 0.9),
    "plain ply values": ("plain.ply", change_within, 0.05, 0.9),
    "packed ply": ("scene.ply", change_bytes, 0.0, 0.9),
    "packed ply values": ("scene.ply", change_within, 0.05, 0.9),
    "splat": ("scene.splat", change_within, 0.05, 0.95),
    "spz 3": ("scene3.spz", change_bytes, 0.0, 0.5),
    "spz 3 inside": ("scene3.spz", inside_spz3, 0.05, 0.9),
    "spz 4": ("scene4.spz", change_bytes, 0.0, 0.9),
    "spz 4 inside": ("scene4.spz", inside_spz4, 1.0, 1.0),
    "glb": ("scene.glb", change_bytes, 0.0, 0.9),
    "glb inside": ("scene.glb", inside_glb, 0.01, 0.9),
    "gltf": ("scene.gltf", change_json, 0.01, 0.9),
}


def fuzz(target, count, folder, writers):
    """How many of the changed files load; fails where one neither loads soundly nor gives a FormatError."""
    name, change, *_ = FUZZERS[target]
    path = folder / name
    if name == "plain.ply":
        save(writers.scene(9, 1), path)
        whole = path.read_bytes()
    else:
        whole = writers.samples()[name]
    loaded = 0
    for seed in range(count):
        data = change(np.random.default_rng(seed), whole)
        path.write_bytes(data)
        start = time.perf_counter()
        try:
            gaussians = load(path)
        except FormatError as error:
            assert "\n" not in str(error) and len(str(error)) < 900, seed
        except BaseException as error:
            raise AssertionError(f"seed {seed} of {target}: {type(error).__name__}: {error}") from error
        else:
            loaded += 1
            values = [gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.sh]
            assert all(value.isfinite().all() for value in values), seed
            assert (gaussians.scales >= 0).all() and ((gaussians.quats.norm(dim=1) - 1).abs() < 1e-5).all(), seed
            assert (gaussians.opacities >= 0).all() and (gaussians.opacities <= 1).all(), seed
        assert time.perf_counter() - start < 1, seed
    return loaded


@pytest.mark.parametrize("target", FUZZERS)
def test_changed_files_load_or_give_a_format_error(target, tmp_path, writers):
    _, _, least, most = FUZZERS[target]
    assert least <= fuzz(target, IN_CI, tmp_path, writers) / IN_CI <= most


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("target", FUZZERS)
def test_many_changed_files_load_or_give_a_format_error(target, tmp_path, writers):
    fuzz(target, LONG, tmp_path, writers)
