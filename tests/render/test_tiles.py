import json
import math
import os
import time
import zlib
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from hybridwm.bench.scenes import room_camera, room_splats
from render import Camera, FormatError, Gaussians, rasterize
from render.tile_index import NAME, checksum, tile_name
from render.tile_writer import morton_order
from render.tiles import TiledScene, write_tiles


def finest(scene):
    """The scene with every tile that is seen at level 0."""
    needed = scene.needed
    scene.needed = lambda *args, **kwargs: needed(*args, **kwargs).clamp(max=0)
    return scene


def numbered(gaussians):
    return replace(gaussians, features=torch.arange(len(gaussians), dtype=torch.float32)[:, None])


@pytest.fixture
def small(tmp_path, random_gaussians):
    """Some 60 tiles of a few splats, SH and two features."""
    write_tiles(random_gaussians(0, 400, sh_degree=1, features=2), tmp_path / "scene", tile_size=2.0, levels=3)
    return tmp_path / "scene"


def test_at_level_0_the_image_is_that_of_all_gaussians(tmp_path):
    room = numbered(room_splats(60_000, views=3))
    write_tiles(room, tmp_path / "room", tile_size=1.0)
    camera = room_camera(160, 120, 1.0)
    scene = finest(TiledScene.open(tmp_path / "room"))
    assert len(scene) == len(room)
    shown = scene.visible(camera)
    order = shown.features[:, 0].long()  # depths that are equal to the last bit are composited in order
    left_out = torch.ones(len(room), dtype=torch.bool)
    left_out[order] = False
    assert 0 < left_out.sum() < len(room)
    everything = rasterize(Gaussians.cat([room[order], room[left_out]]), camera, backend="cpu")
    image = rasterize(shown, camera, backend="cpu")
    assert (image.rgb - everything.rgb).abs().max() <= 1e-5 and (image.alpha - everything.alpha).abs().max() <= 1e-5
    assert torch.equal(shown.means, room.means[order]) and torch.equal(shown.sh, room.sh[order])


def test_no_tile_that_reaches_the_image_is_left_out(tmp_path, random_gaussians, camera):
    for seed in range(3):
        gaussians = numbered(random_gaussians(seed, 500, sh_degree=2, log_size=-2.0))
        write_tiles(gaussians, tmp_path / "scene", tile_size=0.7, levels=0)
        shown = TiledScene.open(tmp_path / "scene").visible(camera)
        assert len(shown) < len(gaussians)
        order = shown.features[:, 0].long().sort().values
        pictures = [rasterize(part, camera, backend="cpu").rgb for part in (gaussians, gaussians[order])]
        assert torch.equal(*pictures)


def test_farther_away_there_are_fewer_and_they_look_the_same(tmp_path):
    room = room_splats(60_000)
    write_tiles(room, tmp_path / "room", tile_size=1.0)
    scene = TiledScene.open(tmp_path / "room")
    near = room_camera(160, 120, 1.0)
    back = torch.eye(4)
    counts = []
    for metres in (0.0, 8.0, 32.0, 200.0):
        back[2, 3] = metres
        camera = replace(near, w2c=back @ near.w2c)
        shown = scene.visible(camera)
        counts.append(len(shown))
        images = [rasterize(part, camera, backend="cpu").rgb for part in (shown, room)]
        assert (images[0] - images[1]).square().mean() < 10**-2.5
    assert counts[1] < counts[0] / 2 and counts[2] < counts[1] / 3 and counts[3] < 2000
    assert len(scene.visible(camera, pixels=0.25)) > counts[3]
    batch = Camera.stack([near, camera])
    assert len(scene.visible(batch)) >= counts[0]  # the near camera's levels win
    assert torch.equal(scene.needed(batch), torch.maximum(scene.needed(near), scene.needed(batch)))


def test_an_iterator_writes_what_the_whole_scene_does(tmp_path, random_gaussians, camera):
    gaussians = random_gaussians(1, 900, sh_degree=1, features=1)
    write_tiles(gaussians, tmp_path / "whole", tile_size=2.0)
    write_tiles((gaussians[i : i + 100] for i in range(0, 900, 100)), tmp_path / "chunks", tile_size=2.0)
    names = sorted(os.listdir(tmp_path / "whole"))
    assert names == sorted(os.listdir(tmp_path / "chunks")) and NAME in names
    for name in names:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "chunks" / name).read_bytes()
    write_tiles(gaussians[:5], tmp_path / "whole", tile_size=1.0)  # replaces
    assert len(TiledScene.open(tmp_path / "whole")) == 5
    assert sorted(os.listdir(tmp_path)) == ["chunks", "whole"]


def test_too_many_are_refused_before_a_tile_is_read(small, camera):
    scene = TiledScene.open(small)
    for tile in range(len(scene.index)):
        (small / tile_name(tile)).unlink()
    with pytest.raises(ValueError, match=r"at most 100 visible Gaussians; got \d\d\d \(0 MB\) in \d+ of \d+ tiles"):
        scene.visible(camera, max_gaussians=100)


def test_what_is_at_hand_is_not_read_again(small, camera):
    scene = TiledScene.open(small)
    first = scene.visible(camera)
    assert scene.visible(camera.moved_right(1e-4)) is first
    moved = camera.moved_right(0.4)
    before, after = (set(enumerate(scene.needed(c).tolist())) for c in (camera, moved))
    assert before & after and before != after
    for tile, _ in {place for place in before & after if place[1] >= 0}:
        (small / tile_name(tile)).unlink()
    second = scene.visible(moved)
    assert second is not first
    away = replace(camera, w2c=torch.diag(torch.tensor([-1.0, 1, -1, 1])) @ camera.w2c)
    scene.visible(away)
    with pytest.raises(FormatError, match="No such file"):
        scene.visible(camera)


def test_the_value_does_not_depend_on_what_was_asked_for_before(small, camera):
    scene = TiledScene.open(small)
    for metres in (0.0, 0.3, 0.9, 0.5, 0.0):
        shown = scene.visible(camera.moved_right(metres), pixels=0.5)
        fresh = TiledScene.open(small).visible(camera.moved_right(metres), pixels=0.5)
        for name in ("means", "quats", "scales", "opacities", "sh", "features"):
            assert torch.equal(getattr(shown, name), getattr(fresh, name))


def test_edges_of_what_can_be_written(tmp_path, random_gaussians, camera):
    few = random_gaussians(0, 10)
    refused = [
        (few, {"tile_size": 0.0}, "tile_size must be a number of metres"),
        (few, {"tile_size": math.nan}, "tile_size must be a number of metres"),
        (few, {"tile_size": 1.0, "levels": -1}, "levels must lie in"),
        (few, {"tile_size": 1e-17}, "too small for a scene of this extent"),
        (Gaussians.empty(), {"tile_size": 1.0}, "needs Gaussians; got none"),
        ([], {"tile_size": 1.0}, "needs Gaussians; got none"),
        ([few, random_gaussians(0, 3, sh_degree=1)], {"tile_size": 1.0}, "equal SH coefficients and features"),
        ([few, random_gaussians(0, 3, features=1)], {"tile_size": 1.0}, "equal SH coefficients and features"),
        (replace(few, means=few.means / 0), {"tile_size": 1.0}, "means must be finite"),
        (replace(few, opacities=few.opacities + 1), {"tile_size": 1.0}, "opacities must lie in 0..1"),
    ]
    for gaussians, options, message in refused:
        with pytest.raises(ValueError, match=message):
            write_tiles(gaussians, tmp_path / "scene", **options)
        assert os.listdir(tmp_path) == []
    odd = replace(few, opacities=few.opacities.round(), scales=few.scales * 0, features=torch.zeros(10, 0))
    for gaussians in (few[:1], odd, Gaussians.cat([few[:1]] * 7)):
        write_tiles(gaussians, tmp_path / "scene", tile_size=0.5)
        scene = TiledScene.open(tmp_path / "scene")
        assert len(scene) == len(gaussians) and len(finest(scene).visible(camera)) <= len(gaussians)
    with pytest.raises(FileNotFoundError, match="index.json is missing"):
        TiledScene.open(tmp_path)


def test_too_many_tiles_are_refused(tmp_path, random_gaussians, monkeypatch):
    for name, message in (("MAX_TILES", "Choose a larger tile_size"), ("MAX_IN_TILE", "Choose a smaller tile_size")):
        with monkeypatch.context() as patch:
            patch.setattr(f"render.tile_writer.{name}", 5)
            with pytest.raises(ValueError, match=message):
                write_tiles(random_gaussians(0, 100), tmp_path / "scene", tile_size=2.0)
    assert os.listdir(tmp_path) == []


def test_morton_order_keeps_neighbours_together():
    axis = torch.arange(8.0)
    grid = torch.cartesian_prod(axis, axis, axis)
    ordered = grid[morton_order(grid, 1.0)].reshape(64, 8, 3)  # blocks of 2 x 2 x 2
    assert (ordered.amax(1) - ordered.amin(1) == 1).all()


def test_flipped_bits_are_found(small):
    generator = torch.Generator().manual_seed(0)
    TiledScene.open(small).verify()
    tiles = [tile_name(tile) for tile in range(3)]
    for name in [NAME] * 60 + tiles * 60:
        path = small / name
        good = path.read_bytes()
        bad = bytearray(good)
        bad[int(torch.randint(len(bad), (), generator=generator))] ^= 1 << int(
            torch.randint(8, (), generator=generator)
        )
        path.write_bytes(bad)
        with pytest.raises(FormatError, match=name):
            TiledScene.open(small).verify()
        path.write_bytes(good)


def test_truncated_files_are_found(small, camera):
    for name in (NAME, tile_name(0)):
        good = (small / name).read_bytes()
        for length in sorted({0, 1, 7, 8, 9, len(good) // 3, len(good) // 2, len(good) - 1}):
            (small / name).write_bytes(good[:length])
            with pytest.raises(FormatError, match=name):
                TiledScene.open(small)
        (small / name).write_bytes(good)
    scene = TiledScene.open(small)
    for tile in range(len(scene.index)):  # after it was opened
        os.truncate(small / tile_name(tile), 100)
    with pytest.raises(FormatError, match="100 bytes instead of"):
        scene.visible(camera)


def checked(text):
    """An index of this text, with the checksum that fits."""
    rest = text.removeprefix(b"{")
    return b'{"crc32": %d,\n' % zlib.crc32(rest) + rest


def read_json(folder):
    content = json.loads((folder / NAME).read_bytes())
    del content["crc32"]
    return content


HOSTILE = {
    "not json": b"\x00\xff",
    "deep": b"[" * 100_000,
    "as deep as it is read": lambda: (
        b'{"format": "hybridwm-tiles", "version": 1, "x":' + b"[" * 990 + b"]" * 990 + b"}"
    ),
    "empty lists": lambda: b"[" + b"[]," * 4_000_000 + b"[]]",
    "too long": lambda: b" " * 13_000_000,
    "a list": b"[]",
    "a number": b"7",
    "another format": {"format": "zip"},
    "another version": {"version": 2},
    "counts that are huge": {"counts": lambda v: [[2**39] * len(v[0])] * len(v)},
    "counts beyond int64": {"counts": lambda v: [[2**70] * len(v[0])] * len(v)},
    "counts below 1": {"counts": lambda v: [[0] * len(v[0])] * len(v)},
    "counts that overflow": {"counts": lambda v: [[2**62] * len(v[0])] * len(v)},
    "ragged counts": {"counts": lambda v: [v[0][:1], *v[1:]]},
    "text for counts": {"counts": "many"},
    "too few sizes": {"sizes": lambda v: v[:-1]},
    "objects for sizes": {"sizes": {"a": 1}},
    "a level more": {"cells": lambda v: [*v, 100.0]},
    "no cells": {"cells": []},
    "cells that shrink": {"cells": lambda v: [0, *v[:0:-1]]},
    "infinite cells": {"cells": lambda v: [*v[:-1], math.inf]},
    "bounds the wrong way": {"lowest": lambda v: [[1e9] * 3] * len(v)},
    "bounds that are not finite": {"highest": lambda v: [[math.nan] * 3] * len(v)},
    "other coefficients": {"coefficients": 5},
    "a list of coefficients": {"coefficients": [4]},
    "a fraction": {"coefficients": 4.0},
    "negative features": {"features": -1},
    "huge features": {"features": 2**40},
    "no tile size": {"tile_size": None},
    "negative tile size": {"tile_size": -1},
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_indices(case, small):
    change = HOSTILE[case]() if callable(HOSTILE[case]) else HOSTILE[case]
    if isinstance(change, dict):
        content = read_json(small)
        for key, value in change.items():
            content[key] = value(content[key]) if callable(value) else value
        change = checked(json.dumps(content).encode())
    (small / NAME).write_bytes(change)
    start = time.perf_counter()
    with pytest.raises(FormatError, match=NAME if "huge" not in case else "index.json|bytes"):
        TiledScene.open(small)
    assert time.perf_counter() - start < 2


def forge(folder, tile, change):
    """Changes the tensors of a tile and makes the index agree: what only a hostile writer does."""
    with safe_open(folder / tile_name(tile), "pt") as file:
        values = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    values = change(values)
    save_file(values, folder / tile_name(tile))
    content = read_json(folder)
    content["sizes"][tile] = (folder / tile_name(tile)).stat().st_size
    level = {name.removeprefix("0."): value for name, value in values.items() if name.startswith("0.")}
    content["checksums"][tile][0] = checksum(level)
    (folder / NAME).write_bytes(checked(json.dumps(content).encode()))


FORGED = {
    "NaN": lambda v: {**v, "0.means": v["0.means"] * math.nan},
    "opacities above 1": lambda v: {**v, "0.opacities": v["0.opacities"] + 1},
    "negative scales": lambda v: {**v, "0.scales": -v["0.scales"]},
    "a field less": lambda v: {k: w for k, w in v.items() if k != "0.quats"} | {"more": torch.zeros(9, 99)},
    "a row more": lambda v: {**v, "0.sh": torch.cat([v["0.sh"], v["0.sh"]])},
    "doubles": lambda v: {**v, "0.scales": v["0.scales"].double()},
    "integers": lambda v: {**v, "0.scales": v["0.scales"].view(torch.int32)},
}


@pytest.mark.parametrize("case", FORGED)
def test_forged_tiles(case, small, camera):
    forge(small, 2, lambda values: values)
    TiledScene.open(small).verify()
    forge(small, 2, FORGED[case])
    with pytest.raises(FormatError, match=tile_name(2)):
        TiledScene.open(small).verify()
