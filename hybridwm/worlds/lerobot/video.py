"""Videos of one feature: written without loss (H.264 of RGB planes) or small, read by timestamp, frame by frame."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from jaxtyping import Float, UInt8

from render.formats.errors import FormatError
from render.video import MAX_BYTES

# RGB planes: no change of colour space, so that every decoder gives back the bytes that went in.
_LOSSLESS = ("libx264rgb", "rgb24", {"qp": "0", "preset": "veryfast", "g": "10"})
_LOSSY = ("libx264", "yuv420p", {"crf": "16", "preset": "fast", "g": "10"})
AGAIN = "the file is damaged: copy it again"


def encode_video(frames: UInt8[np.ndarray, "T H W 3"], fps: float, *, lossless: bool) -> bytes:
    """An mp4 file. Raises ValueError for odd sizes where they cannot be kept: lossy video halves its colours."""
    codec, kind, options = _LOSSLESS if lossless else _LOSSY
    height, width = frames.shape[1:3]
    if not lossless and (height % 2 or width % 2):
        raise ValueError(f"lossy video needs even sizes; got {width} x {height}. Choose png or lossless video.")
    held = io.BytesIO()
    with av.open(held, mode="w", format="mp4") as container:
        stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = width, height, kind
        stream.options = dict(options)
        stream.codec_context.thread_count = 1  # the bytes do not depend on the machine
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return held.getvalue()


def decode_video(
    path: Path, timestamps: Float[np.ndarray, "T"], size: tuple[int, int], tolerance: float
) -> UInt8[np.ndarray, "T H W 3"]:
    """The frames at these times (seconds, ascending), each within `tolerance` of its own.

    Raises FileNotFoundError, or FormatError where there is no such frame, or another size (height, width).
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a video of the dataset, found no such file; copy it there.")
    height, width = size
    if len(timestamps) * height * width * 3 > MAX_BYTES:
        raise FormatError(path, f"at most {MAX_BYTES} bytes of frames in an episode", "more", "cut it up")
    found = np.zeros((len(timestamps), height, width, 3), np.uint8)
    error = np.full(len(timestamps), np.inf)
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            if stream.time_base is None or stream.codec_context is None:
                raise FormatError(path, "a video of a known codec", "none", AGAIN)
            if (stream.height, stream.width) != size:
                raise FormatError(path, f"{width} x {height} pixels", f"{stream.width} x {stream.height}", AGAIN)
            container.seek(max(0, round(timestamps[0] / stream.time_base) - 1), backward=True, stream=stream)
            for frame in container.decode(stream):
                if frame.pts is None or (frame.height, frame.width) != size:
                    continue
                now = float(frame.pts * stream.time_base)
                nearest = _nearest(timestamps, now)
                if (off := abs(timestamps[nearest] - now)) <= tolerance and off < error[nearest]:
                    found[nearest], error[nearest] = frame.to_ndarray(format="rgb24"), off
                if now > timestamps[-1] + tolerance:
                    break
    except (av.FFmpegError, IndexError, OverflowError, ValueError) as problem:
        if isinstance(problem, FormatError):
            raise
        raise FormatError(path, "a video", str(problem)[:80], AGAIN) from None
    if np.isinf(error).any():
        lacking = float(timestamps[np.isinf(error)][0])
        raise FormatError(path, f"a frame at {lacking:.4f} s", f"none within {tolerance:.4f} s", AGAIN)
    return found


def _nearest(timestamps: np.ndarray, now: float) -> int:
    after = int(np.searchsorted(timestamps, now))
    if after == 0 or after == len(timestamps):
        return min(after, len(timestamps) - 1)
    return after if timestamps[after] - now < now - timestamps[after - 1] else after - 1
