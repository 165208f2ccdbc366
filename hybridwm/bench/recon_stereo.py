"""Stereo on real pairs with known disparity: ours beside OpenCV's semi-global matching alone, in turns.

`python -m hybridwm.bench.recon_stereo DATA_FOLDER`, where DATA_FOLDER/stereo_gt holds the pairs that PAIRS names.
Bad-n: share of pixels that are off by more than n pixels, holes filled; D1: by more than 3 pixels and 5 %.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from numpy import ndarray
from rich.console import Console
from rich.table import Table

from recon import read_calibration
from recon.stereo import LEAST_CONFIDENCE, default_max_disparity, match
from recon.stereo_refinement import fill_disparity
from render.images import read_image

PAIRS = ("tsukuba", "cones", "motorcycle_q", "kitti2015_000046", "sceneflow_A_0032_0006")
DROPPED = 0.1  # the share of least confident pixels that is left out
ROUNDS = 5


@dataclass(frozen=True)
class TruePair:
    """A rectified pair: images [H, W, 3] in 0..1, true disparity [H, W] (inf: unknown), where it is visible to both
    eyes, and the search range in pixels, None where the data set states none."""

    left: ndarray
    right: ndarray
    truth: ndarray
    visible: ndarray
    search: int | None

    @property
    def known(self) -> ndarray:
        return np.isfinite(self.truth)


def read_true_pair(folder: Path) -> TruePair:
    """The pair in a folder of stereo_gt, each encoded as its SOURCE.txt says."""

    def image(name: str) -> ndarray:
        return np.asarray(read_image(folder / name))

    def mask(name: str) -> ndarray:
        return image(name)[..., 0] == 1

    def integers(name: str, scale: float) -> ndarray:
        values = cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED)
        if values is None:
            raise FileNotFoundError(f"{folder / name}: no such image; expected the true disparity.")
        values = values if values.ndim == 2 else values[..., 0]
        return np.where(values > 0, values / scale, np.inf)

    if folder.name == "motorcycle_q":
        search = read_calibration(folder / "calib.txt").max_disparity
        visible = mask("mask0nocc.png")
        return TruePair(image("im0.png"), image("im1.png"), _pfm(folder / "disp0GT.pfm"), visible, search)
    if folder.name.startswith("kitti"):
        truth = integers("disp_occ_0.png", 256)
        return TruePair(image("left.png"), image("right.png"), truth, np.isfinite(truth), None)
    if folder.name.startswith("sceneflow"):
        visible = image("occ_left.png")[..., 0] == 0
        return TruePair(image("left.png"), image("right.png"), _pfm(folder / "disp_left.pfm"), visible, None)
    scale, search = {"tsukuba": (16, 16), "cones": (4, 64)}[folder.name]
    truth = np.where(mask("all.png"), integers("groundtruth.png", scale), np.inf)
    return TruePair(image("imL.png"), image("imR.png"), truth, mask("nonocc.png"), search)


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


def measure(data_folder: str | Path) -> dict:
    """What measure_pair says, by the name of the pair; those that are absent are left out."""
    folders = [Path(data_folder) / "stereo_gt" / name for name in PAIRS]
    return {folder.name: measure_pair(folder) for folder in folders if folder.is_dir()}


def measure_pair(folder: Path) -> dict:
    """{"ours", "sgbm": figures and ms, "ratio": ours / sgbm of the time, "cut_visible", "cut_all", "reliability", and,
    where there is a calibration, "depth_error": the median relative one of the visible pixels}.

    Times are medians of ROUNDS rounds in which both take their turn.
    """
    pair = read_true_pair(folder)
    search = pair.search or default_max_disparity(pair.left.shape[1])
    disparity, confidence = match(pair.left, pair.right, search)
    ours = figures(pair, disparity, confidence >= LEAST_CONFIDENCE)
    theirs = figures(pair, *opencv_sgbm(pair.left, pair.right, search))
    rounds = [
        (
            _seconds(lambda: match(pair.left, pair.right, search)),
            _seconds(lambda: opencv_sgbm(pair.left, pair.right, search)),
        )
        for _ in range(ROUNDS)
    ]
    ours["ms"], theirs["ms"] = (1000 * median(seconds) for seconds in zip(*rounds, strict=True))
    visible = pair.visible & pair.known
    result = {
        "ours": ours,
        "sgbm": theirs,
        "ratio": median(a / b for a, b in rounds),
        "cut_visible": confidence_cut(pair, disparity, confidence, visible),
        "cut_all": confidence_cut(pair, disparity, confidence, pair.known),
        "reliability": reliability(pair, disparity, confidence),
    }
    if (folder / "calib.txt").is_file():
        offset = read_calibration(folder / "calib.txt").disparity_offset
        relative = (pair.truth[visible] + offset) / (disparity[visible] + offset) - 1
        result["depth_error"] = float(np.median(np.abs(relative)))
    return result


def main(data_folder: str) -> None:
    """Prints the tables."""
    console, results = Console(width=150), measure(data_folder)
    if not results:
        sys.exit(f"{data_folder}/stereo_gt: expected one of the folders {', '.join(PAIRS)}; found none.")
    table = Table(
        "pair", "", "bad-1", "bad-2", "EPE", "bad-1 all", "bad-2 all", "D1", "density", "ms", "cut of bad-2, all"
    )
    columns = ("bad1_visible", "bad2_visible", "EPE_visible", "bad1_all", "bad2_all", "D1", "density", "ms")
    for name, result in results.items():
        for who in ("ours", "sgbm"):
            numbers = [f"{result[who][column]:.{0 if column == 'ms' else 2}f}" for column in columns]
            cut = f"{result['cut_visible']:.0%} {result['cut_all']:.0%}" if who == "ours" else ""
            table.add_row(name if who == "ours" else "", who, *numbers, cut)
    console.print(table)
    bins = Table("confidence: right within a pixel (share)", *(f"{i / 10:.1f}" for i in range(10)))
    for name, result in results.items():
        bins.add_row(name, *(f"{c:.2f}: {r:.2f} ({n:.0%})" if n else "" for c, r, n in result["reliability"]))
    console.print(bins)
    for name, result in results.items():
        console.print(f"{name}: {result['ratio']:.2f} x the time of SGBM", end="")
        console.print(f"; median depth error {result['depth_error']:.2%}" if "depth_error" in result else "")


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _pfm(path: Path) -> ndarray:
    """A grey PFM as float32 [H, W], its first row on top."""
    content = path.read_bytes()
    header = re.match(rb"Pf\s+(\d+)\s+(\d+)\s+(-?)\S+\s", content)
    if header is None:
        raise ValueError(f"{path}: expected a grey PFM, which begins with Pf; got {content[:8]!r}.")
    width, height = int(header[1]), int(header[2])
    kind = "<f4" if header[3] else ">f4"
    return np.frombuffer(content[header.end() :], kind).reshape(height, width)[::-1].astype(np.float32)


if __name__ == "__main__":
    main(*sys.argv[1:])
