"""Stereo on real pairs and held-out rooms: ours, with learned costs, and OpenCV's semi-global matching alone, in turns.

`python -m hybridwm.bench.recon_stereo DATA_FOLDER`, where DATA_FOLDER/stereo_gt holds the pairs that PAIRS names.
Bad-n: share of pixels that are off by more than n pixels, holes filled; D1: by more than 3 pixels and 5 %.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import mean, median

import cv2
import numpy as np
from numpy import ndarray
from rich.console import Console
from rich.table import Table

from recon import read_calibration
from recon.learned_stereo import learned_costs
from recon.stereo import LEAST_CONFIDENCE, default_max_disparity, match
from recon.stereo_refinement import fill_disparity

from .recon_stereo_pairs import TruePair, read_true_pair, room_pair

PAIRS = ("tsukuba", "cones", "motorcycle_q", "kitti2015_000046", "sceneflow_A_0032_0006")
ROOMS = {(64, 64): 24, (320, 240): 6}  # width and height: how many
HELD_OUT = 10_000_000  # first seed of rooms that nothing was tuned on
DROPPED = 0.1  # the share of least confident pixels that is left out
ROUNDS = 5


def opencv_sgbm(left: ndarray, right: ndarray, search: int) -> tuple[ndarray, ndarray]:
    """Disparity [H, W], filled from the background of each row, and where it was measured; OpenCV's matcher alone."""
    search = -(-search // 16) * 16
    # It leaves the first columns unmatched, as many as disparities: both images go on to the left.
    images = [
        cv2.copyMakeBorder((np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8), 0, 0, search, 0, cv2.BORDER_REPLICATE)
        for image in (left, right)
    ]
    matcher = cv2.StereoSGBM.create(
        minDisparity=0,
        numDisparities=search,
        blockSize=5,
        P1=8 * 3 * 25,
        P2=32 * 3 * 25,
        disp12MaxDiff=1,
        preFilterCap=31,
        uniquenessRatio=0,
        mode=cv2.STEREO_SGBM_MODE_HH,
    )
    disparity = matcher.compute(*images)[:, search:].astype(np.float32) / 16
    return fill_disparity(disparity, disparity >= 0), disparity >= 0


def figures(pair: TruePair, disparity: ndarray, measured: ndarray) -> dict[str, float]:
    """Bad-1, bad-2 (%) and the mean error (EPE, pixels) of the visible and of all pixels, D1 (%), density (%)."""
    error = np.abs(disparity - np.where(pair.known, pair.truth, 0))
    visible = pair.visible & pair.known
    far = (error > 3) & (error > 0.05 * pair.truth)
    values = {"D1": far[pair.known].mean() * 100, "density": measured[pair.known].mean() * 100}
    for name, mask in (("visible", visible), ("all", pair.known)):
        values[f"bad1_{name}"] = (error[mask] > 1).mean() * 100
        values[f"bad2_{name}"] = (error[mask] > 2).mean() * 100
        values[f"EPE_{name}"] = error[mask].mean()
    return {name: float(value) for name, value in values.items()}


def confidence_cut(pair: TruePair, disparity: ndarray, confidence: ndarray, mask: ndarray) -> float:
    """By which share bad-2 falls when the least confident DROPPED of the pixels are left out."""
    wrong = np.abs(disparity - np.where(pair.known, pair.truth, 0))[mask] > 2
    order = np.argsort(confidence[mask], kind="stable")
    return float(1 - wrong[order[int(DROPPED * len(order)) :]].mean() / max(wrong.mean(), 1e-9))


def reliability(pair: TruePair, disparity: ndarray, confidence: ndarray) -> list[tuple[float, float, float]]:
    """For each tenth of confidence: its mean, the share of pixels right within one, and the share of all measured."""
    measured = pair.known & (confidence >= LEAST_CONFIDENCE)
    right = np.abs(disparity - np.where(pair.known, pair.truth, 0)) <= 1
    tenth = np.minimum((confidence * 10).astype(int), 9)
    bins = []
    for i in range(10):
        chosen = measured & (tenth == i)
        share = float(chosen.sum() / max(1, measured.sum()))
        empty = not chosen.any()
        bins.append(
            (0.0, 0.0, 0.0) if empty else (float(confidence[chosen].mean()), float(right[chosen].mean()), share)
        )
    return bins


Matcher = Callable[[ndarray, ndarray, int], tuple[ndarray, ndarray]]
"""(left, right, search) -> disparity [H, W] and confidence [H, W] (of SGBM: 1 where it measured, 0 in holes)"""


def matchers() -> dict[str, Matcher]:
    """Ours with its two matching costs, and the reference."""
    learned = learned_costs("stereo-rooms")
    return {
        "ours": match,
        "learned": lambda left, right, search: match(left, right, search, learned),
        "sgbm": lambda left, right, search: _floats(*opencv_sgbm(left, right, search)),
    }


def measure(data_folder: str | Path) -> dict:
    """What measure_pair says, by the name of the pair, and measure_rooms, by the size; absent pairs are left out."""
    folders = [Path(data_folder) / "stereo_gt" / name for name in PAIRS]
    found = {folder.name: measure_pair(folder) for folder in folders if folder.is_dir()}
    return {**found, "rooms": measure_rooms()}


def measure_pair(folder: Path) -> dict:
    """{"ours", "learned", "sgbm": figures and ms, "ratio", "learned_ratio": their time / that of sgbm}.

    Of ours and the learned one also "cut_visible", "cut_all", "reliability" and, where there is a calibration,
    "depth_error", the median relative one of the visible pixels. Times are medians of ROUNDS rounds in turns.
    """
    pair = read_true_pair(folder)
    search = pair.search or default_max_disparity(pair.left.shape[1])
    result, contenders = {}, matchers()
    for who, matcher in contenders.items():
        disparity, confidence = matcher(pair.left, pair.right, search)
        result[who] = figures(pair, disparity, confidence >= LEAST_CONFIDENCE)
        if who == "sgbm":
            continue
        result[who]["cut_visible"] = confidence_cut(pair, disparity, confidence, pair.visible & pair.known)
        result[who]["cut_all"] = confidence_cut(pair, disparity, confidence, pair.known)
        result[who]["reliability"] = reliability(pair, disparity, confidence)
        if (folder / "calib.txt").is_file():
            offset = read_calibration(folder / "calib.txt").disparity_offset
            result[who]["depth_error"] = depth_error(pair, disparity, offset)
    rounds = [
        [_seconds(partial(matcher, pair.left, pair.right, search)) for matcher in contenders.values()]
        for _ in range(ROUNDS)
    ]
    for who, seconds in zip(contenders, zip(*rounds, strict=True), strict=True):
        result[who]["ms"] = 1000 * median(seconds)
    result["ratio"] = median(ours / theirs for ours, _, theirs in rounds)
    result["learned_ratio"] = median(learned / theirs for _, learned, theirs in rounds)
    return result


def measure_rooms() -> dict:
    """{"64x64", "320x240": {"ours", "learned", "sgbm": "bad1", "depth_error", and but for sgbm "reliability"}}.

    Means over held-out rooms of the share of visible pixels (%) that is off by more than one, and of the median
    relative depth error there; no matcher was tuned on them.
    """
    result: dict = {}
    for (width, height), count in ROOMS.items():
        pairs = [room_pair(HELD_OUT + i, width, height) for i in range(count)]
        for who, matcher in matchers().items():
            found = [matcher(pair.left, pair.right, width // 2) for pair in pairs]
            both = [(pair, *values) for pair, values in zip(pairs, found, strict=True)]
            row: dict = {
                "bad1": mean(figures(pair, disparity, trust > 0)["bad1_visible"] for pair, disparity, trust in both),
                "depth_error": mean(depth_error(pair, disparity) for pair, disparity, _ in both),
            }
            if who != "sgbm":
                row["reliability"] = reliability(*_pooled(both))
            result.setdefault(f"{width}x{height}", {})[who] = row
    return result


def depth_error(pair: TruePair, disparity: ndarray, offset: float = 0.0) -> float:
    """The median relative depth error of the visible pixels; offset is added to disparities (doffs)."""
    visible = pair.visible & pair.known
    relative = (pair.truth[visible] + offset) / np.maximum(disparity[visible] + offset, 0.1) - 1
    return float(np.median(np.abs(relative)))


def main(data_folder: str) -> None:
    """Prints the tables."""
    console, results = Console(width=150), measure(data_folder)
    rooms = results.pop("rooms")
    if not results:
        sys.exit(f"{data_folder}/stereo_gt: expected one of the folders {', '.join(PAIRS)}; found none.")
    table = Table(
        "pair", "", "bad-1", "bad-2", "EPE", "bad-1 all", "bad-2 all", "D1", "density", "ms", "cut of bad-2, all"
    )
    columns = ("bad1_visible", "bad2_visible", "EPE_visible", "bad1_all", "bad2_all", "D1", "density", "ms")
    for name, result in results.items():
        for who in ("ours", "learned", "sgbm"):
            numbers = [f"{result[who][column]:.{0 if column == 'ms' else 2}f}" for column in columns]
            cut = f"{result[who]['cut_visible']:.0%} {result[who]['cut_all']:.0%}" if who != "sgbm" else ""
            table.add_row(name if who == "ours" else "", who, *numbers, cut)
    console.print(table)
    held_out = Table("held-out rooms", "", "bad-1", "median depth error")
    for name, result in rooms.items():
        for who, row in result.items():
            held_out.add_row(name if who == "ours" else "", who, f"{row['bad1']:.2f}", f"{row['depth_error']:.2%}")
    console.print(held_out)
    bins = Table("confidence: right within a pixel (share)", "", *(f"{i / 10:.1f}" for i in range(10)))
    for name, result in {**results, **rooms}.items():
        for who in ("ours", "learned"):
            told = result[who]["reliability"]
            bins.add_row(name, who, *(f"{c:.2f}: {r:.2f} ({n:.0%})" if n else "" for c, r, n in told))
    console.print(bins)
    for name, result in results.items():
        times = f"{result['ratio']:.2f} x the time of SGBM, learned {result['learned_ratio']:.2f} x"
        console.print(f"{name}: {times}", end="")
        error = result["ours"].get("depth_error")
        console.print("" if error is None else f"; median depth error {error:.2%}")


def _floats(disparity: ndarray, measured: ndarray) -> tuple[ndarray, ndarray]:
    return disparity, measured.astype(np.float32)


def _pooled(found: list[tuple[TruePair, ndarray, ndarray]]) -> tuple[TruePair, ndarray, ndarray]:
    """All pairs of one size as one."""
    pairs = [pair for pair, _, _ in found]
    left, right, truth, visible = (
        np.concatenate([getattr(pair, name) for pair in pairs]) for name in ("left", "right", "truth", "visible")
    )
    disparity, confidence = (np.concatenate([values[i] for _, *values in found]) for i in (0, 1))
    return TruePair(left, right, truth, visible, None), disparity, confidence


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main(*sys.argv[1:])
