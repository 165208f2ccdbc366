"""One episode by a path that a person types: a file of our own, or a dataset's folder with #i for its i-th."""

from __future__ import annotations

from pathlib import Path

from .episodes import Episode, load_episode
from .lerobot import find_datasets, open_dataset


def named_episode(path: str | Path) -> Episode:
    """`walk.safetensors`; `runs/collect` or `runs/collect#12`, a LeRobot dataset, from 0 on.

    Of shards in one folder, the first are counted first. Raises FileNotFoundError, FormatError, and IndexError's
    words as ValueError where there are not so many.
    """
    folder, index = split_name(path)
    datasets = find_datasets(folder)
    if not datasets:
        if folder.is_dir():
            raise FileNotFoundError(f"{folder}: expected a LeRobot dataset (meta/info.json), found none.")
        return load_episode(folder)
    left = index
    for dataset in map(open_dataset, datasets):
        if left < len(dataset):
            return dataset.episode(left)
        left -= len(dataset)
    raise ValueError(f"{folder}: expected an episode from 0 to {index - left - 1}; got {index}. Name one of those.")


def split_name(path: str | Path) -> tuple[Path, int]:
    """The folder and the number after #, 0 without one; a path that exists is taken as it is."""
    whole, (stem, mark, number) = Path(path), str(path).rpartition("#")
    if mark and number.isdecimal() and not whole.exists():
        return Path(stem), int(number)
    return whole, 0
