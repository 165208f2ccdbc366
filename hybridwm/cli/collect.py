"""`hybridwm collect --episodes 100`"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ..configuration import load_yaml

MAX_EPISODES = 10_000_000


@dataclass(frozen=True)
class Options:
    """Walk through procedural rooms and keep each walk as one file (format: hybridwm/worlds/episodes.py).

    Each episode is complete on disk before the next begins; a run that was stopped goes on where it was. Seeds from
    10,000,000 on are held out for studies.
    """

    episodes: int = 10
    """Number of rooms, one walk in each."""
    seed: int = 0
    """Seed of the first room; the others follow."""
    frames: int = 60
    """Frames of each walk."""
    size: int = 64
    """Width and height of an image, pixels."""
    batch: int = 8
    """Rooms that are ray cast at once; the episodes do not depend on it."""
    shard: str = "0/1"
    """i/N makes every N-th episode, from the i-th on: one for each machine or job."""
    device: str = "auto"
    """cpu, cuda, or auto."""
    out: Path = Path("runs/collect")
    """Run folder; episodes go to OUT/episodes, of shards to OUT/shard-i-of-N/episodes."""
    config: Annotated[Path | None, tyro.conf.arg(metavar="FILE.yaml")] = None
    """YAML file that fills these options; the command line overrides it."""

    def __post_init__(self) -> None:
        for name, least, most in (("episodes", 1, MAX_EPISODES), ("frames", 2, 100_000), ("batch", 1, 10_000)):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"collect.{name}: expected {least} to {most}; got {getattr(self, name)}.")
        if self.seed < 0:
            raise ValueError(f"collect.seed: expected 0 or above; got {self.seed}.")
        self.numbered_shard()

    def numbered_shard(self) -> tuple[int, int]:
        """(i, N) of `shard`."""
        first, slash, last = self.shard.partition("/")
        if not (slash and first.isdecimal() and last.isdecimal() and int(first) < int(last)):
            raise ValueError(f"collect.shard: expected i/N with 0 <= i < N, as in 0/4; got '{self.shard}'.")
        return int(first), int(last)

    @staticmethod
    def from_file(path: Path) -> Options:
        """Options filled from a YAML file."""
        return load_yaml(path, Options)


def run(options: Options) -> None:
    """Makes the episodes that are not there yet."""
    import torch
    from tqdm import tqdm

    from ..run_folder import RunFolder
    from ..worlds.collection import walk_rooms
    from ..worlds.episodes import load_episode, save_episode
    from ..worlds.rooms.rig import RoomsRig

    rig = RoomsRig(size=options.size)
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    shard, shards = options.numbered_shard()
    folder = options.out / f"shard-{shard}-of-{shards}" if shards > 1 else options.out
    seeds = range(options.seed + shard, options.seed + options.episodes, shards)

    with RunFolder(folder, options, keep_metrics=True) as run_folder:
        files = {seed: run_folder.file(f"episodes/rooms-{seed:08d}.safetensors") for seed in seeds}
        missing = []
        for seed, file in files.items():
            if not file.exists():
                missing.append(seed)
            elif tuple(load_episode(file).rgb.shape[:3]) != (options.frames, options.size, options.size):
                raise ValueError(
                    f"{file}: expected {options.frames} frames of {options.size} pixels, as asked for, got another "
                    "episode; choose another folder"
                )
        with tqdm(total=len(files), initial=len(files) - len(missing), unit="episode") as bar:
            for first in range(0, len(missing), options.batch):
                seeds_now = missing[first : first + options.batch]
                begun = time.perf_counter()
                for episode in walk_rooms(seeds_now, options.frames, rig, device):
                    save_episode(episode, files[episode.seed])
                    bar.update()
                seconds = time.perf_counter() - begun
                run_folder.log(seeds=seeds_now, frames=options.frames * len(seeds_now), seconds=seconds)
        run_folder.summarise(
            episodes=len(files),
            frames=len(files) * options.frames,
            bytes=sum(file.stat().st_size for file in files.values()),
        )
    print(f"{len(files)} episodes in {folder / 'episodes'} ({len(missing)} new)")
