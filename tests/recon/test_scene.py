import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from recon.box import Box
from recon.scene import GaussianScene, load_cameras, load_scene, save_scene
from render.camera import Camera
from render.formats import FormatError
from render.gaussians import Gaussians
from render.rasterize import rasterize
from render.transforms import matrix_from_quats


def make_scene(count=40):
    generator = torch.Generator().manual_seed(2)

    def uniform(*shape):
        return torch.rand(*shape, generator=generator)

    gaussians = Gaussians(
        means=torch.cat([uniform(count, 2) - 0.5, 1 + uniform(count, 1)], 1),
        quats=torch.nn.functional.normalize(uniform(count, 4) - 0.5, dim=1),
        scales=0.01 + 0.05 * uniform(count, 3),
        opacities=0.1 + 0.8 * uniform(count),
        sh=uniform(count, 1, 3) - 0.5,
    )
    return GaussianScene(
        gaussians,
        observed=uniform(count) > 0.4,
        step=torch.arange(count, dtype=torch.int32),
        confirmations=torch.arange(count, dtype=torch.int32) % 5,
        confidence=uniform(count),
        direction=torch.nn.functional.normalize(uniform(count, 3), dim=1),
    )


CAMERA = Camera.from_fov(40, 30, 60.0)


def test_round_trip(tmp_path):
    scene = make_scene()
    cameras = Camera.stack([CAMERA, CAMERA.moved_right(0.2)])
    save_scene(scene, tmp_path / "scene", cameras)
    assert {path.name for path in (tmp_path / "scene").iterdir()} == {
        "scene.ply",
        "provenance.safetensors",
        "cameras.json",
    }
    loaded = load_scene(tmp_path / "scene")
    for name in ("observed", "step", "confirmations", "confidence", "direction"):
        assert torch.equal(getattr(loaded, name), getattr(scene, name))
    before, after = (rasterize(s.gaussians, CAMERA).rgb for s in (scene, loaded))
    assert (before - after).abs().max() < 1 / 255
    read = load_cameras(tmp_path / "scene")
    assert torch.equal(read.K, cameras.K) and torch.equal(read.w2c, cameras.w2c)
    assert (read.width, read.height) == (40, 30)


def test_an_empty_scene_round_trips(tmp_path):
    save_scene(GaussianScene.empty(), tmp_path / "scene")
    assert len(load_scene(tmp_path / "scene")) == 0
    assert load_cameras(tmp_path / "scene") is None


def test_saving_replaces_as_a_whole(tmp_path):
    save_scene(make_scene(40), tmp_path / "scene")
    save_scene(make_scene(7), tmp_path / "scene")
    assert len(load_scene(tmp_path / "scene")) == 7
    assert [path.name for path in tmp_path.iterdir()] == ["scene"]


def test_a_failed_save_leaves_the_old_scene(tmp_path):
    scene = make_scene()
    save_scene(scene, tmp_path / "scene")
    broken = replace(scene.gaussians, means=torch.full_like(scene.gaussians.means, torch.nan))
    with pytest.raises(ValueError):
        save_scene(replace(scene, gaussians=broken), tmp_path / "scene")
    assert len(load_scene(tmp_path / "scene")) == 40
    assert [path.name for path in tmp_path.iterdir()] == ["scene"]


def test_selection_keeps_the_order():
    scene = make_scene()
    seen, dreamt = scene.select(observed=True), scene.select(observed=False)
    assert seen.observed.all() and not dreamt.observed.any()
    assert len(seen) + len(dreamt) == len(scene)
    assert torch.equal(seen.step, scene.step[scene.observed])
    assert torch.equal(scene[3:9].step, scene.step[3:9])
    assert torch.equal(scene[torch.tensor([4, 2])].gaussians.means, scene.gaussians.means[[4, 2]])


@pytest.mark.parametrize("seed", range(30))
def test_exchanging_equals_choosing_and_joining_in_another_order(seed):
    generator = torch.Generator().manual_seed(seed)
    scene, added = make_scene(40), replace(make_scene(int(torch.randint(0, 30, (), generator=generator))))
    added = replace(added, step=added.step + 100)
    gone = (torch.rand(40, generator=generator) < torch.rand((), generator=generator)).nonzero().squeeze(1)
    before = scene.gaussians.means.clone()
    got = scene.exchanged(gone, added)
    kept = torch.ones(40, dtype=torch.bool)
    kept[gone] = False
    expected = GaussianScene.cat([scene[kept], added])
    # The steps are all different: each Gaussian is found again by its own, with everything that belongs to it.
    got, expected = got[got.step.argsort()], expected[expected.step.argsort()]
    assert torch.equal(got.step, expected.step) and torch.equal(got.observed, expected.observed)
    for name in ("means", "quats", "scales", "opacities", "sh"):
        assert torch.equal(getattr(got.gaussians, name), getattr(expected.gaussians, name)), name
    for name in ("confirmations", "confidence", "direction"):
        assert torch.equal(getattr(got, name), getattr(expected, name)), name
    assert torch.equal(scene.gaussians.means, before)


def test_the_observed_share_rides_along():
    scene = make_scene()
    features = scene.with_observed_share().features
    assert torch.equal(features[:, 0] > 0.5, scene.observed)
    assert scene.gaussians.features is None


def test_counts_must_agree(unchecked):
    scene = make_scene()
    with pytest.raises(ValueError, match=r"GaussianScene.step must be \[40\].*got \[39\]"):
        replace(scene, step=scene.step[:-1])


HOSTILE = {
    "fewer": lambda tensors: {name: value[:-1] for name, value in tensors.items()},
    "missing": lambda tensors: {name: value for name, value in tensors.items() if name != "observed"},
    "more names": lambda tensors: tensors | {"extra": torch.zeros(1)},
    "nan": lambda tensors: tensors | {"confidence": torch.full((40,), torch.nan)},
    "too sure": lambda tensors: tensors | {"confidence": torch.full((40,), 1.5)},
    "negative": lambda tensors: tensors | {"confirmations": torch.full((40,), -1, dtype=torch.int32)},
    "wrong type": lambda tensors: tensors | {"step": torch.zeros(40)},
    "wrong shape": lambda tensors: tensors | {"direction": torch.zeros(40, 2)},
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_provenance_is_refused(tmp_path, case):
    from safetensors.torch import load_file

    save_scene(make_scene(), tmp_path / "scene")
    path = tmp_path / "scene" / "provenance.safetensors"
    save_file(HOSTILE[case](load_file(path)), path)
    with pytest.raises(FormatError, match="provenance.safetensors: expected"):
        load_scene(tmp_path / "scene")


def test_truncated_and_foreign_provenance_is_refused(tmp_path):
    save_scene(make_scene(), tmp_path / "scene")
    path = tmp_path / "scene" / "provenance.safetensors"
    content = path.read_bytes()
    for damaged in (*(content[:cut] for cut in range(0, len(content), 97)), b"\xff" * 64, b"PK\x03\x04" * 9):
        path.write_bytes(damaged)
        with pytest.raises(FormatError):
            load_scene(tmp_path / "scene")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"cameras": 3}',
        '{"cameras": [{"K": 1}]}',
        "[" * 100_000,
        json.dumps({"cameras": [{"K": [[1e400] * 3] * 3, "w2c": [[0] * 4] * 4, "width": 1, "height": 1}]}),
        json.dumps({"cameras": [{"K": [[1] * 3] * 3, "w2c": [[0] * 4] * 4, "width": -1, "height": 1}]}),
    ],
)
def test_hostile_cameras_are_refused(tmp_path, text):
    (tmp_path / "cameras.json").write_text(text)
    with pytest.raises(FormatError, match="cameras.json"):
        load_cameras(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="scene.ply is missing"):
        load_scene(tmp_path / "nowhere")


def test_a_box_is_deleted_and_stays_deleted(tmp_path):
    scene = make_scene()
    center, size = torch.tensor([0.1, 0.0, 1.5]), torch.tensor([0.4, 0.6, 0.5])
    inside = ((scene.gaussians.means - center).abs() <= size / 2).all(1)
    assert 0 < inside.sum() < len(scene)
    without = scene.delete(Box(center, size))
    assert torch.equal(without.step, scene.step[~inside]), "each Gaussian keeps its provenance"
    assert len(without.delete(Box(center, size))) == len(without) and len(scene) == 40
    save_scene(without, tmp_path / "scene")
    assert len(load_scene(tmp_path / "scene")) == len(without)


def test_an_oriented_box_deletes_what_it_holds_in_its_own_axes():
    scene = make_scene(400)
    turn = matrix_from_quats(torch.tensor([0.9, 0.2, -0.3, 0.1]))
    box = Box(torch.tensor([0.0, 0.1, 1.4]), torch.tensor([0.3, 0.9, 0.5]), turn)
    matrix = torch.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn * box.size, box.center
    held = ((scene.gaussians.means - box.center) @ turn).abs() <= box.size / 2
    assert torch.equal(scene.delete(box).step, scene.step[~held.all(1)])
    assert torch.equal(scene.delete(matrix).step, scene.delete(box).step)
    assert not torch.equal(scene.delete(Box(box.center, box.size)).step, scene.delete(box).step)


@pytest.mark.parametrize("size, rotation, message", [
    ([0.0, 1.0, 1.0], None, "above 0 metres"),
    ([1.0, float("nan"), 1.0], None, "finite"),
    ([1.0, 1.0, 1.0], [[2.0, 0, 0], [0, 1, 0], [0, 0, 1]], "expected a rotation"),
])  # fmt: skip
def test_boxes_that_are_none_are_refused(size, rotation, message):
    with pytest.raises(ValueError, match=message):
        Box(torch.zeros(3), torch.tensor(size), None if rotation is None else torch.tensor(rotation))


def test_a_transformed_scene_looks_the_same_from_the_transformed_camera():
    scene, generator = make_scene(), torch.Generator().manual_seed(5)
    sh = torch.cat([scene.gaussians.sh, 0.2 * torch.randn(40, 15, 3, generator=generator)], dim=1)
    scene = replace(scene, gaussians=replace(scene.gaussians, sh=sh))
    rotation, scale = matrix_from_quats(torch.tensor([0.8, -0.3, 0.4, 0.2])), 1.7
    b_from_a = torch.eye(4)
    b_from_a[:3, :3], b_from_a[:3, 3] = scale * rotation, torch.tensor([3.0, -1.0, 0.5])
    moved = scene.transform(b_from_a)
    w2c = torch.eye(4)
    w2c[:3, :3], w2c[:3, 3] = rotation.T, -rotation.T @ b_from_a[:3, 3]
    before, after = rasterize(scene.gaussians, CAMERA), rasterize(moved.gaussians, replace(CAMERA, w2c=w2c))
    assert (before.rgb - after.rgb).abs().max() < 2e-3
    assert torch.allclose(scale * before.depth, after.depth, atol=1e-3)
    assert torch.allclose(moved.direction, scene.direction @ rotation.T, atol=1e-6)
    assert torch.allclose(moved.direction.norm(dim=1), torch.ones(40), atol=1e-5)
    assert torch.equal(moved.step, scene.step) and torch.equal(moved.observed, scene.observed)
    back = moved.transform(torch.linalg.inv(b_from_a))
    assert torch.allclose(back.gaussians.means, scene.gaussians.means, atol=1e-5)
    assert torch.allclose(back.direction, scene.direction, atol=1e-5)


def test_bytes_each_are_what_the_tensors_hold():
    scene = make_scene()
    tensors = [*vars(scene.gaussians).values(), *(v for v in vars(scene).values() if isinstance(v, torch.Tensor))]
    assert 40 * scene.bytes_each == sum(t.untyped_storage().nbytes() for t in map(clone, tensors) if t is not None)


def clone(tensor):
    return None if tensor is None else tensor.clone()
