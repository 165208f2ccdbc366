import base64
import json
import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from render import FormatError, load
from render.conventions import PLY_FROM_GLTF

KHR = "KHR_gaussian_splatting"


@pytest.fixture
def parts(writers):
    return writers.gltf(writers.scene(20, 1))


def open_parts(tmp_path, writers, document, binary):
    (tmp_path / "scene.glb").write_bytes(writers.glb(document, binary))
    return load(tmp_path / "scene.glb")


def same(a, b):
    """To rounding, and up to the quaternions' sign."""
    signs = (a.quats * b.quats).sum(1, keepdim=True).sign()
    pairs = [(a.means, b.means), (a.quats * signs, b.quats), (a.scales, b.scales), (a.opacities, b.opacities)]
    return all(torch.allclose(x, y, atol=2e-6) for x, y in [*pairs, (a.sh, b.sh)])


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 30), st.integers(0, 3), st.integers(0, 10**6))
def test_round_trip(tmp_path_factory, writers, count, degree, seed):
    scene = writers.scene(count, degree, seed)
    again = open_parts(tmp_path_factory.getbasetemp(), writers, *writers.gltf(scene))
    assert torch.equal(again.means, scene.means) and torch.equal(again.scales, scene.scales)
    assert torch.equal(again.sh[:, 0], scene.sh[:, 0]) and same(again, scene)


def test_nodes_move_splats_as_transform_does(tmp_path, writers, similarity):
    scene = writers.scene(20, 3)
    document, binary = writers.gltf(scene)
    still = open_parts(tmp_path, writers, document, binary)
    outer, inner = similarity(1.7, 77), similarity(0.4, -30)
    document["scenes"] = [{"nodes": [1]}]
    document["nodes"] += [
        {"children": [2], "matrix": outer.T.flatten().tolist()},
        {"matrix": inner.T.flatten().tolist()},
    ]
    document["nodes"][2]["mesh"] = 0
    moved = open_parts(tmp_path, writers, document, binary)
    expected = still.transform(PLY_FROM_GLTF @ outer @ inner @ PLY_FROM_GLTF)
    assert torch.allclose(moved.means, expected.means, atol=1e-4)
    assert torch.allclose(moved.scales, expected.scales, rtol=1e-4)
    assert torch.allclose(moved.sh, expected.sh, atol=1e-5)


def test_translation_rotation_and_scale_are_applied_in_the_order_of_the_specification(tmp_path, writers, parts):
    document, binary = parts
    half = math.sqrt(0.5)
    node = {"mesh": 0, "translation": [1, 2, 3], "rotation": [half, 0, 0, half], "scale": [2, 2, 2]}
    still = open_parts(tmp_path, writers, document, binary)
    document["nodes"] = [node]
    moved = open_parts(tmp_path, writers, document, binary)
    x, y, z = (still.means * torch.tensor([-1.0, -1.0, 1.0])).T  # back in glTF's axes
    expected = torch.stack([1 + 2 * x, 2 - 2 * z, 3 + 2 * y], dim=1)  # scaled, a quarter turn about x, shifted
    assert torch.allclose(moved.means, expected * torch.tensor([-1.0, -1.0, 1.0]), atol=1e-5)
    assert torch.allclose(moved.scales, 2 * still.scales)


def test_a_mesh_shown_twice_and_meshes_beside_it(tmp_path, writers, parts):
    document, binary = parts
    document["meshes"].append({"primitives": [{"attributes": {"POSITION": 0}}]})
    document["nodes"] += [{"mesh": 0, "translation": [5, 0, 0]}, {"mesh": 1}, {"mesh": 0}]
    document["scenes"][0]["nodes"] = [0, 1, 2]  # node 3 is in no scene
    gaussians = open_parts(tmp_path, writers, document, binary)
    assert len(gaussians) == 40
    assert torch.allclose(gaussians.means[20:] - gaussians.means[:20], torch.tensor([-5.0, 0, 0]), atol=1e-5)


def test_components_of_fewer_bytes(tmp_path, writers):
    scene = writers.scene(30)
    document, binary = writers.gltf(scene)

    def store(name, values, number, normalized):
        nonlocal binary
        accessor = document["accessors"][document["meshes"][0]["primitives"][0]["attributes"][f"{KHR}:{name}"]]
        accessor |= {"componentType": number, "normalized": normalized, "bufferView": len(document["bufferViews"])}
        stride = -(-values[0].nbytes // 4) * 4
        rows = np.zeros((len(values), stride), np.uint8)
        rows[:, : values[0].nbytes] = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)
        document["bufferViews"].append(
            {"buffer": 0, "byteOffset": len(binary), "byteLength": rows.size, "byteStride": stride}
        )
        binary += rows.tobytes()
        document["buffers"][0]["byteLength"] = len(binary)

    turned = scene.transform(PLY_FROM_GLTF)
    store("ROTATION", np.round(turned.quats.roll(-1, 1).numpy() * 32767).astype(np.int16), 5122, True)
    store("OPACITY", np.round(scene.opacities.numpy()[:, None] * 255).astype(np.uint8), 5121, True)
    store("SCALE", np.full((30, 3), 3, np.uint8), 5121, False)
    again = open_parts(tmp_path, writers, document, binary)
    signs = (again.quats * scene.quats).sum(1, keepdim=True).sign()
    assert (again.quats * signs - scene.quats).abs().max() < 1e-4
    assert (again.opacities - scene.opacities).abs().max() < 0.51 / 255
    assert torch.equal(again.scales, torch.full((30, 3), 3.0)) and torch.equal(again.means, scene.means)


def write_gltf(folder, document, uri):
    document["buffers"][0]["uri"] = uri
    (folder / "scene.gltf").write_text(json.dumps(document))
    return folder / "scene.gltf"


def test_buffers_in_the_same_folder_or_below_and_in_data_uris(tmp_path, writers, parts):
    document, binary = parts
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "the data.bin").write_bytes(binary)
    (tmp_path / "link.bin").symlink_to(tmp_path / "sub" / "the data.bin")
    expected = open_parts(tmp_path, writers, document, binary)
    data = "data:application/octet-stream;base64," + base64.b64encode(binary).decode()
    for uri in ["sub/the%20data.bin", "./sub/the data.bin", "link.bin", data]:
        again = load(write_gltf(tmp_path, document, uri))
        assert torch.equal(again.means, expected.means) and torch.equal(again.sh, expected.sh), uri


@pytest.mark.parametrize(
    "uri",
    [
        "../secret.bin",
        "%2e%2e/secret.bin",
        "sub/../../secret.bin",
        "/etc/passwd",
        "file:///etc/passwd",
        "..\\secret.bin",
    ]
    + ["http://127.0.0.1/a.bin", "out.bin", "out/secret.bin", "a%00b", "loop.bin", "fifo.bin", "sub", ".", "none.bin"]
    + ["x" * 5000, "\ud800", "C:/a.bin", "sub/small.bin", "data:,abc", "data:;base64,!!!!", "data:;base64,AAAA"],
)
def test_no_buffer_is_opened_elsewhere(tmp_path, parts, uri):
    import os

    document, binary = parts
    (tmp_path / "secret.bin").write_bytes(binary)
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "small.bin").write_bytes(binary[:-1])
    (folder / "out.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "out").symlink_to(tmp_path)
    (folder / "loop.bin").symlink_to(folder / "loop.bin")
    os.mkfifo(folder / "fifo.bin")
    with pytest.raises(FormatError, match=r"scene\.gltf: expected .*; got .*; .+\.$"):
        load(write_gltf(folder, document, uri))


def test_a_draft_of_the_extension_is_refused_as_such(shared_data):
    with pytest.raises(FormatError, match="early draft of the extension"):
        load(shared_data("splats") / "splat_transform_fixtures/cesium_synthetic_khr_draft.gltf")


def primitive(document):
    return document["meshes"][0]["primitives"][0]


def kinds(document):
    return primitive(document)["extensions"][KHR]


def put(place, key, value, document):
    place(document)[key] = value


def node(document):
    return document["nodes"][0]


def drop(name, document):
    del primitive(document)["attributes"][f"{KHR}:{name}"]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (partial(put, kinds, "kernel", "cube"), "kernel 'ellipse'; got 'cube'"),
        (partial(put, kinds, "colorSpace", "lin_rec709_display"), "colorSpace 'srgb_rec709_display'"),
        (partial(put, kinds, "projection", "orthographic"), "projection 'perspective'"),
        (partial(put, kinds, "extensions", {f"{KHR}_compression_spz_2": {}}), "without compression"),
        (partial(put, primitive, "mode", 4), "mode 0; got mode 4"),
        (partial(put, primitive, "extensions", {}), f"a mesh primitive with {KHR}"),
        (partial(put, node, "scale", [1, 1, 2]), "evenly; got .*not orthogonal"),
        (partial(put, node, "scale", [1, 1, -1]), "evenly; got .*determinant"),
        (partial(put, node, "scale", [0, 0, 0]), "evenly; got .*determinant"),
        (partial(drop, "OPACITY"), "none called KHR_gaussian_splatting:OPACITY"),
        (partial(drop, "SH_DEGREE_1_COEF_1"), "all SH coefficients up to degree 1; got 3 of 4"),
        (lambda d: d.update(extensionsRequired=["KHR_draco"]), "no required extension"),
        (lambda d: d["accessors"][0].update(sparse={}), "POSITION in a buffer view"),
        (lambda d: d["accessors"][2].update(componentType=5122), "SCALE as VEC3"),
        (lambda d: d["accessors"][3].update(count=19), "as many values in each attribute; got 19 to 20"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(tmp_path, writers, parts, change, match):
    document, binary = parts
    change(document)
    with pytest.raises(FormatError, match=match):
        open_parts(tmp_path, writers, document, binary)
