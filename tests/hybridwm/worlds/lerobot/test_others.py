"""Datasets as others write them: several episodes in a file, several in a video, other names, version 2.1."""

import json
from fractions import Fraction

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from hybridwm.worlds.lerobot import Keys, open_dataset
from render import FormatError

LENGTHS = (5, 3)
FPS = 10


def picture(number):
    """A frame that says its number: as many bright columns."""
    image = np.full((16, 32, 3), 20, np.uint8)
    image[:, : 2 * number] = 220
    return image


def number_of(image):
    return round(float((image.float().mean((0, 2)) > 120).sum()) / 2)


def write_video(path, frames):
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(FPS))
        stream.width, stream.height, stream.pix_fmt, stream.options = 32, 16, "yuv420p", {"g": "3"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def columns(first=0, lengths=LENGTHS):
    rows = [(e, t) for e, length in enumerate(lengths, first) for t in range(length)]
    n = len(rows)
    return {
        "observation.state": pa.array([[float(e), float(t)] for e, t in rows], pa.list_(pa.float64())),
        "action": pa.array([[10.0 * e + t, -1.0, 0.5] for e, t in rows], pa.list_(pa.float32())),
        "gripper": pa.array([t % 2 for _, t in rows], pa.int64()),
        "map": pa.array([[[e, t, 0.0], [1.0, 2.0, 3.0]] for e, t in rows], pa.list_(pa.list_(pa.float32()))),
        "timestamp": pa.array([t / FPS for _, t in rows], pa.float32()),
        "frame_index": pa.array([t for _, t in rows], pa.int64()),
        "episode_index": pa.array([e for e, _ in rows], pa.int64()),
        "index": pa.array(range(n), pa.int64()),
        "task_index": pa.array([1 - e for e, _ in rows], pa.int64()),
    }


FEATURES = {
    "observation.images.front": {"dtype": "video", "shape": [16, 32, 3], "names": ["height", "width", "channels"]},
    "observation.state": {"dtype": "float64", "shape": [2], "names": {"motors": ["hip", "knee"]}},
    "action": {"dtype": "float32", "shape": [3], "names": None},
    "gripper": {"dtype": "int64", "shape": [1], "names": None},
    "map": {"dtype": "float32", "shape": [2, 3], "names": None},
    **{key: {"dtype": "int64", "shape": [1], "names": None} for key in ("frame_index", "episode_index", "index")},
    **{key: {"dtype": kind, "shape": [1]} for key, kind in (("timestamp", "float32"), ("task_index", "int64"))},
}


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def version_3(root):
    """Two episodes in one file and in one video."""
    data = root / "data/chunk-000/file-000.parquet"
    data.parent.mkdir(parents=True)
    pq.write_table(pa.table(columns()), data, row_group_size=4)  # the first episode lies in two groups
    write_video(root / "videos/observation.images.front/chunk-000/file-000.mp4", [picture(i) for i in range(8)])
    write_json(
        root / "meta/info.json",
        {
            "codebase_version": "v3.0",
            "fps": FPS,
            "features": FEATURES,
            "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
            "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        },
    )
    key = "videos/observation.images.front"
    rows = {
        "episode_index": [0, 1],
        "tasks": [["lift"], ["push"]],
        "length": list(LENGTHS),
        "data/chunk_index": [0, 0],
        "data/file_index": [0, 0],
        f"{key}/chunk_index": [0, 0],
        f"{key}/file_index": [0, 0],
        f"{key}/from_timestamp": [0.0, 0.5],
    }
    (root / "meta/episodes/chunk-000").mkdir(parents=True)
    pq.write_table(pa.table(rows), root / "meta/episodes/chunk-000/file-000.parquet")
    tasks = pa.table({"task_index": [0, 1], "__index_level_0__": ["push", "lift"]})
    pq.write_table(tasks, root / "meta/tasks.parquet")
    return root


def version_2(root):
    """A file and a video for each episode, and lists of JSON."""
    for episode, length in enumerate(LENGTHS):
        first = sum(LENGTHS[:episode])
        data = root / f"data/chunk-000/episode_{episode:06d}.parquet"
        data.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns(episode, (length,))), data)
        frames = [picture(first + i) for i in range(length)]
        write_video(root / f"videos/chunk-000/observation.images.front/episode_{episode:06d}.mp4", frames)
    write_json(
        root / "meta/info.json",
        {
            "codebase_version": "v2.1",
            "fps": FPS,
            "chunks_size": 1000,
            "features": FEATURES,
            "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
            "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
        },
    )
    tasks = ("lift", "push")
    episodes = [{"episode_index": i, "tasks": [tasks[i]], "length": length} for i, length in enumerate(LENGTHS)]
    (root / "meta/episodes.jsonl").write_text("\n".join(map(json.dumps, episodes)) + "\n")
    tasks = [{"task_index": 0, "task": "push"}, {"task_index": 1, "task": "lift"}]
    (root / "meta/tasks.jsonl").write_text("\n".join(map(json.dumps, tasks)))
    return root


@pytest.mark.parametrize("write", [version_3, version_2])
def test_episodes_of_others(tmp_path, write):
    dataset = open_dataset(write(tmp_path))
    assert not dataset.ours
    assert len(dataset) == 2
    for index, episode in enumerate(dataset.episodes()):
        first = sum(LENGTHS[:index])
        assert [number_of(image) for image in episode.rgb] == list(range(first, first + LENGTHS[index]))
        assert episode.actions[:, 0].tolist() == [10 * index + t for t in range(LENGTHS[index] - 1)]
        assert episode.proprio[:, 1].tolist() == list(range(LENGTHS[index]))
        assert episode.action_names == ("action_0", "action_1", "action_2")
        assert episode.proprio_names == ("hip", "knee")
        assert (episode.task, episode.fps) == (("lift", "push")[index], 10.0)
        assert episode.w2c is None
        assert episode.right is None


def test_columns_by_name(tmp_path):
    dataset = open_dataset(version_3(tmp_path), Keys(action="gripper", state="map"))
    episode = dataset.episode(1)
    assert episode.actions.tolist() == [[0], [1]]
    assert episode.action_names == ("gripper_0",)
    assert episode.proprio[2].tolist() == [1, 2, 0, 1, 2, 3]
    with pytest.raises(FormatError, match=r"info.json: expected the feature 'wrist', asked for as rgb; got only obs"):
        open_dataset(tmp_path, Keys(rgb="wrist"))
    with pytest.raises(FormatError, match="expected the baseline of the two eyes"):
        open_dataset(tmp_path, Keys(right="observation.images.front"))
    both = open_dataset(tmp_path, Keys(right="observation.images.front", baseline=0.1)).episode(0)
    assert torch.equal(both.right, both.rgb)


@pytest.mark.parametrize("names", [["channels", "height", "width"], ["c", "h", "w"], None])
def test_a_shape_with_channels_first(tmp_path, names):
    root = version_3(tmp_path)
    front = {"dtype": "video", "shape": [3, 16, 32], "names": names}
    change_info(root, features=FEATURES | {"observation.images.front": front})
    assert open_dataset(root).episode(0).rgb.shape == (5, 16, 32, 3)


def change_info(root, **changes):
    info = json.loads((root / "meta/info.json").read_text())
    write_json(root / "meta/info.json", info | changes)


def test_names_never_leave_the_folder_and_templates_only_name(tmp_path):
    root = version_3(tmp_path / "set")
    pq.write_table(pa.table(columns()), tmp_path / "outside.parquet")
    for template, words in (
        ("../outside.parquet", "expected files inside"),
        ("/etc/passwd", "expected files inside"),
        ("data/{chunk_index.__class__}", "a template of paths"),
        ("data/{chunk_index:0999999999d}", "a template of paths"),
        ("data/{root}", "a template of paths"),
        ("data/{", "a template of paths"),
        (7, "a template of paths"),
    ):
        change_info(root, data_path=template)
        with pytest.raises(FormatError, match=words) as error:
            open_dataset(root).episode(0)
        assert "info.json" in str(error.value)


def test_a_link_that_leads_out_of_the_folder_is_not_followed(tmp_path):
    root = version_3(tmp_path / "set")
    file = root / "data/chunk-000/file-000.parquet"
    file.rename(tmp_path / "outside.parquet")
    file.symlink_to(tmp_path / "outside.parquet")
    with pytest.raises(FormatError, match="expected files inside"):
        open_dataset(root).episode(0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"codebase_version": "v1.6"}, "codebase_version v3.0 or v2.1"),
        ({"fps": 0}, "fps above 0"),
        ({"features": []}, "features"),
        ({"features": {"action": {"dtype": "float32", "shape": [10**12]}}}, "dtype and shape of the feature 'action'"),
        ({"features": {"action": FEATURES["action"]}}, "a feature for rgb"),
        ({"features": {**FEATURES, "action": {"dtype": "float32", "shape": [4]}}}, "4 numbers a row in action"),
    ],
)
def test_an_info_that_lies(tmp_path, changes, words):
    root = version_3(tmp_path)
    change_info(root, **changes)
    with pytest.raises(FormatError, match=words):
        open_dataset(root).episode(0)


def damaged(root, **changed):
    file = root / "data/chunk-000/file-000.parquet"
    pq.write_table(pa.table({**columns(), **changed}), file)
    return root


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"action": pa.array([[1.0, 2.0]] * 8)}, "3 numbers a row in action"),
        ({"action": pa.array([[1.0, 2.0, None]] * 8)}, "numbers in action; got nothing"),
        ({"action": pa.array([[1.0, 2.0, float("inf")]] * 8)}, "NaN or infinity in action"),
        ({"action": pa.array(["abc"] * 8)}, "numbers in action; got string"),
        ({"frame_index": pa.array([0, 2, 1, 3, 4, 0, 1, 2])}, "frames of episode 0 in order"),
        ({"episode_index": pa.array([0] * 4 + [1] * 4)}, "5 rows of episode 0; got 4"),
        ({"timestamp": pa.array([0.0] * 8)}, "times of episode 0 that rise"),
        ({"timestamp": pa.array([t + 0.04 for t in range(8)])}, r"file-000.mp4: expected a frame at"),
    ],
)
def test_columns_that_do_not_fit(tmp_path, changed, words):
    dataset = open_dataset(damaged(version_3(tmp_path), **changed))
    with pytest.raises(FormatError, match=words):
        dataset.episode(0)


def test_every_cut_and_flipped_file_gives_our_error_with_its_name(tmp_path):
    root = version_3(tmp_path)
    chance = np.random.default_rng(0)
    for name in (
        "data/chunk-000/file-000.parquet",
        "meta/episodes/chunk-000/file-000.parquet",
        "meta/info.json",
        "meta/tasks.parquet",
        "videos/observation.images.front/chunk-000/file-000.mp4",
    ):
        file = root / name
        content = file.read_bytes()
        cuts = [0, 3, len(content) // 2, len(content) - (5 if file.suffix != ".mp4" else 2000)]
        for bad in [content[:cut] for cut in cuts]:
            file.write_bytes(bad)
            with pytest.raises(FormatError, match=file.name):
                list(open_dataset(root).episodes())
        for _ in range(25):
            flipped = bytearray(content)
            for at in chance.integers(0, len(content), 3):
                flipped[at] ^= 1 << int(chance.integers(8))
            file.write_bytes(flipped)
            try:
                list(open_dataset(root).episodes())
            except (FormatError, FileNotFoundError) as error:
                assert str(root) in str(error)
        file.write_bytes(content)
    assert len(list(open_dataset(root).episodes())) == 2


def test_a_missing_file_is_named_and_the_others_are_read_when_asked(tmp_path):
    root = version_2(tmp_path)
    gone = root / "videos/chunk-000/observation.images.front/episode_000000.mp4"
    gone.unlink()
    with pytest.raises(FileNotFoundError, match="episode_000000.mp4"):
        list(open_dataset(root).episodes())
    told = []
    rest = list(open_dataset(root).episodes(told.append))
    assert [episode.task for episode in rest] == ["push"]
    assert "episode_000000.mp4" in str(told[0])
