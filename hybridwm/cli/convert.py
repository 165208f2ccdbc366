"""`hybridwm convert recordings/ runs/mine --size 64`"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from ..worlds.episodes import Episode

CHECKED = 20  # episodes that alignment is measured over


@dataclass(frozen=True)
class Columns:
    """Columns of a LeRobot dataset; by default the first image, observation.state and action."""

    rgb: str | None = None
    """The (left) camera."""
    right: str | None = None
    """The right eye; needs its baseline."""
    depth: str | None = None
    """Depth, as images or arrays."""
    state: str | None = None
    """Proprioception."""
    touch: str | None = None
    """Contacts and forces."""
    action: str | None = None
    """What was done after each frame."""
    baseline: float | None = None
    """Metres from the left to the right eye."""


@dataclass(frozen=True)
class Options:
    """Turn a LeRobot dataset (v3.0, v2.1), the shards of a collection, or plain folders into one LeRobot dataset.

    A plain folder has images or a video, actions.csv (or .npy, .parquet), and cameras and depth where there are some;
    a folder of such folders is a dataset of one episode each (docs/episodes.md). That each action stands beside the
    frame before it is checked against the cameras' or the images' motion.
    """

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """Dataset, folder or video."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Run folder and dataset to write."""
    size: str = ""
    """Images' new size, as 64 or 96x64: cut to the middle and scaled down; by default as they are."""
    images: Literal["png", "video", "lossy-video"] = "png"
    """png and video keep every bit; lossy-video is small, for pictures of 256 pixels and more."""
    keys: Columns = field(default_factory=Columns)
    """Columns of the source."""
    fps: float | None = None
    """Frames per second, where a plain folder does not say."""
    task: str = ""
    """The task in words, for plain folders."""
    alignment: Literal["check", "report", "off"] = "check"
    """check refuses actions that stand beside the wrong frame, report says so and goes on."""
    shift: int = 0
    """Rows by which actions are moved, later where positive, before they are checked."""
    skip_bad: bool = False
    """Name damaged episodes and leave them out, instead of stopping at the first."""

    def __post_init__(self) -> None:
        if self.fps is not None and not 0 < self.fps < 1e6:
            raise ValueError(f"convert.fps: expected a rate above 0; got {self.fps}.")
        if abs(self.shift) > 100:
            raise ValueError(f"convert.shift: expected -100 to 100; got {self.shift}.")
        self.width_height()

    def width_height(self) -> tuple[int, int] | None:
        """Of `size`."""
        if not self.size:
            return None
        found = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", self.size)
        if not found or int(found[1]) < 8 or int(found[2] or found[1]) < 8:
            raise ValueError(f"convert.size: expected a size as 64 or 96x64, of 8 at least; got '{self.size}'.")
        return int(found[1]), int(found[2] or found[1])


def run(options: Options) -> None:
    """Writes the episodes that are not there yet."""
    from tqdm import tqdm

    from ..run_folder import RunFolder
    from ..worlds.alignment import alignment_of, check_alignment
    from ..worlds.lerobot import DatasetWriter, encode

    readers = _readers(options)
    bad: dict[int, str] = {}
    aligned = None
    if options.alignment != "off":
        begun = (episode for _, episode in islice(_readable(options, readers, {}), CHECKED))
        measure = partial(check_alignment, what=str(options.source)) if options.alignment == "check" else alignment_of
        aligned = measure(begun)
        print(f"actions and frames: {aligned.words()}")
    with RunFolder(options.out, options, keep_metrics=True) as run_folder:
        asked = {"source": options.source.name, "size": options.size, "images": options.images, "shift": options.shift}
        writer = DatasetWriter(options.out, asked)
        there = len(writer)
        first = int((writer.rows[-1].facts or {}).get("source", -1)) + 1 if there else 0
        with tqdm(total=len(readers), initial=first, unit="episode") as bar:
            for number, episode in _readable(options, readers, bad, first):
                encoded = encode(episode, options.images)
                index = writer.add(replace(encoded, facts=encoded.facts | {"source": number}))
                run_folder.log(episode=index, source=number, frames=len(episode))
                bar.update(number + 1 - bar.n)
        writer.close()
        run_folder.summarise(
            episodes=len(writer),
            frames=writer.frames,
            skipped=bad,
            lag=None if aligned is None else aligned.lag,
            aligned_by=None if aligned is None else aligned.by,
        )
    if not len(writer):
        raise ValueError(f"{options.source}: expected at least one episode to convert; got none that is whole.")
    skipped = f", {len(bad)} skipped" if bad else ""
    print(f"{len(writer)} episodes in {options.out} ({len(writer) - there} new{skipped})")


def _readable(
    options: Options, readers: list[Callable[[], Episode]], bad: dict[int, str], first: int = 0
) -> Iterator[tuple[int, Episode]]:
    """Number and episode of each source, moved and scaled as asked; damaged ones are named, and put in `bad`."""
    from render import FormatError

    from ..worlds.alignment import shifted
    from ..worlds.resize import resized

    size = options.width_height()
    for number in range(first, len(readers)):
        try:
            episode = shifted(readers[number](), options.shift)
            episode = episode if size is None else resized(episode, *size)
        except (FormatError, OSError) as error:
            if not options.skip_bad:
                raise
            bad[number] = str(error)
            print(f"skipped: {error}", file=sys.stderr)
            continue
        yield number, episode


def _readers(options: Options) -> list[Callable[[], Episode]]:
    """What reads each episode of the source, in order; those of shards in the order of their seeds."""
    from ..worlds.lerobot import Keys, find_datasets, open_dataset
    from ..worlds.plain_folder import plain_episodes, read_plain

    if not options.source.exists():
        raise FileNotFoundError(f"{options.source}: expected a dataset, folder or video, found none; check the path.")
    folders = find_datasets(options.source)
    if not folders:
        return [
            partial(read_plain, path, fps=options.fps, task=options.task) for path in plain_episodes(options.source)
        ]
    datasets = [open_dataset(folder, Keys(**asdict(options.keys))) for folder in folders]
    found = [(row.facts or {}, dataset, row.index) for dataset in datasets for row in dataset.catalogue.rows]
    if len(datasets) > 1:
        found.sort(key=lambda at: int(at[0].get("seed", 0)))
    return [partial(dataset.episode, index) for _, dataset, index in found]
