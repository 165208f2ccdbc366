"""The readers of recorded sequences, held against figures that are known for their files.

`python -m hybridwm.bench.recon_readers DATA` prints them. Each has a control beside it: the same figure with one
convention wrong, which has to be clearly worse.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from recon.alignment import align
from recon.features import find_features, match_features
from recon.readers import ColmapModel, Trajectory, associate, read_captured, read_model, read_trajectory
from recon.view import View
from render.camera import Camera
from render.conventions import MIRRORED_Y, opengl_c2w_from_w2c
from render.transforms import transform_points

WITHIN = 0.05
LONGEST_GAP = 0.01  # seconds between poses that are compared, as evo pairs them
GROSS = 4.0  # pixels: matches farther from their epipolar line are wrong ones, whatever the cameras


def measure(data_folder: str | Path) -> dict[str, float]:
    """Of the recordings under data_folder that are there. Pixels, shares, metres, as each name says."""
    data, figures = Path(data_folder), {}
    for folder, measured in (
        ("multiview/maupertuis_colmap_txt", _colmap),
        ("multiview/hololens000_a", _hololens),
        ("multiview/icl_nuim_livingroom_5", _icl_nuim),
        ("multiview/7scenes_redkitchen_a", _seven_scenes),
        ("multiview/tum_fr2_desk_10", _tum),
        ("multiview/fox_train", _fox),
        ("trajectories/evo_tum_kitti", _trajectories),
    ):
        if (data / folder).is_dir():
            figures |= {f"{folder.split('/')[1]}: {name}": value for name, value in measured(data / folder).items()}
    return figures


def depth_reprojection(a: View, b: View) -> tuple[float, float]:
    """Median relative difference between a's depth taken to b and the depth that b has in that pixel, and the share
    within 5 %, over pixels that both measure and that are not hidden (0.3 of the depth or more behind another)."""
    assert a.depth is not None and b.depth is not None
    origin, rays = a.camera.rays()
    known = a.depth > 0
    points = origin + a.depth[known][:, None] * rays[known]
    camera = transform_points(b.camera.w2c, points)
    pixels = camera[:, :2] / camera[:, 2:] * b.camera.K.diagonal()[:2] + b.camera.K[:2, 2]
    u, v = pixels.floor().long().unbind(dim=1)
    seen = (camera[:, 2] > 0) & (u >= 0) & (v >= 0) & (u < b.width) & (v < b.height)
    there, z = b.depth[v[seen], u[seen]], camera[seen, 2]
    error = ((z - there).abs() / z)[(there > 0)]
    return float(error.median()), float((error < WITHIN).float().mean())


def epipolar_error(a: View, b: View) -> tuple[float, float]:
    """Of SIFT matches: the median Sampson error in pixels under the given cameras, of those below 4 pixels, and the
    share of all that are."""
    found = [find_features(view.image) for view in (a, b)]
    pairs = match_features(found[0], found[1])
    return _sampson(a.camera, b.camera, found[0].pixels[pairs[:, 0]], found[1].pixels[pairs[:, 1]])


def _sampson(a: Camera, b: Camera, pixels_a: Tensor, pixels_b: Tensor) -> tuple[float, float]:
    b_from_a = b.w2c.double() @ torch.linalg.inv(a.w2c.double())
    x, y, z = b_from_a[:3, 3]
    zero = torch.zeros(())
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).reshape(3, 3)
    F = torch.linalg.inv(b.K.double()).T @ cross @ b_from_a[:3, :3] @ torch.linalg.inv(a.K.double())
    here, there = (torch.nn.functional.pad(pixels.double(), (0, 1), value=1.0) for pixels in (pixels_a, pixels_b))
    lines_b, lines_a = here @ F.T, there @ F
    gradient = lines_b[:, :2].square().sum(1) + lines_a[:, :2].square().sum(1)
    error = (there * lines_b).sum(1).abs() / gradient.sqrt()
    return float(error[error < GROSS].median()), float((error < GROSS).double().mean())


def over_pairs(
    views: Sequence[View], pairs: Sequence[tuple[int, int]], error: Callable[[View, View], tuple[float, float]]
) -> tuple[float, float]:
    """The medians of both figures over pairs of views."""
    values = torch.tensor([error(views[a], views[b]) for a, b in pairs])
    return float(values[:, 0].median()), float(values[:, 1].median())


def moved(view: View, w2c: Float[Tensor, "4 4"] | None = None, K: Float[Tensor, "3 3"] | None = None) -> View:
    """The view with another pose or other intrinsics: for the controls."""
    camera = view.camera
    w2c, K = camera.w2c if w2c is None else w2c.float(), camera.K if K is None else K
    return replace(view, camera=Camera(K, w2c, camera.width, camera.height))


def wrong_axes(view: View) -> View:
    """As if OpenCV's axes had been taken for OpenGL's."""
    return moved(view, torch.linalg.inv(opengl_c2w_from_w2c(view.camera.w2c)))


def shifted_error(model: ColmapModel, pixels: float) -> float:
    """Mean reprojection error in pixels, the cameras' principal points moved by that many."""
    cameras = {key: replace(lens, cx=lens.cx + pixels, cy=lens.cy + pixels) for key, lens in model.cameras.items()}
    return float(replace(model, cameras=cameras).reprojection_errors().mean())


def trajectory_error(truth: Trajectory, estimate: Trajectory, group: str) -> float:
    """Absolute trajectory error (root mean square) in metres after alignment, "rigid" or "similarity"."""
    pairs = associate(truth.timestamps, estimate.timestamps, LONGEST_GAP)
    a = torch.stack([estimate.c2w[index, :3, 3] for _, index in pairs])
    b = torch.stack([truth.c2w[index, :3, 3] for index, _ in pairs])
    return align(a, b, "rigid" if group == "rigid" else "similarity").ate


def _colmap(folder: Path) -> dict[str, float]:
    text, binary = (read_model(folder / part / "0", observations=True) for part in ("sparse", "sparse_bin"))
    return {
        "points": float(len(text.points.ids)),
        "reprojection, text (px)": shifted_error(text, 0.0),
        "reprojection, binary (px)": shifted_error(binary, 0.0),
        "control: half a pixel off (px)": shifted_error(text, 0.5),
    }


def _hololens(folder: Path) -> dict[str, float]:
    views = read_captured(folder).views
    median, within = depth_reprojection(views[0], views[10])
    control, _ = depth_reprojection(wrong_axes(views[0]), wrong_axes(views[10]))
    epipolar, _ = over_pairs(views, [(i, i + 2) for i in range(0, 20, 4)], epipolar_error)
    return {
        "depth reprojection (median share)": median,
        "within 5 % (share)": within,
        "control: OpenGL axes (median share)": control,
        "epipolar (median px)": epipolar,
    }


def _icl_nuim(folder: Path) -> dict[str, float]:
    views = list(read_captured(folder).views)
    pairs = _neighbours(views)
    median, within = over_pairs(views, pairs, depth_reprojection)
    unmirrored = [moved(view, MIRRORED_Y.float() @ view.camera.w2c @ MIRRORED_Y.float()) for view in views]
    control, _ = over_pairs(unmirrored, pairs, depth_reprojection)
    return {
        "depth reprojection (median share)": median,
        "within 5 % (share)": within,
        "control: negative fy passed over (median share)": control,
    }


def _seven_scenes(folder: Path) -> dict[str, float]:
    views = read_captured(folder, max_views=12).views
    pairs = [(0, 1), (2, 3), (5, 6), (8, 9), (0, 3)]
    median, within = over_pairs(views, pairs, depth_reprojection)
    unscaled = [replace(frame, lens=frame.pinhole).load() for frame in views.frames]  # type: ignore[union-attr]
    inverted = [moved(view, view.camera.c2w) for view in views]
    return {
        "depth reprojection (median share)": median,
        "within 5 % (share)": within,
        "control: c2w taken for w2c (median share)": over_pairs(inverted, pairs, depth_reprojection)[0],
        "epipolar of colour (median px)": over_pairs(views, pairs, epipolar_error)[0],
        "control: colour at the depth camera's focal length (median px)": over_pairs(unscaled, pairs, epipolar_error)[
            0
        ],
    }


def _tum(folder: Path) -> dict[str, float]:
    captured = read_captured(folder)
    model = read_model(folder / "sfm_pycolmap421", observations=True)
    centres = {image.name: -model.w2c[key][:3, :3].T @ model.w2c[key][:3, 3] for key, image in model.images.items()}
    of_sfm = torch.stack([torch.from_numpy(centres[Path(name).name]) for name in captured.names])
    of_mocap = torch.stack([camera.center for camera in captured.cameras])
    far = (captured.views[0], captured.views[5])
    bent = [captured.views.frames[index] for index in (0, 5)]  # type: ignore[union-attr]
    lens = replace(bent[0].lens, distortion=())
    left_in = [replace(frame, lens=lens, pinhole=lens).load() for frame in bent]
    return {
        "reprojection of the SfM model (px)": float(model.reprojection_errors().mean()),
        "SfM centres from motion capture (m)": align(of_sfm, of_mocap.double()).ate,
        "epipolar, frames 0 and 5 (median px)": epipolar_error(*far)[0],
        "control: distortion left in (median px)": epipolar_error(*left_in)[0],
    }


def _fox(folder: Path) -> dict[str, float]:
    captured = read_captured(folder)
    views = list(captured.views)
    pairs = [(0, 1), (1, 2), (5, 6), (8, 9)]
    epipolar, share = over_pairs(views, pairs, epipolar_error)
    _, control = over_pairs([wrong_axes(view) for view in views], pairs, epipolar_error)
    return {
        "frames": float(len(captured)),
        "missing": float(len(captured.missing)),
        "epipolar (median px)": epipolar,
        "matches within 4 px (share)": share,
        "control: OpenCV axes (share)": control,
    }


def _trajectories(folder: Path) -> dict[str, float]:
    def of(name: str) -> Trajectory:
        return read_trajectory(folder / f"{name}.txt")

    xyz, kitti = of("freiburg1_xyz-groundtruth"), of("KITTI_00_gt")
    return {
        "fr1_xyz RGB-D SLAM, rigid (m)": trajectory_error(xyz, of("freiburg1_xyz-rgbdslam"), "rigid"),
        "fr1_xyz ORB, similarity (m)": trajectory_error(xyz, of("freiburg1_xyz-ORB_kf_mono"), "similarity"),
        "KITTI 00 ORB, rigid (m)": trajectory_error(kitti, of("KITTI_00_ORB"), "rigid"),
    }


def _neighbours(views: Sequence[View]) -> list[tuple[int, int]]:
    """Pairs of consecutive views that look the same way within 45 degrees."""
    axes = [view.camera.w2c[2, :3] for view in views]
    return [(a, b) for a in range(len(views)) for b in range(len(views)) if a != b and float(axes[a] @ axes[b]) > 0.7]


if __name__ == "__main__":
    for line, value in measure(sys.argv[1]).items():
        print(f"{line:75} {value:.6g}")
