"""`hybridwm reconstruct` on a recorded sequence: a room, filmed, with its cameras in a transforms.json."""

import json

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

import recon
from hybridwm.cli import main
from hybridwm.worlds.rooms import RoomsRig, make_room, raycast, stack_rooms, walk
from render.conventions import opengl_c2w_from_w2c
from render.images import to_uint8, write_png


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Twelve views of 96 x 96 along a walk, and one that is listed and missing."""
    folder = tmp_path_factory.mktemp("recording")
    rig = RoomsRig(size=96)
    rooms = stack_rooms([make_room(11)], torch.device("cpu"))
    path = walk(rooms, 12, seed=4)
    frames = []
    for i in range(12):
        camera = rig.camera(path.w2c[0, i])
        seen = raycast(rooms, rig.camera(path.w2c[:1, i : i + 1]))
        write_png(folder / f"{i:03d}.png", to_uint8(seen.rgb[0, 0]))
        frames.append({"file_path": f"{i:03d}.png", "transform_matrix": opengl_c2w_from_w2c(camera.w2c).tolist()})
    frames.append({"file_path": "999.png", "transform_matrix": torch.eye(4).tolist()})
    K = rig.camera(path.w2c[0, 0]).K
    calibration = {"fl_x": K[0, 0], "fl_y": K[1, 1], "cx": K[0, 2], "cy": K[1, 2], "w": 96, "h": 96}
    content = {name: float(value) for name, value in calibration.items()} | {"frames": frames}
    (folder / "transforms.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def run_folder(recording, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "sequence"
    options = ["--held-out", "4", "--refine", "20", "--frames", "3", "--width", "64", "--mesh"]
    assert main(["reconstruct", str(recording), "--out", str(out), *options]) == 0
    return out


def test_a_folder_with_cameras_becomes_a_scene_and_a_page(run_folder):
    summary = json.loads((run_folder / "summary.json").read_text())
    assert (summary["kind"], summary["depth"], summary["views"]) == ("transforms", "multiview", 9)
    assert summary["missing"] == ["999.png"] and "999.png" in " ".join(summary["notes"])
    scene = recon.load_scene(run_folder / "scene")
    assert len(scene) == summary["gaussians"] > 1000
    assert summary["quality"]["views"] == 3 and summary["quality"]["psnr"] > 12
    assert {"read", "depth", "fuse", "refine"} <= set(summary["seconds"])
    page = (run_folder / "report.html").read_text()
    assert "listed images are missing" in page and "data:video/mp4" in page and "data:image/png" in page
    assert "http://" not in page and "https://" not in page


def test_depth_of_every_view_is_in_files_that_others_read(run_folder):
    listed = json.loads((run_folder / "depth" / "depth.json").read_text())
    assert len(listed["files"]) == 9 and listed["metres_per_step"] == 1e-3
    rooms, path = stack_rooms([make_room(11)], torch.device("cpu")), walk(stack_rooms([make_room(11)]), 12, seed=4)
    rig, right, measured = RoomsRig(size=96), 0, 0
    for name, i in zip(listed["files"], [i for i in range(12) if i % 4 != 2], strict=True):
        depth = np.asarray(Image.open(run_folder / "depth" / name))
        assert depth.dtype == np.uint16 and depth.shape == (96, 96)
        confidence = np.asarray(Image.open(run_folder / "confidence" / name))
        assert ((confidence > 0) >= (depth > 0)).mean() > 0.99
        truth = raycast(rooms, rig.camera(path.w2c[:1, i : i + 1])).depth[0, 0].numpy()
        known = depth > 0
        right += (abs(depth[known] * 1e-3 / truth[known] - 1) < 0.1).sum()
        measured += known.sum()
    assert measured > 10_000 and right > 0.6 * measured


def test_the_mesh_has_convex_parts_for_simulators(run_folder):
    mesh, parts = (trimesh.load_scene(run_folder / f"{name}.glb") for name in ("mesh", "collision"))
    assert len(parts.geometry) >= 4 and all(part.is_convex for part in parts.geometry.values())
    (low, high), (lowest, highest) = mesh.bounds, parts.bounds
    assert (abs(low - lowest) < 0.2).all() and (abs(high - highest) < 0.2).all()
    notes = " ".join(json.loads((run_folder / "summary.json").read_text())["notes"])
    assert "convex parts" in notes


def test_cameras_come_out_as_they_went_in(recording, run_folder):
    cameras = recon.load_cameras(run_folder / "scene")
    listed = json.loads((recording / "transforms.json").read_text())["frames"]
    kept = [i for i in range(12) if i % 4 != 2]
    assert len(cameras) == len(kept)
    for camera, i in zip(cameras.w2c, kept, strict=True):
        expected = torch.tensor(listed[i]["transform_matrix"])
        assert torch.allclose(opengl_c2w_from_w2c(camera), expected, atol=1e-5)


def test_images_without_cameras_are_refused_by_what_is_missing(recording, tmp_path, capsys):
    plain = tmp_path / "plain"
    plain.mkdir()
    for file in recording.glob("*.png"):
        (plain / file.name).write_bytes(file.read_bytes())
    assert main(["reconstruct", str(plain), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "--cameras estimate" in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_named(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("nothing")
    assert main(["reconstruct", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert str(tmp_path) in capsys.readouterr().err
