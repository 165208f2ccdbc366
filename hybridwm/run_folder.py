"""A run folder: the resolved configuration, the versions, the metrics and the summary of one run, with one owner.

    runs/demo/
      config.yaml     what the command was given, resolved
      versions.json   what it ran on
      metrics.jsonl   one line for each measurement, appended and flushed as it is made
      summary.json    the figures; written last, so that its presence means that the run finished
"""

import json
import math
import os
import re
from pathlib import Path
from types import TracebackType
from typing import Any

from render.files import atomic_write

from . import configuration, environment

LOCK = ".lock"
OURS = ("config.yaml", "versions.json", "summary.json", "metrics.jsonl")


class RunFolder:
    """Owns a folder for the time of a `with` block; another process that wants it gets a clear error.

        with RunFolder(Path("runs/demo"), config) as run:
            run.log(step=1, loss=0.5)
            run.summarise(psnr=21.0)

    A folder of an earlier run is taken over: `keep_metrics` continues its metrics.jsonl, otherwise it starts anew.
    Raises ValueError where the folder belongs to a live process or holds something that is not a run.
    """

    def __init__(self, path: Path, config: Any, *, keep_metrics: bool = False) -> None:
        self.path = Path(path)
        self._config = config
        self._keep_metrics = keep_metrics
        self._lock: int | None = None

    def __enter__(self) -> "RunFolder":
        self._refuse_foreign()
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(self.path)
        try:
            (self.path / "summary.json").unlink(missing_ok=True)
            if not self._keep_metrics:
                (self.path / "metrics.jsonl").unlink(missing_ok=True)
            _drop_torn_line(self.path / "metrics.jsonl")
            self.write_text("config.yaml", configuration.dump_yaml(self._config))
            self.write_json("versions.json", environment.describe())
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def file(self, name: str) -> Path:
        """The path of `name` in the folder, whose parents exist after the call."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write_text(self, name: str, text: str) -> None:
        """Writes a file whole or not at all."""
        with atomic_write(self.file(name)) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def write_json(self, name: str, value: Any) -> None:
        """Writes a JSON file whole or not at all; numbers that are not finite become null."""
        self.write_text(name, json.dumps(_finite(value), indent=2, allow_nan=False) + "\n")

    def log(self, **measurement: Any) -> None:
        """Appends one line to metrics.jsonl; it is in the file when the call returns."""
        line = json.dumps(_finite(measurement), allow_nan=False) + "\n"
        with open(self.path / "metrics.jsonl", "a", encoding="utf-8") as stream:
            stream.write(line)

    def summarise(self, **figures: Any) -> None:
        """Writes summary.json: the figures that the report shows. The last thing that a run does."""
        self.write_json("summary.json", figures)

    def _refuse_foreign(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"{self.path}: expected a folder for the run, found a file; choose another name")
        names = {entry.name for entry in self.path.iterdir()} if self.path.exists() else set()
        names = {name for name in names if not re.fullmatch(r"shard-\d+-of-\d+", name)}  # of a run in parts
        if names - {LOCK} and not names & set(OURS):
            raise ValueError(
                f"{self.path}: expected a new, an empty or an earlier run's folder, found other files "
                f"({sorted(names)[0]}); choose another folder"
            )

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)  # the lock goes with the descriptor, also when the process is killed
            self._lock = None


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The measurements in a metrics.jsonl; a last line that a kill cut short is left out."""
    lines = path.read_bytes().split(b"\n")
    try:
        return [json.loads(line) for line in lines[:-1]]
    except ValueError as error:
        raise ValueError(f"{path}: expected one JSON object on each line, got {error}") from None


def _lock(folder: Path) -> int:
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        import fcntl
    except ImportError:  # no advisory locks on this system
        return descriptor
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        owner = os.read(descriptor, 64).decode(errors="replace").strip() or "another process"
        os.close(descriptor)
        raise ValueError(
            f"{folder}: expected a free run folder, but {owner} is writing to it; wait or choose another"
        ) from None
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()}".encode(), 0)
    return descriptor


def _drop_torn_line(path: Path) -> None:
    """A kill can leave half a line at the end of metrics.jsonl; what follows must not be glued to it."""
    if path.exists():
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(path, whole)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, Path):
        return value.as_posix()
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:  # a NumPy or torch scalar
        return _finite(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value
