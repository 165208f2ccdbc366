"""A glTF file taken apart: its JSON, checked as it is read, and its buffers, each opened when it is needed.

A buffer is the binary chunk of a .glb, a data URI, or a file that lies in the same folder or below it. Source: the
glTF 2.0 specification, Khronos.
"""

from __future__ import annotations

import base64
import json
import re
import struct
from pathlib import Path
from typing import Any, BinaryIO, NoReturn
from urllib.parse import unquote

from .errors import FormatError

MAX_JSON_BYTES = 1 << 20  # besides data URIs: parsed, it may take a hundred times as much, and a while
EXTENSION = "KHR_gaussian_splatting"

_CHUNK = struct.Struct("<II")
_JSON, _BINARY = 0x4E4F534A, 0x004E4942
_DATA_URI = re.compile(rb'"data:[^"\\]{1024,}+"')


class Document:
    """The JSON of a file and its buffers. Every method raises FormatError for what is not as it must be."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._binary: tuple[int, int] | None = None  # offset and length of the .glb's own buffer
        self._buffers: dict[int, bytes] = {}
        with path.open("rb") as file:
            self._length = file.seek(0, 2)
            file.seek(0)
            is_binary = file.read(4) == b"glTF"
            text = self._read_container(file) if is_binary else self._read_text(file)
        try:
            root = json.loads(text.decode("utf-8-sig"), parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            self.fail("a glTF file's JSON", f"{type(error).__name__}: {str(error)[:80]}")
        self.root: dict[str, Any] = self.object(root, "the file")
        self._check_version_and_extensions()

    def fail(self, expected: str, got: str, do: str = "the file is damaged: export it again") -> NoReturn:
        raise FormatError(self.path, expected, got, do)

    @property
    def bytes_read(self) -> int:
        """Length of the file and of the files of buffers that were needed so far."""
        return self._length + sum(len(data) for data in self._buffers.values())

    def entry(self, kind: str, index: object) -> dict[str, Any]:
        """Entry `index` of the top-level list `kind`."""
        entries = self.array(self.root.get(kind, []), kind)
        return self.object(entries[self.integer(index, f"an index into {kind}", 0, len(entries) - 1)], kind)

    def object(self, value: object, what: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.fail(f"an object for {what}", shown(value))
        return value

    def array(self, value: object, what: str) -> list:
        if not isinstance(value, list):
            self.fail(f"a list for {what}", shown(value))
        return value

    def integer(self, value: object, what: str, low: int, high: int) -> int:
        if type(value) is not int or not low <= value <= high:
            self.fail(f"{what} of {low}..{high}", shown(value))
        return value

    def numbers(self, value: object, what: str, count: int) -> list[float]:
        """Exactly `count` finite numbers."""
        values = self.array(value, what)
        if len(values) != count or not all(type(v) in (int, float) and abs(v) < 1e30 for v in values):
            self.fail(f"{count} numbers for {what}", shown(value))
        return [float(v) for v in values]

    def buffer_view(self, index: object) -> tuple[memoryview, int | None]:
        """The bytes of a buffer view, and its stride if it has one."""
        view = self.entry("bufferViews", index)
        number = self.integer(view.get("buffer"), "a buffer's index", 0, 2**31)
        data = self._buffer(number)
        offset = self.integer(view.get("byteOffset", 0), "a buffer view's byteOffset", 0, len(data))
        length = self.integer(view.get("byteLength"), "a buffer view's byteLength", 1, len(data) - offset)
        stride = view.get("byteStride")
        if stride is not None:
            self.integer(stride, "a buffer view's byteStride", 4, 252)
        return memoryview(data)[offset : offset + length], stride

    def release_buffers(self) -> None:
        """Frees the buffers' memory; they are read again when needed, but for data URIs."""
        self._buffers.clear()

    def _read_container(self, file: BinaryIO) -> bytes:
        header = file.read(16)
        if len(header) < 16:
            self.fail("a .glb with a header of 20 bytes", f"{self._length} bytes")
        version, length, json_length, kind = struct.unpack("<IIII", header)
        if version != 2:
            self.fail("glTF version 2", f"version {version}", "export it again")
        if length != self._length:
            self.fail(f"the {length} bytes that the header promises", f"{self._length} bytes")
        if kind != _JSON or json_length > min(MAX_JSON_BYTES, length - 20):
            self.fail(f"a first chunk of JSON of at most {MAX_JSON_BYTES} bytes", f"{json_length} bytes")
        text = file.read(json_length)
        chunk = file.read(_CHUNK.size)
        if len(chunk) == _CHUNK.size and _CHUNK.unpack(chunk)[1] == _BINARY:
            self._binary = (file.tell(), _CHUNK.unpack(chunk)[0])
            if sum(self._binary) > self._length:
                self.fail(f"{self._binary[1]} bytes in the binary chunk", f"{self._length - self._binary[0]}")
        return text

    def _read_text(self, file: BinaryIO) -> bytes:
        if self.path.suffix.lower() == ".glb":
            self.fail("a .glb file starting with 'glTF'", "another start", "check the file")
        file.seek(0)
        text = file.read()
        length = len(text) - sum(end - start for start, end in (m.span() for m in _DATA_URI.finditer(text)))
        if length > MAX_JSON_BYTES:
            self.fail(f"at most {MAX_JSON_BYTES} bytes of JSON besides data URIs", f"{length}", "export it as .glb")
        return text

    def _check_version_and_extensions(self) -> None:
        version = self.object(self.root.get("asset"), "asset").get("version")
        if not isinstance(version, str) or not version.startswith("2."):
            self.fail("glTF version 2", shown(version), "export it again")
        required = self.array(self.root.get("extensionsRequired", []), "extensionsRequired")
        unknown = [name for name in required if name != EXTENSION]
        if unknown:
            self.fail(f"no required extension but {EXTENSION}", shown(unknown[0]), "export it without that extension")

    def _buffer(self, index: int) -> bytes:
        if index not in self._buffers:
            buffer = self.entry("buffers", index)
            uri = buffer.get("uri")
            length = self.integer(buffer.get("byteLength"), "a buffer's byteLength", 1, 2**53)
            if uri is None:
                data = self._binary_chunk(index, length)
            elif not isinstance(uri, str):
                self.fail("a buffer's uri", shown(uri))
            elif uri.startswith("data:"):
                buffer["uri"] = ""  # decoded once: the text need not stay in memory
                data = self._decode(uri, length)
            else:
                data = self._read_beside(uri, length)
            self._buffers[index] = data
        return self._buffers[index]

    def _binary_chunk(self, index: int, length: int) -> bytes:
        if index != 0 or self._binary is None:
            self.fail("a buffer with a uri, or the first one of a .glb", "neither")
        offset, held = self._binary
        if length > held:
            self.fail(f"{length} bytes in the binary chunk", f"{held}")
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(length)

    def _decode(self, uri: str, length: int) -> bytes:
        kind, comma, text = uri.partition(",")
        if not comma or not kind.endswith(";base64"):
            self.fail("a data URI in base64", shown(uri))
        try:
            data = base64.b64decode(text, validate=True)
        except ValueError as error:
            self.fail("a data URI in base64", str(error)[:80])
        if len(data) < length:
            self.fail(f"{length} bytes in a data URI", f"{len(data)}")
        return data[:length]

    def _read_beside(self, uri: str, length: int) -> bytes:
        name = unquote(uri)
        outside = "another place, which a scene may not open"
        if ":" in name or "\\" in name or "\0" in name or name.startswith("/") or ".." in name.split("/"):
            self.fail("buffers in the file's own folder", f"{shown(uri)}: {outside}", "copy them there")
        root = self.path.parent.resolve()
        try:
            target = (root / name).resolve()
            if root not in target.parents:  # a link leads out
                self.fail("buffers in the file's own folder", f"{shown(uri)}: {outside}", "copy them there")
            if not target.is_file():
                self.fail(f"the file {shown(uri)} in the same folder", "none", "copy it there")
            with target.open("rb") as file:
                held = file.seek(0, 2)
                if held < length:
                    self.fail(f"{length} bytes in {shown(uri)}", f"{held}")
                file.seek(0)
                return file.read(length)
        except FormatError:
            raise
        except (OSError, RuntimeError, ValueError) as error:  # too long, links in a circle, no permission, not text
            self.fail(f"a readable file {shown(uri)}", type(error).__name__, "check the folder")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number in JSON")


def shown(value: object) -> str:
    """What a value is, on one short line; what is nested is not walked through."""
    if isinstance(value, (dict, list)):
        return f"a {'list' if isinstance(value, list) else 'JSON object'} of {len(value)}"
    return repr(value[:60] if isinstance(value, str) else value)[:80]
