"""One camera's view through the stages, forward and backward, on NumPy arrays; threads, memory and padding."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .bins import count_pairs, list_pairs, place_lists
from .budget import check_pairs
from .composite import composite, composite_features
from .composite_backward import SLOT, composite_backward, composite_features_backward
from .project import project
from .project_backward import CAMERA_SUMS, gather_features, project_backward
from .records import RECORD, TILE_HEIGHT, TILE_WIDTH
from .workers import run

GROUP = 8  # Gaussians in one vector
FEATURE_PASS = 8  # channels that one more pass over the lists takes
# Gaussians that are worked on together.
BLOCK = 4096


@dataclass(frozen=True)
class Columns:
    """The Gaussians' arrays, contiguous float32: [N, 3], [N, 4], [N, 3], [N], [N, K, 3], [N, F] (F may be 0)."""

    means: np.ndarray
    quats: np.ndarray
    scales: np.ndarray
    opacities: np.ndarray
    sh: np.ndarray
    features: np.ndarray

    def __len__(self) -> int:
        return len(self.means)

    def parts(self) -> list[tuple[int, bool, list[np.ndarray]]]:
        """(first Gaussian, padded, flat arrays): whole groups of eight as they are; the last few padded with zeros.

        The arrays: means, quats, scales, opacities, sh, and the feature that rides with the colours, if any.
        """
        feature = self.features[:, 0] if self.features.shape[1] == 1 else self.features[:0, :0]
        columns = [self.means, self.quats, self.scales, self.opacities, self.sh, feature]
        whole = len(self) // GROUP * GROUP
        parts = [(0, False, [column[:whole].reshape(-1) for column in columns])]
        if whole < len(self):
            parts.append((whole, True, [_padded(column, whole).reshape(-1) for column in columns]))
        return parts


def _padded(column: np.ndarray, whole: int) -> np.ndarray:
    """A copy of the rows from `whole` on, with zeros up to eight; empty columns stay empty."""
    padded = np.zeros((GROUP if len(column) else 0, *column.shape[1:]), np.float32)
    padded[: len(column[whole:])] = column[whole:]
    return padded


@dataclass
class Images:
    """What one view shows: rgb [H, W, 3], alpha [H, W], depth [H, W], features [H, W, F]; or their gradients."""

    rgb: np.ndarray
    alpha: np.ndarray
    depth: np.ndarray
    features: np.ndarray

    def flat(self) -> list[np.ndarray]:
        return [self.rgb.reshape(-1), self.alpha.reshape(-1), self.depth.reshape(-1), self.features.reshape(-1)]


@dataclass(frozen=True)
class Blocks:
    """Gaussians in runs of fixed length, so that no sum over them depends on the number of threads.

    begins, limits: the Gaussians of each block, the last block being the incomplete group of eight, if there is
    one; begins, ends: its records, which are fewer where some are out of view.
    """

    begins: np.ndarray
    limits: np.ndarray
    ends: np.ndarray
    whole: int  # blocks of whole groups

    @staticmethod
    def of(count: int) -> Blocks:
        whole, padded = count // GROUP * GROUP, -(-count // GROUP) * GROUP
        begins = np.arange(0, whole, BLOCK, dtype=np.int64)
        number = len(begins)
        if padded > whole:
            begins = np.append(begins, whole)
        limits = np.append(begins[1:], padded)[: len(begins)]
        return Blocks(begins, limits, limits.copy(), number)

    def share(self, thread: int, threads: int) -> tuple[int, int]:
        """First and past-the-last block of one thread's share."""
        return len(self.begins) * thread // threads, len(self.begins) * (thread + 1) // threads

    def within(self, share: tuple[int, int], padded: bool) -> tuple[int, int]:
        """The blocks of a share that are whole groups, or that are the padded one."""
        first, last = share
        return (max(first, self.whole), last) if padded else (first, min(last, self.whole))


@dataclass
class Workspace:
    """What the forward pass leaves for the backward pass; its memory is used again, being slow to get."""

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    offsets: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))
    pairs: int = 0
    blocks: Blocks = field(default_factory=lambda: Blocks.of(0))

    def get(self, name: str, size: int, dtype: Any) -> np.ndarray:
        """An array of this size, of any content."""
        held = self.arrays.get(name)
        if held is None or held.size < size:
            self.arrays.pop(name, None)
            held = self.arrays[name] = np.empty(size + size // 8, dtype)
        return held[:size]


_idle: list[Workspace] = []
_lock = threading.Lock()
MAX_IDLE = 2  # workspaces that wait for the next render; each may be as large as the scene


def borrow() -> Workspace:
    """A workspace of one's own, until give_back."""
    with _lock:
        return _idle.pop() if _idle else Workspace()


def give_back(workspace: Workspace) -> None:
    with _lock:
        if len(_idle) < MAX_IDLE:
            _idle.append(workspace)


def bin_view(
    columns: Columns, camera: np.ndarray, width: int, height: int, antialiased: bool, threads: int, space: Workspace
) -> int:
    """Projects, and lists each tile's pairs, unsorted. Returns the longest list's length, or minus the index of the
    first of eight rows with an impossible value, minus 1.

    Raises ValueError when the lists would not fit into memory.
    """
    padded = -(-len(columns) // GROUP) * GROUP
    records = space.get("records", RECORD * padded, np.float32)
    groups = space.get("groups", padded // GROUP, np.uint32)
    first_slot, slots = space.get("first_slot", padded, np.uint32), space.get("slots", padded, np.uint32)
    tiles_x, tiles_y = -(-width // TILE_WIDTH), -(-height // TILE_HEIGHT)
    counts = np.empty((threads, tiles_x * tiles_y), np.int64)
    blocks = space.blocks = Blocks.of(len(columns))
    coefficients, parts = columns.sh.shape[1], columns.parts()

    def first(thread: int) -> tuple[int, int]:
        mine = blocks.share(thread, threads)
        for offset, is_padded, (*geometry, sh, feature) in parts:
            within = blocks.within(mine, is_padded)
            bad = project(
                *within, blocks.begins, blocks.ends, offset, *geometry, sh, coefficients, feature, camera,
                width, height, antialiased, records, groups,
            )  # fmt: skip
            if bad >= 0:
                return 0, bad
        return count_pairs(*mine, blocks.begins, blocks.ends, records, tiles_x, counts[thread], first_slot, slots), -1

    found = run(threads, first)
    for _, bad in found:
        if bad >= 0:
            return -1 - bad
    space.offsets = np.empty(tiles_x * tiles_y + 1, np.int64)
    longest = place_lists(counts, space.offsets)
    pairs = space.pairs = int(space.offsets[-1])
    check_pairs(pairs, len(columns), width, height)
    before = np.concatenate([[0], np.cumsum([count for count, _ in found])])
    keys = space.get("keys", pairs, np.uint64)
    splat_of_slot = space.get("splat_of_slot", pairs, np.uint32)

    def second(thread: int) -> None:
        list_pairs(
            *blocks.share(thread, threads), blocks.begins, blocks.ends, records, tiles_x, counts[thread],
            before[thread], first_slot, slots, keys, splat_of_slot,
        )  # fmt: skip

    run(threads, second)
    return longest


def draw(
    columns: Columns, width: int, height: int, longest: int, threads: int, space: Workspace, images: Images
) -> None:
    """Sorts the lists of bin_view, whose longest is given, and blends them into the images."""
    pairs, arrays = space.pairs, space.arrays
    lists = [space.get(name, pairs, np.uint32) for name in ("splats", "slots_in_order")]
    count = columns.features.shape[1]
    template = (np.float32(0),) * (5 if count == 1 else 4)
    counter = np.zeros(1, np.int64)
    run(
        threads,
        lambda thread: composite(
            counter, longest, arrays["records"], arrays["keys"], arrays["splat_of_slot"], *lists, space.offsets,
            width, height, template, *images.flat(),
        ),
    )  # fmt: skip
    if count < 2:
        return
    table, image = padded_features(columns.features), images.features.reshape(-1)

    def more(first: int) -> Callable[[int], None]:
        counter = np.zeros(1, np.int64)
        template = (np.float32(0),) * FEATURE_PASS
        return lambda thread: composite_features(
            counter, arrays["records"], arrays["groups"], table.reshape(-1), table.shape[1], first, lists[0],
            space.offsets, width, height, template, image, count,
        )  # fmt: skip

    for first in range(0, count, FEATURE_PASS):
        run(threads, more(first))


def padded_features(features: np.ndarray) -> np.ndarray:
    """Features with zero columns up to a whole number of passes."""
    return np.pad(features, ((0, 0), (0, -features.shape[1] % FEATURE_PASS)))


def backward(
    columns: Columns, camera: np.ndarray, width: int, height: int, antialiased: bool, threads: int, space: Workspace,
    images: Images, along: Images, absolute: np.ndarray,
) -> tuple[Columns, np.ndarray]:  # fmt: skip
    """Gradients of the columns, and 24 float64 sums for the camera, of a view that draw has drawn.

    along: the gradients of the images. absolute: zeros [N, 2] to be filled, or empty.
    """
    arrays, offsets = space.arrays, space.offsets
    lists = [space.get(name, space.pairs, np.uint32) for name in ("splats", "slots_in_order")]
    scratch = borrow()
    sums = scratch.get("sums", SLOT * space.pairs, np.float32)
    gradients = Columns(*(np.empty_like(value) for value in vars(columns).values()))
    count, add = columns.features.shape[1], False
    if count > 1:
        gradients.features.fill(0)
        for first in range(0, count, FEATURE_PASS):
            _feature_pass(
                columns.features, gradients.features, first, width, height, threads, space, images, along, sums
            )
            add = True  # the moments of the passes add up
    counter = np.zeros(1, np.int64)
    template = (np.float32(0),) * (5 if count == 1 else 4)
    marker = (np.float32(0),) if absolute.size else ()
    run(
        threads,
        lambda thread: composite_backward(
            counter, arrays["records"], *lists, offsets, width, height, template, marker,
            *images.flat(), *along.flat(), sums, add,
        ),
    )  # fmt: skip
    camera_sums = _to_gaussians(
        columns, gradients, camera, width, height, antialiased, threads, space, sums, absolute
    )
    give_back(scratch)
    return gradients, camera_sums


def _feature_pass(features, features_gradient, first, width, height, threads, space, images, along, sums) -> None:
    arrays, blocks, counter = space.arrays, space.blocks, np.zeros(1, np.int64)
    lists = [space.get(name, space.pairs, np.uint32) for name in ("splats", "slots_in_order")]
    table, channels = padded_features(features), features.shape[1]
    image, gradient = images.features.reshape(-1), along.features.reshape(-1)
    template = (np.float32(0),) * FEATURE_PASS
    run(
        threads,
        lambda thread: composite_features_backward(
            counter, arrays["records"], arrays["groups"], table.reshape(-1), table.shape[1], first, *lists,
            space.offsets, width, height, template, image, gradient, channels, sums, first > 0,
        ),
    )  # fmt: skip
    run(
        threads,
        lambda thread: gather_features(
            *blocks.share(thread, threads), blocks.begins, blocks.ends, arrays["groups"], arrays["first_slot"],
            arrays["slots"], sums, first, channels, features_gradient.reshape(-1),
        ),
    )  # fmt: skip


def _to_gaussians(columns, gradients, camera, width, height, antialiased, threads, space, sums, absolute):
    """From slots to the gradients of Gaussians and camera; the incomplete group goes through arrays of its own."""
    blocks, kept = space.blocks, [space.arrays[name] for name in ("records", "groups", "first_slot", "slots")]
    coefficients, rides = columns.sh.shape[1], columns.features.shape[1] == 1
    camera_sums = np.zeros((len(blocks.begins), CAMERA_SUMS), np.float32)
    targets = [gradients.means, gradients.quats, gradients.scales, gradients.opacities, gradients.sh]
    targets += [gradients.features[:, 0] if rides else gradients.features[:0, :0], absolute]
    for offset, is_padded, (*geometry, sh, _) in columns.parts():
        last = [_padded(target, offset) for target in targets] if is_padded else []
        flat = [target.reshape(-1) for target in last or targets]

        def work(thread, offset=offset, is_padded=is_padded, geometry=geometry, sh=sh, flat=flat) -> None:
            project_backward(
                *blocks.within(blocks.share(thread, threads), is_padded), blocks.begins, blocks.limits, blocks.ends,
                offset, *geometry, sh, coefficients, camera, width, height, antialiased, *kept, sums, *flat,
                camera_sums.reshape(-1),
            )  # fmt: skip

        run(threads, work)
        for target, part in zip(targets, last, strict=False):
            target[offset:] = part[: len(target[offset:])]
    return camera_sums.sum(axis=0, dtype=np.float64)
