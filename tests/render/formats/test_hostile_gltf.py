"""glTF files made to crash, fill memory, run code or open other files give one FormatError each, and quickly."""

import base64
import json
import struct
from functools import partial

import numpy as np
import pytest

KHR = "KHR_gaussian_splatting"


def swap(old, new, data):
    assert old in data
    return data.replace(old, new, 1)


def poke(offset, layout, value, data):
    """A value written over the bytes at an offset, from the end where it is negative."""
    data = bytearray(data)
    struct.pack_into(layout, data, offset % len(data), value)
    return bytes(data)


GLB = {
    "empty": lambda d: b"",
    "only the magic": lambda d: d[:4],
    "only the header": lambda d: d[:12],
    "cut": lambda d: d[:-1],
    "longer": lambda d: d + b"x",
    "other magic": partial(poke, 0, "4s", b"gltf"),
    "version 1": partial(poke, 4, "<I", 1),
    "a shorter length": lambda d: poke(8, "<I", len(d) - 4, d),
    "a length of billions": partial(poke, 8, "<I", 2**32 - 1),
    "JSON of billions": partial(poke, 12, "<I", 2**32 - 1),
    "no JSON": partial(poke, 12, "<I", 0),
    "the buffer first": partial(poke, 16, "4s", b"BIN\0"),
    "buffer of billions": lambda d: poke(24 + struct.unpack_from("<I", d, 12)[0] - 4, "<I", 2**32 - 1, d),
    "no buffer": lambda d: poke(24 + struct.unpack_from("<I", d, 12)[0], "4s", b"NONE", d),
    "not JSON": partial(poke, 20, "B", 0),
    "not text": partial(poke, 22, "B", 255),
    "nan in the buffer": partial(poke, -4, "<f", np.nan),
}


def edited(path, value, data):
    document = json.loads(data)
    *steps, last = path
    place = document
    for step in steps:
        place = place[step]
    if value is DELETED:
        del place[last]
    else:
        place[last] = value
    return json.dumps(document).encode()


DELETED = object()
PRIMITIVE = ("meshes", 0, "primitives", 0)
EDITS = [
    (("asset",), DELETED), (("asset",), []), (("asset", "version"), 2), (("asset", "version"), "1.0"),
    (("scene",), 1), (("scene",), -1), (("scene",), "0"), (("scene",), 1e99), (("scene",), True), (("scenes",), []),
    (("scenes",), {}), (("scenes", 0), None), (("scenes", 0, "nodes"), [0, 0]), (("scenes", 0, "nodes"), [[0]]),
    (("scenes", 0, "nodes"), []), (("scenes", 0, "nodes"), [10**30]), (("nodes", 0, "children"), [0]),
    (("nodes",), "0"), (("nodes", 0, "children"), 0), (("nodes", 0, "mesh"), 7), (("nodes", 0, "mesh"), 2**70),
    (("nodes", 0, "matrix"), [1] * 15), (("nodes", 0, "matrix"), [0] * 16), (("nodes", 0, "matrix"), [1e300] * 16),
    (("nodes", 0, "matrix"), [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 2]), (("nodes", 0, "scale"), [1e29] * 3),
    (("nodes", 0, "scale"), [1e-30] * 3), (("nodes", 0, "rotation"), [0] * 4), (("nodes", 0, "rotation"), ["x"] * 4),
    (("nodes", 0, "translation"), [1, 2]), (("nodes", 0, "translation"), [10**40, 0, 0]), (("meshes",), DELETED),
    (("meshes", 0, "primitives"), {}), (("meshes", 0, "primitives"), [5]), ((*PRIMITIVE, "mode"), [0]),
    ((*PRIMITIVE, "extensions"), []), ((*PRIMITIVE, "extensions", KHR), 1), ((*PRIMITIVE, "attributes"), None),
    ((*PRIMITIVE, "attributes", "POSITION"), -1), ((*PRIMITIVE, "attributes", "POSITION"), 10**6),
    ((*PRIMITIVE, "attributes", "POSITION"), {}), ((*PRIMITIVE, "extensions", KHR, "kernel"), [[[[]]]]),
    (("accessors", 0, "count"), 2**62), (("accessors", 0, "count"), -1), (("accessors", 0, "count"), 0),
    (("accessors", 0, "count"), 10), (("accessors", 0, "count"), 9.0), (("accessors", 0, "byteOffset"), 4),
    (("accessors", 0, "byteOffset"), -4), (("accessors", 0, "byteOffset"), 2**63), (("accessors", 0, "type"), []),
    (("accessors", 0, "type"), "VEC4"), (("accessors", 0, "componentType"), 5130), (("accessors", 0, "bufferView"), 99),
    (("accessors", 0, "componentType"), {}), (("accessors", 0, "normalized"), []), (("bufferViews", 0, "buffer"), 1),
    (("bufferViews", 0, "byteLength"), 2**40), (("bufferViews", 0, "byteLength"), 0),
    (("bufferViews", 0, "byteOffset"), 2**40), (("bufferViews", 0, "byteStride"), 4),
    (("bufferViews", 0, "byteStride"), 0), (("bufferViews", 0, "byteStride"), 10**9), (("buffers",), DELETED),
    (("buffers", 0, "byteLength"), 2**50), (("buffers", 0, "byteLength"), -1), (("buffers", 0, "uri"), 5),
    (("buffers", 0, "uri"), DELETED), (("buffers", 0, "uri"), ""), (("extensionsRequired",), [KHR, "EXT_meshopt"]),
    (("extensionsRequired",), 3),
]  # fmt: skip
OUTSIDE = [
    "../secret.bin",
    "%2e%2e%2fsecret.bin",
    "/etc/passwd",
    "file:///etc/passwd",
    "http://127.0.0.1/x",
    "link.bin",
]
OUTSIDE += ["linked/secret.bin", "\\\\host\\share", "fifo.bin", "a\0b", "x" * 5000, "../" * 500 + "etc/passwd"]


def many_nodes(data):
    document = json.loads(data)
    count = 24_000
    document["nodes"] = [{"children": [i + 1], "scale": [1, 1, 1]} for i in range(count)] + [{"mesh": 0}]
    document["accessors"][0]["count"] = 10
    return json.dumps(document, separators=(",", ":")).encode()


def shown_often(data, count):
    document = json.loads(data)
    document["nodes"] = [{"mesh": 0}] * count
    document["scenes"] = [{"nodes": list(range(count))}]
    return json.dumps(document).encode()


def shared_bytes(data):
    """One megabyte shown a thousand times."""
    document = json.loads(data)
    rows = 1 << 16
    document["buffers"] = [
        {"byteLength": 16 * rows, "uri": "data:;base64," + base64.b64encode(bytes(16 * rows)).decode()}
    ]
    document["bufferViews"] = [{"buffer": 0, "byteLength": 16 * rows}]
    for accessor in document["accessors"]:
        accessor |= {"bufferView": 0, "count": rows}
    return shown_often(json.dumps(document), 1000)


GLTF = {f"{'.'.join(map(str, path))} = {str(value)[:30]}": partial(edited, path, value) for path, value in EDITS}
GLTF |= {f"buffer {uri[:30]!r}": partial(edited, ("buffers", 0, "uri"), uri) for uri in OUTSIDE}
GLTF |= {
    "empty": lambda d: b"",
    "a list": lambda d: b"[]",
    "half": lambda d: d[: len(d) // 2],
    "nan": partial(swap, b'"version": "2.0"', b'"version": NaN'),
    "a huge number": partial(swap, b'"scene": 0', b'"scene": ' + b"9" * 100_000),
    "nested": partial(swap, b'"scene": 0', b'"scene": ' + b"[" * 100_000 + b"]" * 100_000),
    "nested names": partial(swap, b'"scene": 0', b'"scene": ' + b'{"a":' * 100_000 + b"0" + b"}" * 100_000),
    "10 MB of lists": partial(swap, b'"scene": 0', b'"extras": [' + b"[]," * 3_300_000 + b"0]"),
    "a megabyte of lists": partial(swap, b'"scene": 0', b'"scene": [' + b"[]," * 345_000 + b"0]"),
    "many open data URIs": lambda d: b'{"a": "' + b'"data:' * 1_000_000,
    "many nodes": many_nodes,
    "shown 1025 times": partial(shown_often, count=1025),
    "a megabyte shown often": shared_bytes,
    "utf-16": lambda d: d.decode().encode("utf-16"),
}
GROUPS = {"scene.glb": GLB, "scene.gltf": GLTF}
CASES = [(name, case) for name, group in GROUPS.items() for case in group]


@pytest.fixture(scope="module")
def outcomes(writers, load_watched):
    sound = writers.samples()
    return load_watched({(name, case): GROUPS[name][case](sound[name]) for name, case in CASES})


@pytest.mark.parametrize(("name", "case"), CASES)
def test_one_clear_error_within_two_seconds_and_nothing_else_touched(name, case, outcomes):
    outcome, seconds, touched = outcomes[0][name, case]
    assert outcome.startswith("FormatError: ") and f"{name}: expected " in outcome, outcome
    assert "; got " in outcome and outcome.endswith(".") and "\n" not in outcome and len(outcome) < 700
    assert seconds < 2
    assert touched == []


def test_memory_stays_below_256_mb(outcomes):
    assert len(CASES) > 100 and outcomes[1] < 256e6
