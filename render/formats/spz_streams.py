"""The container of SPZ files: header and compressed streams, unpacked with limits set before memory is taken."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zstandard
from jaxtyping import UInt8

from .errors import FormatError

FREE_BYTES = 12 << 20  # a file of any size may unpack to this much
MAX_RATIO = 32  # and a large one to this many times its length; real scenes reach 2 to 5
MAX_FRACTIONAL_BITS = 24
MAX_EXTENSION_BYTES = 1 << 16

_GZIP, _MAGIC = b"\x1f\x8b", b"NGSP"
_START, _HEADER_BYTES = struct.Struct("<4sIIBBBB"), 32  # version 4 has more after the same start
_HAS_EXTENSIONS = 2
_COORDINATE_SYSTEM, _RUB = 0xADBE0003, 4  # an extension that names other axes than the usual ones

Streams = dict[str, UInt8[np.ndarray, "N B"]]


@dataclass(frozen=True)
class Header:
    version: int
    count: int
    sh_degree: int
    fractional_bits: int
    extended: bool
    streams: int
    """Compressed streams in the file (version 4)."""

    @property
    def widths(self) -> dict[str, int]:
        """Bytes of one splat in each stream, in the order of the file."""
        return {
            "positions": 6 if self.version == 1 else 9,
            "alphas": 1,
            "colors": 3,
            "scales": 3,
            "rotations": 3 if self.version < 3 else 4,
            "sh": 3 * ((self.sh_degree + 1) ** 2 - 1),
        }

    @property
    def size(self) -> int:
        """Bytes of all streams when unpacked."""
        return self.count * sum(self.widths.values())


def read_streams(path: Path) -> tuple[Header, Streams]:
    """The header and every attribute's bytes. Raises FormatError for what is not a sound SPZ file."""
    data = path.read_bytes()
    if data.startswith(_MAGIC):
        header, unpacked = _read_zstd(data, path)
    elif data.startswith(_GZIP):
        header, unpacked = _read_gzip(data, path)
    else:
        raise FormatError(path, "an SPZ file", f"one starting with {data[:4]!r}", "check the file")
    streams, start = {}, 0
    for name, width in header.widths.items():
        end = start + header.count * width
        streams[name] = unpacked[start:end].reshape(header.count, width)
        start = end
    return header, streams


def _read_gzip(data: bytes, path: Path) -> tuple[Header, np.ndarray]:
    """Versions 1 to 3: header and all attributes in one gzip stream."""
    gzip = zlib.decompressobj(wbits=31)
    try:
        start = gzip.decompress(data, _START.size)
        header = _parse(start, path, versions=(1, 3))
        _check_size(header, len(data), path)
        body = gzip.decompress(gzip.unconsumed_tail, header.size) if header.size else b""
        rest = gzip.decompress(gzip.unconsumed_tail, MAX_EXTENSION_BYTES + 1)
    except zlib.error as error:
        raise _damaged(path, "a gzip stream", str(error)[:80]) from None
    if len(body) < header.size or not gzip.eof:
        if len(rest) > MAX_EXTENSION_BYTES:
            raise _damaged(path, f"{header.size} bytes for {header.count} splats", "many more")
        raise _damaged(path, f"{header.size} bytes for {header.count} splats", "the stream's end before it")
    if gzip.unused_data or (rest and not header.extended):
        raise _damaged(path, f"{header.size} bytes for {header.count} splats", "more after them")
    _check_extensions(rest, path)
    return header, np.frombuffer(body, np.uint8)


def _read_zstd(data: bytes, path: Path) -> tuple[Header, np.ndarray]:
    """Version 4: plain header, extensions, a table of sizes, and one zstd frame for each attribute."""
    header = _parse(data[: _START.size], path, versions=(4, 4))
    if len(data) < _HEADER_BYTES:
        raise _damaged(path, f"a header of {_HEADER_BYTES} bytes", f"{len(data)}")
    sizes = [header.count * width for width in header.widths.values() if header.count * width]
    table = int.from_bytes(data[_START.size : _START.size + 4], "little")
    first = table + 16 * len(sizes)
    if header.streams != len(sizes) or table < _HEADER_BYTES or first > len(data):
        raise _damaged(path, f"{len(sizes)} streams listed within the file", f"{header.streams} listed at byte {table}")
    if header.extended:
        _check_extensions(data[_HEADER_BYTES:table], path)
    elif table != _HEADER_BYTES:
        raise _damaged(path, f"the list of streams at byte {_HEADER_BYTES}", f"byte {table}")
    lengths = list(struct.iter_unpack("<QQ", data[table:first]))
    if first + sum(packed for packed, _ in lengths) != len(data) or [size for _, size in lengths] != sizes:
        raise _damaged(path, f"streams of {sizes} bytes that fill the file", f"others, or {len(data)} bytes in all")
    _check_size(header, len(data), path)
    unpacked, start, position = np.empty(header.size, np.uint8), 0, first
    for packed, size in lengths:
        frame = _unpack_frame(data[position : position + packed], size, path)
        unpacked[start : start + size] = np.frombuffer(frame, np.uint8)
        start, position = start + size, position + packed
    return header, unpacked


def _unpack_frame(frame: bytes, size: int, path: Path) -> bytes:
    try:
        # The library takes the memory that a frame's own header asks for, whatever limit it is given.
        promised = zstandard.get_frame_parameters(frame).content_size
        if promised not in (size, zstandard.CONTENTSIZE_UNKNOWN):
            raise _damaged(path, f"a stream of {size} bytes", f"one of {promised}")
        window = min(max(2 * size, 8 << 20), 1 << 31)
        unpacked = zstandard.ZstdDecompressor(max_window_size=window).decompress(
            frame, max_output_size=size, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise _damaged(path, "zstd streams", str(error)[:80]) from None
    if len(unpacked) != size:
        raise _damaged(path, f"a stream of {size} bytes", f"one of {len(unpacked)}")
    return unpacked


def _parse(start: bytes, path: Path, *, versions: tuple[int, int]) -> Header:
    if len(start) < _START.size or not start.startswith(_MAGIC):
        raise _damaged(path, "an SPZ header", repr(start[:4]))
    _, version, count, degree, fractional_bits, flags, streams = _START.unpack(start)
    low, high = versions
    if not low <= version <= high:
        wanted = f"version {low}" if low == high else f"version {low} to {high} in a gzip stream"
        raise FormatError(path, wanted, f"version {version}", "export it as SPZ version 3 or 4")
    if degree > 3:
        raise FormatError(path, "SH degree 0 to 3", f"degree {degree}", "export it with degree 3 or less")
    if fractional_bits > MAX_FRACTIONAL_BITS:
        raise _damaged(path, f"0 to {MAX_FRACTIONAL_BITS} fractional bits", f"{fractional_bits}")
    return Header(version, count, degree, fractional_bits, bool(flags & _HAS_EXTENSIONS), streams)


def _check_size(header: Header, length: int, path: Path) -> None:
    most = max(FREE_BYTES, MAX_RATIO * length)
    if header.size > most:
        raise FormatError(
            path,
            f"at most {most} bytes in a file of {length}",
            f"a header that promises {header.size} for {header.count} splats",
            "the file is damaged or made to fill memory: export it again, as PLY if the scene is that uniform",
        )


def _check_extensions(records: bytes, path: Path) -> None:
    """Walks over the vendors' records: only the one that changes the axes matters here."""
    if len(records) > MAX_EXTENSION_BYTES:
        raise _damaged(path, f"at most {MAX_EXTENSION_BYTES} bytes of extensions", "more")
    at = 0
    while at < len(records):
        if at + 8 > len(records):
            raise _damaged(path, "whole extension records", "one cut short")
        kind, length = struct.unpack_from("<II", records, at)
        payload = records[at + 8 : at + 8 + length]
        if len(payload) < length:
            raise _damaged(path, "whole extension records", "one cut short")
        if kind == _COORDINATE_SYSTEM and int.from_bytes(payload, "little") not in (0, _RUB):
            raise FormatError(path, "SPZ's usual axes (RUB)", "an extension with others", "export it without them")
        at += 8 + length


def _damaged(path: Path, expected: str, got: str) -> FormatError:
    return FormatError(path, expected, got, "the file is damaged: export it again")
