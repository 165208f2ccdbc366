import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from made_episodes import BARE, differences, episode

from hybridwm.worlds.lerobot import DatasetWriter, encode, open_dataset
from hybridwm.worlds.lerobot import writer as writer_module
from render import FormatError

ROWS = 4


def written(root, episodes, images="png"):
    writer = DatasetWriter(root)
    for given in episodes:
        writer.add(encode(given, images))
    writer.close()
    return root


@pytest.mark.parametrize("images", ["png", "video"])
@pytest.mark.parametrize("changes", [{}, BARE, {"fps": None}, {"right": None, "baseline": None}])
def test_what_is_written_reads_back_equal_bit_for_bit(tmp_path, images, changes):
    given = [episode(0, **changes), episode(1, frames=2, **changes), episode(2, frames=1, **changes)]
    read = list(open_dataset(written(tmp_path, given, images)).episodes())
    assert [differences(a, b) for a, b in zip(given, read, strict=True)] == [[], [], []]


def test_one_bit_of_a_pixel_or_of_an_action_is_a_difference():
    given = episode()
    for name in ("rgb", "actions"):
        changed = getattr(given, name).clone()
        changed.view(torch.uint8).flatten()[0] ^= 1
        assert differences(given, episode(**{name: changed})) == [name]


def test_lossy_video_is_close_and_says_so(tmp_path):
    smooth = torch.linspace(0, 255, 32).to(torch.uint8)[None, None, :, None].expand(4, 16, 32, 3).contiguous()
    given = episode(height=16, width=32, rgb=smooth, right=smooth.flip(2), depth=torch.rand(4, 16, 32))
    root = written(tmp_path, [given], "lossy-video")
    read = open_dataset(root).episode(0)
    assert differences(given, read) == ["rgb", "right"]
    assert (given.rgb.float() - read.rgb.float()).abs().mean() < 4
    assert (given.rgb.float() - read.right.float()).abs().mean() > 20
    info = json.loads((root / "meta/info.json").read_text())["features"]["observation.images.rgb"]
    assert info["dtype"] == "video"
    assert info["info"]["video.pix_fmt"] == "yuv420p"


def test_the_action_after_a_frame_stands_beside_it_and_the_last_is_padding(tmp_path):
    given = episode()
    table = pq.read_table(written(tmp_path, [given]) / "data/chunk-000/file-000.parquet")
    rows = np.stack(table["action"].to_pylist())
    assert np.array_equal(rows[:-1].astype(np.float32), given.actions.numpy())
    assert not rows[-1].any()
    assert table["is_action_padding"].to_pylist() == [False, False, False, True]


def test_folders_columns_and_totals_are_those_of_the_layout(tmp_path):
    root = written(tmp_path, [episode(0), episode(1, frames=2), episode(2, frames=3)], "video")
    info = json.loads((root / "meta/info.json").read_text())
    assert info["codebase_version"] == "v3.0"
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (3, 9, 2)
    assert info["splits"] == {"train": "0:3"}
    data = [pq.read_table(root / info["data_path"].format(chunk_index=0, file_index=i)) for i in range(3)]
    assert pa.concat_tables(data)["index"].to_pylist() == list(range(9))
    assert data[1]["episode_index"].to_pylist() == [1, 1]
    assert data[2]["timestamp"].to_pylist() == pytest.approx([0, 4 / 35, 8 / 35])
    # every column is a declared feature, and every feature but videos a column: LeRobot's reader insists
    declared = {key for key, feature in info["features"].items() if feature["dtype"] != "video"}
    assert set(data[0].column_names) == declared
    rows = pq.read_table(root / "meta/episodes/chunk-000/file-000.parquet")
    assert rows["dataset_from_index"].to_pylist() == [0, 4, 6]
    assert rows["dataset_to_index"].to_pylist() == [4, 6, 9]
    assert rows["videos/observation.images.right/file_index"].to_pylist() == [0, 1, 2]
    tasks = pq.read_table(root / "meta/tasks.parquet")
    assert tasks["task"].to_pylist() == ["task 0", "task 1"]
    assert b'"index_columns": ["task"]' in tasks.schema.metadata[b"pandas"]


def test_statistics_are_those_of_all_frames_together(tmp_path):
    given = [episode(0), episode(1, frames=7)]
    stats = json.loads((written(tmp_path, given) / "meta/stats.json").read_text())
    colours = torch.cat([one.rgb for one in given]).double() / 255
    found = torch.tensor(stats["observation.images.rgb"]["mean"]).flatten()
    assert found.tolist() == pytest.approx(colours.mean((0, 1, 2)).tolist(), rel=1e-6)
    actions = torch.cat([one.actions for one in given]).double()  # without the padding
    assert stats["action"]["std"] == pytest.approx(actions.std(0, correction=0).tolist())
    assert stats["action"]["max"] == pytest.approx(actions.amax(0).tolist())
    assert np.shape(stats["observation.depth"]["min"]) == (1, 1, 1)


def test_a_folder_taken_over_ends_in_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(writer_module, "ROWS", ROWS)
    given = [encode(episode(i, frames=2, height=4, width=4)) for i in range(ROWS + 3)]
    straight, stopped = DatasetWriter(tmp_path / "a"), tmp_path / "b"
    for one in given:
        straight.add(one)
    for first, last in ((0, 1), (1, ROWS), (ROWS, ROWS + 3)):
        writer = DatasetWriter(stopped)
        assert len(writer) == first
        for one in given[first:last]:
            writer.add(one)
    files = [file.relative_to(tmp_path / "a") for file in (tmp_path / "a").rglob("*.*") if file.is_file()]
    assert len(files) == len(given) + 6
    assert [name for name in files if (tmp_path / "a" / name).read_bytes() != (stopped / name).read_bytes()] == []


@pytest.mark.parametrize("images", ["png", "video"])
def test_any_flipped_bit_is_an_error_that_names_the_file(tmp_path, images):
    given = episode()
    root = written(tmp_path, [given], images)
    chance = np.random.default_rng(0)
    found = 0
    for file in [*root.rglob("data/*/*.parquet"), *root.rglob("*.mp4")]:
        content = file.read_bytes()
        for at in chance.integers(4, len(content) - 4, 40):
            flipped = bytearray(content)
            flipped[at] ^= 1 << int(chance.integers(8))
            file.write_bytes(flipped)
            try:
                assert differences(open_dataset(root).episode(0), given) == []  # in what nobody reads
            except FormatError as error:
                assert str(file) in str(error)
                found += 1
        file.write_bytes(content)
    assert found > 10


def test_an_episode_unlike_the_others_is_refused(tmp_path):
    writer = DatasetWriter(tmp_path)
    writer.add(encode(episode()))
    with pytest.raises(ValueError, match=r"rgb: image \[6, 10, 3\]\); got image \[8, 10, 3\]"):
        writer.add(encode(episode(height=8)))
    with pytest.raises(ValueError, match=r"fps: 8.75\); got 10.0"):
        writer.add(encode(episode(fps=10.0)))
    assert len(open_dataset(tmp_path)) == 1
    with pytest.raises(ValueError, match="expected what was begun there"):
        DatasetWriter(tmp_path, {"world": "other"})


def test_what_would_not_come_back_is_refused():
    with pytest.raises(ValueError, match="Episode.proprio: expected at least one number"):
        encode(episode(proprio=torch.zeros(4, 0), proprio_names=()))
    with pytest.raises(ValueError, match="finite float32.*got NaN"):
        encode(episode(touch=torch.full((4, 1), torch.nan)))
    with pytest.raises(ValueError, match="finite float32.*got torch.float64"):
        encode(episode(actions=torch.zeros(3, 2, dtype=torch.float64)))
    with pytest.raises(ValueError, match="needs even sizes; got 9 x 6"):
        encode(episode(width=9), "lossy-video")
