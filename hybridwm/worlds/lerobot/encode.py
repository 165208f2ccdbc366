"""An episode as it goes to disk: columns, videos, statistics and facts. None depends on what lies beside it."""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from ..episodes import Episode
from . import statistics
from .layout import DEPTH, OURS, PADDING, PICTURES, UNTIMED_FPS, VECTORS, Images, features_of
from .pictures import encode_depth, encode_png
from .statistics import Stats
from .video import encode_video

PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@dataclass(frozen=True)
class Encoded:
    """What `DatasetWriter.add` takes; made where the episode is, so that many processes can encode for one writer.

    features: of info.json; table: its columns but the five that count frames and episodes; videos: mp4 files by key;
    facts: what of the episode is no feature.
    """

    features: dict[str, dict[str, Any]]
    table: pa.Table
    videos: dict[str, bytes]
    stats: Stats
    facts: dict[str, Any]
    fps: float
    task: str

    def __len__(self) -> int:
        return self.table.num_rows


def encode(episode: Episode, images: Images = "png") -> Encoded:
    """The episode without loss, but for "lossy-video". Raises ValueError for numbers that are not 32-bit or finite."""
    fps = episode.fps or UNTIMED_FPS
    features = features_of(episode, images, fps)
    columns: dict[str, pa.Array] = {}
    videos: dict[str, bytes] = {}
    stats: Stats = {}
    for name, key in PICTURES.items():
        if (frames := getattr(episode, name)) is None:
            continue
        pixels = frames.cpu().numpy()
        stats[key] = statistics.of_images(pixels, 255)
        if images == "png":
            columns[key] = _pictures([encode_png(image) for image in pixels])
        else:
            videos[key] = encode_video(pixels, fps, lossless=images == "video")
    if episode.depth is not None:
        depth = _numbers(episode.depth, "depth")
        stats[DEPTH] = statistics.of_images(depth[..., None], 1)
        columns[DEPTH] = _pictures([encode_depth(image) for image in depth])
    for name, key in VECTORS.items():
        if (values := getattr(episode, name)) is None:
            continue
        rows = _numbers(values, name)
        rows = rows.reshape(len(rows), math.prod(rows.shape[1:]))
        if name == "actions":
            rows = np.concatenate([rows, np.zeros_like(rows, shape=(1, rows.shape[1]))])
            stats[key] = statistics.of_vectors(rows[: max(1, len(rows) - 1)])  # of what was done, not of the padding
        else:
            stats[key] = statistics.of_vectors(rows)
        columns[key] = _vectors(rows)
    columns[PADDING] = pa.array([False] * (len(episode) - 1) + [True])
    facts = _facts(episode) | {"crc32": {key: zlib.crc32(content) for key, content in videos.items()}}
    return Encoded(features, pa.table(columns), videos, stats, facts, fps, episode.task)


def _facts(episode: Episode) -> dict[str, Any]:
    return {
        "version": OURS,
        "world": episode.world,
        "seed": episode.seed,
        "K": None if episode.K is None else _numbers(episode.K, "K").tolist(),
        "baseline": episode.baseline,
        "disparity_offset": episode.disparity_offset,
        "up": list(episode.up),
        "fps": episode.fps,
    }


def facts_text(facts: dict[str, Any]) -> str:
    """JSON; Python writes the shortest text that reads back as the same number."""
    return json.dumps(facts, allow_nan=False)


def _numbers(values: torch.Tensor, name: str) -> np.ndarray:
    if values.dtype != torch.float32 or not bool(torch.isfinite(values).all()):
        got = "NaN or infinity" if values.dtype == torch.float32 else str(values.dtype)
        raise ValueError(f"Episode.{name}: expected finite float32, which is what is kept; got {got}. Convert it.")
    return values.detach().cpu().numpy()


def _pictures(encoded: list[bytes]) -> pa.Array:
    return pa.StructArray.from_arrays(
        [pa.array(encoded, pa.binary()), pa.nulls(len(encoded), pa.string())], fields=list(PICTURE)
    )


def _vectors(rows: np.ndarray) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(rows, np.float32).reshape(-1))
    return flat if rows.shape[1] == 1 else pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])
