"""`hybridwm collect rooms --episodes 100 --workers 2`"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ..configuration import load_yaml

MAX_EPISODES = 10_000_000
MAX_WORKERS = 1024
TOLD_EVERY = 1.0  # seconds between lines of progress where nobody looks at a bar


@dataclass(frozen=True)
class Options:
    """Play episodes in a world and keep them as a LeRobot dataset (docs/episodes.md says what is in it).

    Each episode is whole on disk before it is reported; a run that was stopped goes on where it was, to the same
    bytes. Seeds from 10,000,000 on are held out for studies.
    """

    world: Annotated[Literal["rooms", "doom", "arm"], tyro.conf.Positional] = "rooms"
    """rooms: walks through procedural rooms; doom needs hybridwm[doom]; arm needs hybridwm[arm]."""
    episodes: int = 10
    """Number of episodes, one for each seed."""
    seed: int = 0
    """Seed of the first episode; the others follow."""
    frames: int = 60
    """Frames of each episode, at most."""
    size: int = 64
    """Width and height of an image, pixels."""
    images: Literal["png", "video", "lossy-video"] = "png"
    """png and video keep every bit; lossy-video is small, for pictures of 256 pixels and more."""
    workers: int = 1
    """Processes that play, of one thread each; as many as there are cores is fastest."""
    ray: Annotated[str, tyro.conf.arg(metavar="ADDRESS")] = ""
    """Plays on the machines of a Ray cluster: auto (the one this machine is in), HOST:PORT, ray://HOST:PORT, or local
    (--workers processes here); needs hybridwm[cluster] on each. The episodes are the same, and come here."""
    batch: int = 1
    """Rooms that are ray cast at once, which helps on a GPU; the episodes do not depend on it."""
    shard: str = "0/1"
    """i/N makes every N-th episode, from the i-th on: one for each machine or job."""
    device: str = "auto"
    """Where rooms are ray cast: cpu, cuda, or auto."""
    out: Path = Path("runs/collect")
    """Run folder and dataset; of shards OUT/shard-i-of-N, which `hybridwm convert OUT` joins."""
    config: Annotated[Path | None, tyro.conf.arg(metavar="FILE.yaml")] = None
    """YAML file that fills these options; the command line overrides it."""

    def __post_init__(self) -> None:
        limits = {"episodes": MAX_EPISODES, "frames": 100_000, "size": 8192, "batch": 10_000, "workers": MAX_WORKERS}
        for name, most in limits.items():
            least = {"frames": 2, "size": 8}.get(name, 1)
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
    from ..worlds.cluster import episodes_by_ray, import_ray
    from ..worlds.collection import check_world
    from ..worlds.lerobot import DatasetWriter
    from ..worlds.workers import Job, encoded_episodes

    check_world(options.world)
    if options.ray:
        import_ray()
    device = options.device
    if device == "auto":  # other machines' GPUs are not known here
        device = "cuda" if torch.cuda.is_available() and not options.ray else "cpu"
    shard, shards = options.numbered_shard()
    folder = options.out / f"shard-{shard}-of-{shards}" if shards > 1 else options.out
    seeds = range(options.seed + shard, options.seed + options.episodes, shards)
    job = Job(options.world, options.frames, options.size, options.images, device)

    with RunFolder(folder, options, keep_metrics=True) as run_folder:
        # not how they are made: batch, workers and device; episodes may be added later
        asked = {name: value for name, value in asdict(job).items() if name != "device"}
        writer = DatasetWriter(folder, {"seed": seeds.start, "seeds_apart": shards} | asked)
        there = len(writer)
        missing = seeds[there:]
        begun, frames_there = time.perf_counter(), writer.frames
        with tqdm(total=len(seeds), initial=min(there, len(seeds)), unit="episode", mininterval=TOLD_EVERY) as bar:
            spread = partial(episodes_by_ray, address=options.ray) if options.ray else encoded_episodes
            made = spread(job, missing, workers=options.workers, batch=options.batch)
            for seed, episode in zip(missing, made, strict=True):
                index = writer.add(episode)
                seconds = time.perf_counter() - begun
                # From here on the episode is acknowledged: no kill may lose it.
                run_folder.log(episode=index, seed=seed, frames=len(episode), seconds=seconds)
                bar.update()
        writer.close()
        seconds = time.perf_counter() - begun
        files = [file for name in ("data", "videos") for file in (folder / name).rglob("*") if file.is_file()]
        run_folder.summarise(
            world=options.world,
            episodes=len(writer),
            frames=writer.frames,
            bytes=sum(file.stat().st_size for file in files),
            new_frames_per_second=(writer.frames - frames_there) / seconds if len(missing) else None,
        )
    print(f"{len(writer)} episodes of {options.world} in {folder} ({len(missing)} new)")
