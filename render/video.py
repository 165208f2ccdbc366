"""Videos in files: H.264 in mp4, which every player and browser shows."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from .files import atomic_write
from .formats.errors import FormatError

MAX_BYTES = 4 * 2**30  # decoded


def write_mp4(
    path: str | os.PathLike[str],
    frames: UInt8[Tensor | np.ndarray, "T H W 3"],
    fps: float,
    *,
    upscale: int = 1,
) -> None:
    """Writes uint8 rgb frames; upscale repeats each pixel, since small images are blurred by players.

    Odd sizes are extended by one row or column, which the colour format needs.
    Raises ValueError when there are no frames or they are not uint8.
    """
    import av

    frames = frames.detach().cpu().numpy() if isinstance(frames, Tensor) else np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
        raise ValueError(
            f"{path}: frames must be uint8 [T, H, W, 3] with T >= 1; got {frames.dtype} "
            f"{list(frames.shape)}. Floats? Use to_uint8()."
        )
    height, width = frames.shape[1] * upscale, frames.shape[2] * upscale
    with atomic_write(path) as temporary, av.open(str(temporary), mode="w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "16", "preset": "fast"}
        for image in frames:
            image = image.repeat(upscale, axis=0).repeat(upscale, axis=1)
            image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def read_video(
    path: str | os.PathLike[str], *, every: int = 1, most: int | None = None
) -> tuple[UInt8[Tensor, "T H W 3"], float]:
    """The frames as rgb, and the frames per second of the file; of all that are decoded, each `every`-th is kept,
    up to `most` of them.

    Raises FileNotFoundError when there is no file; FormatError when it is not a video, is too large to hold,
    or yields fewer frames than its container promises (damaged files decode short without an error).
    """
    import av

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such video file; check the path.")
    frames: list[np.ndarray] = []
    decoded = 0
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise FormatError(path, "a video of a known codec", "none", "is it complete? copy it again")
            promised, rate = stream.frames, float(stream.average_rate or 0)
            held = max(1, MAX_BYTES // max(1, stream.width * stream.height * 3))
            for frame in container.decode(stream):
                decoded += 1
                if (decoded - 1) % every or (most is not None and len(frames) >= most):
                    continue
                if len(frames) >= held:
                    raise FormatError(path, f"at most {held} frames of this size", "more", "cut it up")
                frames.append(frame.to_ndarray(format="rgb24"))
    except (av.FFmpegError, IndexError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(path, "a video", str(error)[:80], "is it complete? copy it again") from None
    if not frames or (promised and decoded != promised) or len({frame.shape for frame in frames}) > 1:
        raise FormatError(
            path,
            f"{promised or 'some'} frames of one size",
            f"{decoded}",
            "the file is damaged: copy it again",
        )
    return torch.from_numpy(np.stack(frames)), rate
