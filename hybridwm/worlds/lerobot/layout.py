"""The LeRobot dataset layout, version 3: names of files and columns, and what our features are called in it.

    meta/info.json        version, fps, features, totals, templates of paths
    meta/stats.json       minimum, maximum, mean and standard deviation of each feature
    meta/tasks.parquet    task_index and the task in words
    meta/episodes/…       one row for each episode: where it lies, its statistics, and ours in the column `hybridwm`
    meta/hybridwm.json    ours: who wrote it, how images are kept, what was asked for
    data/…                one row for each frame, one file for each episode (the layout leaves the size of files open)
    videos/KEY/…          for features of the kind "video", one file for each episode

Row t holds frame t and the action taken after it; after the last frame there is none: zeros, `is_action_padding` true.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from ..episodes import Episode

VERSION = "v3.0"
OURS = "1"  # of meta/hybridwm.json and of the column `hybridwm`
FACTS = "hybridwm"
CHUNK = 1000  # files in a folder
ROWS = 100  # episodes in one file of meta/episodes, which is written anew with each of them
MOST_EPISODES = CHUNK * CHUNK  # three digits each: beyond, names no longer sort as numbers
UNTIMED_FPS = 10  # the layout needs a rate; worlds without one get this, and None when they are read back

INFO, STATS, TASKS, MARK = "meta/info.json", "meta/stats.json", "meta/tasks.parquet", "meta/hybridwm.json"
EPISODES = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEOS = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"

RGB, RIGHT = "observation.images.rgb", "observation.images.right"
DEPTH, CAMERA = "observation.depth", "observation.camera"
STATE, TOUCH, ACTION, PADDING = "observation.state", "observation.touch", "action", "is_action_padding"
PICTURES = {"rgb": RGB, "right": RIGHT}
VECTORS = {"w2c": CAMERA, "proprio": STATE, "touch": TOUCH, "actions": ACTION}

Images = Literal["png", "video", "lossy-video"]
IMAGES = get_args(Images)

DEFAULT = {
    "timestamp": {"dtype": "float32", "shape": [1], "names": None},
    "frame_index": {"dtype": "int64", "shape": [1], "names": None},
    "episode_index": {"dtype": "int64", "shape": [1], "names": None},
    "index": {"dtype": "int64", "shape": [1], "names": None},
    "task_index": {"dtype": "int64", "shape": [1], "names": None},
}


def features_of(episode: Episode, images: Images, fps: float) -> dict[str, dict[str, Any]]:
    """The features of a dataset of such episodes, as info.json lists them. Raises ValueError for an empty vector."""
    height, width = episode.rgb.shape[1:3]
    features: dict[str, dict[str, Any]] = {}
    for name, key in PICTURES.items():
        if getattr(episode, name) is not None:
            features[key] = {"dtype": "image", "shape": [height, width, 3], "names": ["height", "width", "channels"]}
            if images != "png":
                features[key] |= {"dtype": "video", "info": _video(images, height, width, fps)}
    if episode.depth is not None:
        features[DEPTH] = {
            "dtype": "image",
            "shape": [height, width, 1],
            "names": ["height", "width", "channels"],
            "info": {"is_depth_map": True, "depth_unit": "m"},
        }
    if episode.w2c is not None:
        names = [f"w2c_{row}{column}" for row in range(4) for column in range(4)]
        features[CAMERA] = {"dtype": "float32", "shape": [16], "names": names}
    for name, key in (("proprio", STATE), ("touch", TOUCH), ("actions", ACTION)):
        names = list(getattr(episode, "action_names" if name == "actions" else f"{name}_names"))
        if getattr(episode, name) is None:
            continue
        if not names:
            raise ValueError(f"Episode.{name}: expected at least one number a frame; got none. Leave it out, as None.")
        features[key] = {"dtype": "float32", "shape": [len(names)], "names": names}
    features[PADDING] = {"dtype": "bool", "shape": [1], "names": None}
    return features | DEFAULT


def _video(images: Images, height: int, width: int, fps: float) -> dict[str, Any]:
    return {
        "video.height": height,
        "video.width": width,
        "video.codec": "h264",
        "video.pix_fmt": "gbrp" if images == "video" else "yuv420p",
        "video.is_depth_map": False,
        "video.fps": fps,
        "video.channels": 3,
        "has_audio": False,
    }


def place(number: int) -> dict[str, int]:
    """chunk_index and file_index of the `number`-th file."""
    return {"chunk_index": number // CHUNK, "file_index": number % CHUNK}
