"""Whether the action beside a frame is the one that was taken after it: the lag at which actions explain motion best.

Motion from frame to frame comes from the cameras where there are some, else from the images themselves. At each lag a
linear model predicts it from the actions (and their sizes), fitted on four fifths of the steps and judged on the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from .episodes import Episode

LAGS = 3  # steps either way
LEAST_SHARE = 0.2  # of the motion's variance that actions must explain for a lag to be told
MARGIN = 0.03  # by which another lag must explain more than lag 0
LEAST_STEPS = 30
FOLDS = 5
RIDGE = 1e-3
SIDE = 64  # pixels of the images that are compared
ENOUGH = 2000  # steps


@dataclass(frozen=True)
class Alignment:
    """lag: steps by which motion comes after the action that explains it best; 0 is right, None where actions explain
    too little to tell. shares: of the best-explained component of motion, for each lag. by: cameras or images."""

    lag: int | None
    shares: dict[int, float]
    by: str
    steps: int

    def words(self) -> str:
        """For a report."""
        if self.lag is None:
            most = max(self.shares.values(), default=0.0)
            return f"not measurable ({self.steps} steps; actions explain at most {most:.0%} of the motion)"
        return f"lag {self.lag} by {self.by} ({self.shares[self.lag]:.0%} of the motion explained, {self.steps} steps)"


def alignment_of(episodes: Iterable[Episode]) -> Alignment:
    """Measured over episodes, up to ENOUGH steps of them; all with cameras, or all by their images."""
    chosen: list[Episode] = []
    for episode in episodes:
        if len(episode) > 2 * LAGS + 2:
            chosen.append(episode)
        if sum(map(len, chosen)) > ENOUGH:
            break
    by = "cameras" if chosen and all(episode.w2c is not None for episode in chosen) else "images"
    motions = [camera_motion(e.w2c) if by == "cameras" and e.w2c is not None else image_motion(e.rgb) for e in chosen]
    return alignment_of_motions([episode.actions for episode in chosen], motions, by)


def alignment_of_motions(
    actions: Sequence[Float[Tensor, "_ a"]], motions: Sequence[Float[Tensor, "_ D"]], by: str
) -> Alignment:
    """The same of motion that was measured before: motions[k][i] is said to come of actions[k][i]."""
    steps = sum(len(motion) - 2 * LAGS for motion in motions)
    if steps < LEAST_STEPS:
        return Alignment(None, {}, by, max(0, steps))
    shares = {lag: _shares(actions, motions, lag) for lag in range(-LAGS, LAGS + 1)}
    best = max(shares, key=lambda lag: float(shares[lag].max()))
    component = int(shares[best].argmax())
    found = {lag: float(share[component]) for lag, share in shares.items()}
    if found[best] < LEAST_SHARE:
        return Alignment(None, found, by, steps)
    # sticky actions explain their neighbours' motion almost as well: lag 0 is given up for a clear gain only
    return Alignment(best if found[best] > found[0] + MARGIN else 0, found, by, steps)


def check_alignment(episodes: Iterable[Episode], what: str) -> Alignment:
    """Raises ValueError where actions belong to other steps than those they stand at; `what` names the data."""
    found = alignment_of(episodes)
    if found.lag:
        way = "later" if found.lag > 0 else "earlier"
        raise ValueError(
            f"{what}: expected each action beside the frame that it was taken after; got motion {abs(found.lag)} steps "
            f"{way} (by {found.by}: actions explain {found.shares[found.lag]:.0%} of it there, {found.shares[0]:.0%} "
            f"at lag 0). Move the actions by hybridwm convert --shift={found.lag}; or, where the body answers late, go "
            "on by --alignment report (convert), episodes.aligned: false (training)."
        )
    return found


def shifted(episode: Episode, rows: int) -> Episode:
    """The episode with each action `rows` rows later (earlier where negative) and without the frames that then have
    none. Raises ValueError for too short an episode."""
    if rows == 0:
        return episode
    if len(episode) < abs(rows) + 2:
        raise ValueError(f"shift: expected an episode of more than {abs(rows) + 1} frames; got {len(episode)}.")
    frames = slice(rows, None) if rows > 0 else slice(None, rows)
    kept = {
        name: value[frames]
        for name in ("rgb", "right", "depth", "w2c", "proprio", "touch")
        if (value := getattr(episode, name)) is not None
    }
    return replace(episode, **kept, actions=episode.actions[:-rows] if rows > 0 else episode.actions[-rows:])


def camera_motion(w2c: Float[Tensor, "T 4 4"]) -> Float[Tensor, "T_1 6"]:
    """Of each step: translation (metres, in the earlier camera's axes) and rotation vector (radians, small angles)."""
    wide = w2c.double()
    earlier_from_later = wide[:-1] @ torch.linalg.inv(wide[1:])
    turn = earlier_from_later[:, :3, :3]
    skew = (turn - turn.transpose(1, 2)) / 2
    return torch.cat([earlier_from_later[:, :3, 3], torch.stack([skew[:, 2, 1], skew[:, 0, 2], skew[:, 1, 0]], 1)], 1)


def image_motion(rgb: Tensor) -> Float[Tensor, "T_1 7"]:
    """Of each step: shift (pixels at SIDE) of the whole image and of its left and right halves, by phase correlation
    (Kuglin and Hines 1975), and the mean change of a pixel. rgb: uint8 [T, H, W, 3]."""
    grey = torch.stack([_small(image) for image in rgb])  # [T, SIDE, SIDE]
    half = SIDE // 2
    parts = [grey, grey[:, :, :half], grey[:, :, half:]]
    change = (grey[1:] - grey[:-1]).abs().mean((1, 2))
    return torch.cat([*(_shift(part[:-1], part[1:]) for part in parts), change[:, None]], 1).double()


def _small(image: Tensor) -> Tensor:
    grey = image.float().mean(-1)[None, None] / 255
    mode = "area" if min(image.shape[:2]) > SIDE else "bilinear"
    return torch.nn.functional.interpolate(grey, (SIDE, SIDE), mode=mode)[0, 0]


def _shift(a: Float[Tensor, "N H W"], b: Float[Tensor, "N H W"]) -> Float[Tensor, "N 2"]:
    """Right and down, in pixels, to a fraction of one."""
    height, width = a.shape[1:]
    window = torch.hann_window(height)[:, None] * torch.hann_window(width)[None]
    fa, fb = (torch.fft.rfft2((x - x.mean((1, 2), keepdim=True)) * window) for x in (a, b))
    cross = fb * fa.conj()
    peaks = torch.fft.irfft2(cross / (cross.abs() + 1e-3), s=(height, width))
    at = peaks.flatten(1).argmax(1)
    y, x = at // width, at % width
    n = torch.arange(len(at))
    across = [peaks[n, y, (x + step) % width] for step in (-1, 0, 1)]
    down = [peaks[n, (y + step) % height, x] for step in (-1, 0, 1)]
    return torch.stack([_signed(x, width) + _fraction(*across), _signed(y, height) + _fraction(*down)], 1)


def _signed(offset: Tensor, size: int) -> Tensor:
    return torch.where(offset > size // 2, offset - size, offset)


def _fraction(left: Tensor, middle: Tensor, right: Tensor) -> Tensor:
    """Where a parabola through three neighbours is highest."""
    bend = left - 2 * middle + right
    return torch.where(bend < -1e-9, (left - right) / (2 * bend), torch.zeros_like(bend)).clamp(-0.5, 0.5)


def _shares(actions: Sequence[Tensor], motions: Sequence[Tensor], lag: int) -> Float[Tensor, "D"]:
    """The share of each component's variance that is predicted; the same steps of motion at every lag."""
    before = torch.cat([a.double()[LAGS - lag : len(a) - LAGS - lag] for a in actions])
    after = torch.cat([motion[LAGS : len(motion) - LAGS] for motion in motions])
    inputs = torch.cat([before, before.abs()], 1)
    inputs = (inputs - inputs.mean(0)) / inputs.std(0).clamp(min=1e-9)
    inputs = torch.cat([inputs, torch.ones_like(inputs[:, :1])], 1)
    fold = torch.arange(len(after)) * FOLDS // len(after)  # neighbours stay together
    wrong = torch.zeros(after.shape[1], dtype=torch.float64)
    for i in range(FOLDS):
        x, y = inputs[fold != i], after[fold != i]
        weights = torch.linalg.solve(x.T @ x + RIDGE * len(x) * torch.eye(x.shape[1], dtype=x.dtype), x.T @ y)
        wrong += ((after[fold == i] - inputs[fold == i] @ weights) ** 2).sum(0)
    spread = ((after - after.mean(0)) ** 2).sum(0)
    # what hardly moves is rounding, not motion
    return torch.where(spread > 1e-10 * len(after), 1 - wrong / spread.clamp(min=1e-12), torch.zeros_like(wrong))
