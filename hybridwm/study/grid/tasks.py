"""What arms are compared on: each measure with its unit, its better end, its formula and where that comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["picture", "metric", "motion"]


@dataclass(frozen=True)
class Measure:
    """A value of a scene. kind: of pictures, of metres, degrees and goals, or of motion (which flags, not ranks).

    columns: of results.parquet, from which `per_scene` takes it.
    """

    name: str
    title: str
    unit: str
    better: Literal["higher", "lower"]
    formula: str
    source: str
    columns: tuple[str, ...]
    kind: Kind = "picture"

    @property
    def sign(self) -> int:
        """Differences times this are above 0 where the first arm is better."""
        return 1 if self.better == "higher" else -1


def _psnr(mask: str, title: str) -> Measure:
    return Measure(
        f"psnr_{mask}",
        f"PSNR, {title}",
        "dB",
        "higher",
        "10 log10(255² / MSE); squared 8-bit errors are pooled over the rollout's frames before the logarithm",
        "hybridwm.study.metrics.squared_error; masks: hybridwm.study.visibility",
        (f"se_{mask}", f"n_{mask}"),
    )


def _of(name: str, title: str, unit: str, better: Literal["higher", "lower"], formula: str, source: str, kind: Kind):
    return Measure(name, title, unit, better, formula, source, (name,), kind)


def _ratio(column: str, title: str, formula: str) -> Measure:
    columns = column, f"{column}_true"
    return Measure(f"{column}_ratio", title, "", "higher", formula, "hybridwm.study.metrics", columns, "motion")


ALL = (
    _psnr("seen", "seen before"),
    _psnr("all", "whole frame"),
    _psnr("never", "never seen"),
    _psnr("moving", "what moves"),
    _of("ssim", "SSIM", "", "higher", "mean over frames of the structural similarity",
        "Wang et al. 2004; hybridwm.study.metrics.ssim", "picture"),
    Measure("revisit", "revisit consistency", "dB", "higher",
            "10 log10(255² / MSE) between frames of one camera, the earlier and the later", "design, section 8",
            ("revisit",)),
    _of("nmr", "memory recall, NMR", "", "higher",
        "mean(R - B) / mean(S - B): R revisits, B other pairs of the same gap, S neighbours", "design, section 8",
        "picture"),
    _of("retrieval", "retrieval", "share", "higher",
        "last frame nearest to its own scene's view, among 16 scenes of one style",
        "hybridwm.study.retrieval", "picture"),
    _of("drift", "drift of PSNR", "dB/step", "higher", "slope of PSNR over steps, least squares", "design, section 8",
        "picture"),
    _of("gsc", "generated scene consistency, GSC", "", "lower",
        "mean squared error of frames of mirrored paths, each with its mirror", "MIND, arXiv 2602.08025", "picture"),
    _of("lcm", "long-context memory, LCM", "", "lower", "mean squared error to the truth on mirrored paths",
        "MIND, arXiv 2602.08025", "picture"),
    _of("rotation_error", "camera following, rotation", "°", "lower",
        "median over frames whose motion was found, of the angle between commanded and measured motion",
        "hybridwm.study.camera_following", "metric"),
    _of("translation_error", "camera following, position", "m", "lower",
        "median over frames whose motion was found, of the distance between commanded and measured motion",
        "hybridwm.study.camera_following", "metric"),
    _of("translation_error_scaled", "camera following, position up to scale", "m", "lower",
        "the same after the one factor that fits the rollout's translations best",
        "hybridwm.study.camera_following", "metric"),
    _of("followed", "camera following, motion found", "share", "higher",
        "share of frames whose camera motion could be found; failures are failures",
        "hybridwm.study.camera_following", "metric"),
    _of("depth_error", "depth of the scene, relative error", "", "lower",
        "median of |depth - truth| / truth at the true cameras", "design, section 8", "metric"),
    _of("f_score", "F-score of the scene at 5 cm", "", "higher",
        "harmonic mean of the shares of points within 5 cm of the other's", "Knapitsch et al. 2017", "metric"),
    _of("coverage", "coverage of the scene", "share", "higher", "share of true pixels that the scene explains",
        "design, section 8", "metric"),
    _of("reached", "goal reached", "share", "higher",
        "share of plans, chosen of 16 by their last imagined frame, that end at the goal in the simulator",
        "hybridwm.study.reaching", "metric"),
    _of("reach_metres", "distance to the goal", "m", "lower", "from where the chosen plan truly ends",
        "hybridwm.study.reaching", "metric"),
    _of("reach_degrees", "heading at the goal", "°", "lower", "between the goal's and where the chosen plan truly ends",
        "hybridwm.study.reaching", "metric"),
    _of("rank_correlation", "plans ranked as in truth", "", "higher",
        "rank correlation of 16 plans' scores, dreamt and true", "hybridwm.study.reaching", "metric"),
    _ratio("flow", "motion (optical flow)", "Σ flow / Σ flow of the truth"),
    _ratio("change", "change from frame to frame", "Σ |change| / Σ |change of the truth|"),
    _ratio("gradient", "sharpness (gradient energy)", "Σ gradient energy / Σ that of the truth"),
    _of("copied", "copied frames", "share", "lower", "share of frames nearer to a stored one than they should be",
        "design, section 8", "motion"),
)  # fmt: skip
MEASURES = {measure.name: measure for measure in ALL}
MEDIANS = ("rotation_error", "translation_error", "translation_error_scaled")
PRIMARY = ("psnr_seen", "psnr_all")
EVERYWHERE = "all trajectories"  # a scene's mean over the study's trajectories
