"""A video file as views: decoded whole, its number of frames compared with the container's."""

from __future__ import annotations

from pathlib import Path

import torch

from render.formats.errors import FormatError
from render.video import read_video

from .captured import Captured, Frame, Views, guessed

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")


def read_film(path: Path, every: int = 1, max_views: int | None = None) -> Captured:
    """Every `every`-th frame, held as bytes; cameras are guessed and stand at the world's origin.

    Raises FileNotFoundError, or FormatError for no video, too long a one, or fewer frames than promised.
    """
    frames, rate = read_video(path, every=every, most=max_views)
    if frames.shape[1] < 2 or frames.shape[2] < 2:
        raise FormatError(path, "frames of at least 2 x 2 pixels", str(list(frames.shape)), "name another video")
    lens = guessed((frames.shape[2], frames.shape[1]))
    views = Views([Frame(image, lens, lens, torch.eye(4)) for image in frames])
    indices = range(0, len(frames) * every, every)
    return Captured(
        views,
        [f"{path.name}#{index}" for index in indices],
        kind="video",
        posed=False,
        calibrated=False,
        timestamps=[index / rate for index in indices] if rate > 0 else None,
        notes=("a video has no calibration: the focal length is a guess",),
    )
