import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from hybridwm.cli import main
from hybridwm.worlds.collection import walk_rooms
from hybridwm.worlds.lerobot import DatasetWriter, encode, open_dataset
from hybridwm.worlds.rooms import RoomsRig
from render.images import write_png
from render.video import write_mp4


@pytest.fixture(scope="module")
def walks():
    return walk_rooms([3, 4], 40, RoomsRig(size=48))


@pytest.fixture
def dataset(walks, tmp_path):
    writer = DatasetWriter(tmp_path / "dataset")
    for walk in walks:
        writer.add(encode(walk))
    return tmp_path / "dataset"


def plain(folder, walk, *, rows=slice(None), cameras=True):
    """A walk as people keep theirs: images, a table, poses and K."""
    for i, image in enumerate(walk.rgb):
        write_png(folder / "images" / f"{i}.png", image)
    names = ",".join(walk.action_names)
    np.savetxt(folder / "actions.csv", walk.actions[rows].numpy(), delimiter=",", header=names, comments="", fmt="%.9g")
    if cameras:
        c2w = torch.linalg.inv(walk.w2c.double())
        np.savetxt(folder / "poses.txt", c2w.reshape(len(walk), 16).numpy())
        half = torch.tensor([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])  # of this file the first pixel's centre is (0, 0)
        np.savetxt(folder / "K.txt", (walk.K - half).numpy())
    return folder


def converted(tmp_path, source, *more):
    assert main(["convert", str(source), str(tmp_path / "out"), *map(str, more)]) == 0
    return open_dataset(tmp_path / "out")


def test_a_dataset_at_another_size_keeps_all_but_the_images(dataset, walks, tmp_path, capsys):
    read = converted(tmp_path, dataset, "--size", "24x16").episode(1)
    assert "actions and frames: lag 0 by cameras" in capsys.readouterr().out
    assert read.rgb.shape == (40, 16, 24, 3)
    assert torch.equal(read.actions, walks[1].actions)
    assert torch.equal(read.w2c, walks[1].w2c)
    # 48x48 is cut to 48x32 and halved: a pixel is the mean of four, a depth one of them, K follows
    four = walks[1].rgb[5, 8:40].float().reshape(16, 2, 24, 2, 3).mean((1, 3))
    assert (read.rgb[5].float() - four).abs().max() <= 1
    assert read.K[0, 0] == pytest.approx(float(walks[1].K[0, 0]) / 2)
    assert read.K[1, 2] == pytest.approx((float(walks[1].K[1, 2]) - 8) / 2)
    assert set(read.depth.flatten().tolist()) <= set(walks[1].depth.flatten().tolist())
    assert read.baseline == walks[1].baseline


def test_a_dataset_converted_as_it_is_is_the_same(dataset, tmp_path):
    read = converted(tmp_path, dataset)
    for name in ("data/chunk-000/file-001.parquet", "meta/stats.json", "meta/info.json"):
        assert (tmp_path / "out" / name).read_bytes() == (dataset / name).read_bytes()
    assert len(read) == 2
    written = (tmp_path / "out" / "data/chunk-000/file-000.parquet").stat().st_mtime_ns
    assert len(converted(tmp_path, dataset)) == 2  # and again: nothing is left to do
    assert (tmp_path / "out" / "data/chunk-000/file-000.parquet").stat().st_mtime_ns == written


def test_shards_join_in_the_order_of_their_seeds(walks, tmp_path):
    for shard, walk in enumerate(reversed(walks)):
        DatasetWriter(tmp_path / "runs" / f"shard-{shard}-of-2").add(encode(walk))
    read = converted(tmp_path, tmp_path / "runs")
    assert [episode.seed for episode in read.episodes()] == [3, 4]


def test_plain_folders_with_cameras(walks, tmp_path, capsys):
    for i, walk in enumerate(walks):
        plain(tmp_path / "mine" / f"walk-{i + 9}", walk)  # walk-9 before walk-10
    read = converted(tmp_path, tmp_path / "mine", "--fps", "7.5", "--task", "walk about")
    assert "lag 0 by cameras" in capsys.readouterr().out
    for one, walk in zip(read.episodes(), walks, strict=True):
        assert torch.equal(one.rgb, walk.rgb)
        assert torch.equal(one.actions, walk.actions)
        assert one.action_names == walk.action_names
        assert torch.allclose(one.w2c, walk.w2c, atol=1e-5)
        assert torch.allclose(one.K, walk.K)
        assert (one.fps, one.task) == (7.5, "walk about")


def test_a_video_beside_its_actions(walks, tmp_path, capsys):
    (tmp_path / "films").mkdir()
    write_mp4(tmp_path / "films" / "walk.mp4", walks[0].rgb, fps=8)
    np.save(tmp_path / "films" / "walk.npy", walks[0].actions.numpy().astype(np.float64))
    read = converted(tmp_path, tmp_path / "films" / "walk.mp4").episode(0)
    assert "by images" in capsys.readouterr().out
    assert torch.equal(read.actions, walks[0].actions)
    assert read.action_names == ("walk_0", "walk_1", "walk_2", "walk_3")
    assert read.w2c is None
    assert read.fps == 8
    assert (read.rgb.float() - walks[0].rgb.float()).abs().mean() < 8


def test_a_table_that_is_off_by_one_is_refused_and_shift_mends_it(walks, tmp_path, capsys):
    late = replace(walks[0], actions=walks[0].actions.roll(1, 0))
    plain(tmp_path / "late", late)
    given = ["convert", str(tmp_path / "late"), str(tmp_path / "out")]
    assert main(given) == 2
    said = capsys.readouterr().err
    assert "expected each action beside the frame" in said
    assert "--shift=-1" in said
    assert not (tmp_path / "out").exists()
    assert main([*given, "--shift=-1"]) == 0
    read = open_dataset(tmp_path / "out").episode(0)
    assert torch.equal(read.actions, walks[0].actions[:-1])
    assert torch.equal(read.rgb, walks[0].rgb[:-1])
    assert main([*given[:2], str(tmp_path / "as-is"), "--alignment", "report"]) == 0
    assert json.loads((tmp_path / "as-is" / "summary.json").read_text())["lag"] == -1


def test_a_damaged_episode_is_named_and_left_out_only_when_asked(dataset, tmp_path, capsys):
    file = dataset / "data/chunk-000/file-000.parquet"
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    given = ["convert", str(dataset), str(tmp_path / "out"), "--alignment", "off"]
    assert main(given) == 2
    assert f"{file}: expected a parquet table" in capsys.readouterr().err
    assert main([*given, "--skip-bad"]) == 0
    said = capsys.readouterr()
    assert f"skipped: {file}" in said.err
    assert "1 skipped" in said.out
    assert [episode.seed for episode in open_dataset(tmp_path / "out").episodes()] == [4]
    assert list(json.loads((tmp_path / "out" / "summary.json").read_text())["skipped"]) == ["0"]


@pytest.mark.parametrize(
    ("rows", "content", "words"),
    [
        (slice(0, 20), None, "expected 39 rows, one for each step between 40 frames, or 40; got 20"),
        (slice(None), "a,b\n1,2\n3\n", "as many numbers in each row; got 1 in row 3"),
        (slice(None), "1,2\n3,nan\n", "finite numbers"),
        (slice(None), "1,2\n3,x\n", "numbers in row 2"),
        (slice(None), "a,b\n", "rows of numbers; got none"),
    ],
)
def test_tables_that_do_not_fit(walks, tmp_path, capsys, rows, content, words):
    folder = plain(tmp_path / "bad", walks[0], rows=rows, cameras=False)
    if content is not None:
        (folder / "actions.csv").write_text(content)
    assert main(["convert", str(folder), str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "actions.csv" in said


def test_an_array_that_lies_about_its_length(walks, tmp_path, capsys):
    folder = plain(tmp_path / "bad", walks[0], cameras=False)
    (folder / "actions.csv").unlink()
    np.save(folder / "actions.npy", np.zeros((39, 2), np.float32))
    content = (folder / "actions.npy").read_bytes()
    (folder / "actions.npy").write_bytes(content.replace(b"(39, 2)", b"(3999999999, 2)"))
    assert main(["convert", str(folder), str(tmp_path / "out")]) == 2
    assert "actions.npy: expected" in capsys.readouterr().err


def test_nothing_to_convert_says_what_was_looked_for(tmp_path, capsys):
    assert main(["convert", str(tmp_path / "none"), str(tmp_path / "out")]) == 2
    assert "found none" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["convert", str(tmp_path / "empty"), str(tmp_path / "out")]) == 2
    assert "actions.csv, actions.npy, actions.parquet" in capsys.readouterr().err
    assert main(["convert", "a", "b", "--size", "4"]) == 2
    assert "expected a size as 64 or 96x64" in capsys.readouterr().err
