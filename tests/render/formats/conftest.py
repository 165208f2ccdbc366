"""Tiny writers of the formats that are only read, each from the format's own documentation; and loading watched."""

import base64
import gzip
import json
import os
import struct
import subprocess
import sys

import numpy as np
import pytest
import torch
import zstandard

from render import Gaussians

KHR = "KHR_gaussian_splatting"
DC = 0.28209479177387814


def to_bytes(values):
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def make_scene(count=12, degree=0, seed=0):
    """Gaussians whose values every format can hold."""
    g = torch.Generator().manual_seed(seed)
    rest = (torch.rand(count, (degree + 1) ** 2 - 1, 3, generator=g) - 0.5) * 1.8
    dc = (torch.rand(count, 1, 3, generator=g) - 0.5) / DC
    return Gaussians(
        means=(torch.rand(count, 3, generator=g) - 0.5) * 8,
        quats=torch.nn.functional.normalize(torch.randn(count, 4, generator=g), dim=1),
        scales=torch.exp(-5 + 4 * torch.rand(count, 3, generator=g)),
        opacities=torch.rand(count, generator=g),
        sh=torch.cat([dc, rest], dim=1),
    )


def splat_bytes(gaussians):
    rgb = gaussians.sh[:, 0].numpy() * DC + 0.5
    rows = np.zeros(len(gaussians), [("m", "<f4", 3), ("s", "<f4", 3), ("c", "u1", 4), ("q", "u1", 4)])
    rows["m"], rows["s"] = gaussians.means.numpy(), gaussians.scales.numpy()
    rows["c"][:, :3], rows["c"][:, 3] = to_bytes(255 * rgb), to_bytes(255 * gaussians.opacities.numpy())
    rows["q"] = to_bytes(128 + 128 * gaussians.quats.numpy())
    return rows.tobytes()


def smallest_three(quats):
    """The largest component's index, and the others with the sign that makes it positive."""
    largest = np.abs(quats).argmax(1)
    quats = quats * np.sign(np.take_along_axis(quats, largest[:, None], 1))
    return largest, np.stack([np.delete(q, i) for q, i in zip(quats, largest, strict=True)]).reshape(-1, 3)


def packed_bytes(gaussians, *, coloured=True, comment=b""):
    """SuperSplat's packed PLY; without chunk colours as in its first version."""
    n = len(gaussians)

    def unorm(shares, *bits):
        return [np.round(s * (2**b - 1)).astype(np.uint32) for s, b in zip(shares.T, bits, strict=True)]

    def bounded(values):
        low = np.stack([values[i : i + 256].min(0) for i in range(0, n, 256)])
        high = np.stack([values[i : i + 256].max(0) for i in range(0, n, 256)])
        rows = np.arange(n) // 256
        return low, high, (values - low[rows]) / np.maximum(high - low, 1e-9)[rows]

    low, high, shares = bounded(gaussians.means.numpy())
    x, y, z = unorm(shares, 11, 10, 11)
    slow, shigh, shares = bounded(gaussians.scales.log().numpy())
    sx, sy, sz = unorm(shares, 11, 10, 11)
    largest, three = smallest_three(gaussians.quats.numpy())
    a, b, c = unorm(three * 2**-0.5 + 0.5, 10, 10, 10)
    rgb = gaussians.sh[:, 0].numpy() * DC + 0.5
    clow, chigh, shares = bounded(rgb)
    r, g, b_ = unorm(shares if coloured else rgb.clip(0, 1), 8, 8, 8)
    alpha = to_bytes(255 * gaussians.opacities.numpy()).astype(np.uint32)
    words = np.stack(
        [
            x << 21 | y << 11 | z,
            largest.astype(np.uint32) << 30 | a << 20 | b << 10 | c,
            sx << 21 | sy << 11 | sz,
            r << 24 | g << 16 | b_ << 8 | alpha,
        ],
        axis=1,
    )
    bounds = [low, high, slow, shigh] + ([clow, chigh] if coloured else [])
    names = [f"{end}_{axis}" for end in ("min", "max") for axis in "xyz"]
    names += [f"{end}_scale_{axis}" for end in ("min", "max") for axis in "xyz"]
    names += [f"{end}_{channel}" for end in ("min", "max") for channel in "rgb"] if coloured else []
    header = ["ply", "format binary_little_endian 1.0", f"element chunk {len(low)}"]
    header += [f"property float {name}" for name in names] + [f"element vertex {n}"]
    header += [f"property uint packed_{name}" for name in ("position", "rotation", "scale", "color")]
    rest = gaussians.sh[:, 1:].transpose(1, 2).flatten(1).numpy()
    if rest.shape[1]:
        header += [f"element sh {n}", *(f"property uchar f_rest_{i}" for i in range(rest.shape[1]))]
    text = "\n".join([*header, "end_header\n"]).encode().replace(b"element chunk", comment + b"element chunk")
    levels = np.clip(np.floor((rest / 8 + 0.5) * 256), 0, 255).astype(np.uint8)
    return (
        text + np.concatenate(bounds, axis=1).astype("<f4").tobytes() + words.astype("<u4").tobytes() + levels.tobytes()
    )


def spz_attributes(gaussians, version):
    """The six streams, unpacked. A half turn about x leads from a PLY's axes to SPZ's."""
    turn = np.array([1, -1, -1], np.float32)
    means = gaussians.means.numpy() * turn
    wxyz = gaussians.quats.numpy() * np.array([1, 1, -1, -1], np.float32)
    if version == 1:
        positions = means.astype("<f2").tobytes()
    else:
        positions = np.round(means * 4096).astype("<i4")[..., None].view(np.uint8)[..., :3].tobytes()
    xyzw = np.roll(wxyz, -1, axis=1)
    if version < 3:
        rotations = to_bytes(127.5 + 127.5 * xyzw[:, :3] * np.where(xyzw[:, 3:] < 0, -1, 1)).tobytes()
    else:
        largest, three = smallest_three(xyzw)
        size = np.round(np.abs(three) * 2**0.5 * 511).astype(np.uint32) | (three < 0).astype(np.uint32) << 9
        words = largest.astype(np.uint32) << 30 | size[:, 0] << 20 | size[:, 1] << 10 | size[:, 2]
        rotations = words.astype("<u4").tobytes()
    # Functions that are odd in y or z, but not in both, change sign.
    signs = np.array([-1, -1, 1, -1, 1, 1, -1, 1, -1, 1, -1, -1, 1, -1, 1])[: gaussians.sh.shape[1] - 1]
    sh = gaussians.sh.numpy()
    return [
        positions,
        to_bytes(255 * gaussians.opacities.numpy()).tobytes(),
        to_bytes(255 * (0.5 + 0.15 * sh[:, 0])).tobytes(),
        to_bytes(16 * (gaussians.scales.log().numpy() + 10)).tobytes(),
        rotations,
        to_bytes(128 + 128 * sh[:, 1:] * signs[:, None]).tobytes(),
    ]


def spz_bytes(gaussians, version=4, *, edit=None, **fields):
    """edit changes the list of six streams; fields replace those of the header; records are extensions."""
    streams = spz_attributes(gaussians, version)
    streams = edit(streams) if edit else streams
    records = fields.pop("records", b"")
    degree = round(gaussians.sh.shape[1] ** 0.5) - 1
    given = {"magic": b"NGSP", "version": version, "count": len(gaussians), "degree": degree, "bits": 12}
    given |= {"flags": 2 if records else 0, "streams": 0, "table": 32 + len(records), **fields}
    start = struct.pack("<4sIIBBBB", *(given[k] for k in ("magic", "version", "count", "degree", "bits", "flags")), 0)
    if version < 4:
        return gzip.compress(start + b"".join(streams) + records, mtime=0)
    held = [stream for stream in streams if stream]
    frames = [zstandard.compress(stream) for stream in held]
    start = start[:-1] + bytes([given["streams"] or len(held)]) + struct.pack("<I", given["table"]) + bytes(12)
    table = b"".join(struct.pack("<QQ", len(f), len(s)) for f, s in zip(frames, held, strict=True))
    return start + records + table + b"".join(frames)


def gltf_parts(gaussians):
    """JSON and binary buffer of KHR_gaussian_splatting. A half turn about z leads from a PLY's axes to glTF's."""
    half = torch.diag(torch.tensor([-1.0, -1.0, 1.0, 1.0]))
    moved = gaussians.transform(half)
    columns = {
        "POSITION": moved.means,
        f"{KHR}:ROTATION": moved.quats.roll(-1, 1),
        f"{KHR}:SCALE": moved.scales,
        f"{KHR}:OPACITY": moved.opacities[:, None],
    }
    names = [f"{KHR}:SH_DEGREE_{d}_COEF_{i}" for d in range(4) for i in range(2 * d + 1)]
    columns |= dict(zip(names, moved.sh.unbind(1), strict=False))
    binary, views, accessors = b"", [], []
    for column in columns.values():
        data = column.contiguous().numpy().tobytes()
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(data)})
        kind = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}[column.shape[1]]
        accessors.append({"bufferView": len(views) - 1, "componentType": 5126, "count": len(column), "type": kind})
        binary += data
    kinds = {"kernel": "ellipse", "colorSpace": "srgb_rec709_display"}
    primitive = {"attributes": {name: i for i, name in enumerate(columns)}, "mode": 0, "extensions": {KHR: kinds}}
    document = {
        "asset": {"version": "2.0"},
        "extensionsUsed": [KHR],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [primitive]}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(binary)}],
    }
    return document, binary


def glb_bytes(document, binary):
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    binary += bytes(-len(binary) % 4)
    body = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


NAMES = ("scene.ply", "scene.splat", "scene3.spz", "scene4.spz", "scene.glb", "scene.gltf")


def sample_files():
    """A sound file of each format, by its name."""
    scene = make_scene(9, 1)
    document, binary = gltf_parts(scene)
    uri = "data:application/octet-stream;base64," + base64.b64encode(binary).decode()
    text = {**document, "buffers": [{"byteLength": len(binary), "uri": uri}]}
    whole = [packed_bytes(scene), splat_bytes(scene), spz_bytes(scene, 3), spz_bytes(scene, 4)]
    return dict(zip(NAMES, [*whole, glb_bytes(document, binary), json.dumps(text).encode()], strict=True))


class Writers:
    scene = staticmethod(make_scene)
    splat = staticmethod(splat_bytes)
    packed = staticmethod(packed_bytes)
    spz = staticmethod(spz_bytes)
    gltf = staticmethod(gltf_parts)
    glb = staticmethod(glb_bytes)
    samples = staticmethod(sample_files)


@pytest.fixture(scope="session")
def writers():
    return Writers


# Loads every file named on its standard input; tells what came of it, and what was touched meanwhile.
WATCH = """
import json, os, sys, time
from render import FormatError, load
root, sound, hostile = json.load(sys.stdin)
for path in sound:
    load(path)  # whatever is imported or compiled once, is by now
armed, touched = False, []
def watch(event, arguments):
    if armed and event in ("open", "exec", "compile", "import", "os.system", "subprocess.Popen", "pickle.find_class",
                           "socket.connect", "ctypes.dlopen", "os.exec", "os.posix_spawn"):
        name = os.path.realpath(arguments[0]) if event == "open" else str(arguments[:1])
        if event != "open" or not name.startswith(root + os.sep):
            touched.append([event, name[:200]])
sys.addaudithook(watch)
def peak():
    with open("/proc/self/status") as status:  # not getrusage: its peak may be that of the process that started this
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the peak counts from here
before = peak()
results = {}
for path in hostile:
    start, outcome = time.perf_counter(), "loaded"
    armed = True
    try:
        load(path)
    except FormatError as error:
        outcome = f"FormatError: {error}"
    except BaseException as error:
        outcome = f"{type(error).__name__}: {error}"[:200]
    armed = False
    results[path] = [outcome, time.perf_counter() - start, touched[:]]
    touched.clear()
json.dump([results, peak() - before], sys.stdout)
"""


@pytest.fixture(scope="session")
def load_watched(tmp_path_factory, root):
    """load_watched({(name, case): bytes}) loads each file in one process that looks at what loading does.

    Gives {(name, case): [outcome, seconds, what else was touched]} and the growth of the process's memory in bytes.
    Beside each file lie a pipe and links to what is outside its folder.
    """

    def run(files):
        base = tmp_path_factory.mktemp("hostile").resolve()
        (base / "secret.bin").write_bytes(bytes(10_000))
        (base / "sound").mkdir()
        sound, hostile = [], {}
        for name, data in sample_files().items():
            (base / "sound" / name).write_bytes(data)
            sound.append(str(base / "sound" / name))
        for number, (key, data) in enumerate(files.items()):
            folder = base / "files" / str(number)
            folder.mkdir(parents=True)
            (folder / key[0]).write_bytes(data)
            (folder / "link.bin").symlink_to(base / "secret.bin")
            (folder / "linked").symlink_to(base)
            os.mkfifo(folder / "fifo.bin")
            hostile[key] = str(folder / key[0])
        job = json.dumps([str(base / "files"), sound, list(hostile.values())])
        command = [sys.executable, "-c", WATCH]
        done = subprocess.run(command, input=job, capture_output=True, text=True, cwd=root, timeout=150)
        assert done.returncode == 0, done.stderr[-2000:]
        results, grown = json.loads(done.stdout)
        return {key: results[path] for key, path in hostile.items()}, grown

    return run
