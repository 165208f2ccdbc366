"""Doom's bundled scenarios as a Gymnasium environment, `hybridwm/Doom-v0`: one walker, one eye, no task (reward 0)."""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float32
from numpy import ndarray

from render import Camera

from ...actions.walker import ACTIONS
from ..seen_view import SeenView
from .engine import TICS_PER_SECOND, Engine, Sight, Step, along
from .lens import UNITS_PER_METRE, Lens

# the walker's keys; the engine shifts the picture where a head would pitch, so looking up and down is not among them
NAMES = tuple(name for name, vector in ACTIONS.items() if vector[3] == 0)
# bounds of a continuous action: metres forward and right, radians of yaw (left), by what the body's strength reaches
TWIST = np.array([0.3, 0.3, math.pi / 4], dtype=np.float32)
PROPRIO = ("forward_m_per_s", "right_m_per_s", "yaw_rad_per_s", "health")
TOUCH = ("blocked",)
FARTHEST = 256.0  # metres
FASTEST = np.array([25, 25, 35 * math.pi, 2], dtype=np.float32)


def observation_space(size: int) -> spaces.Dict:
    """rgb uint8 [H, W, 3]; depth metres, 0 = none; camera w2c; proprio as PROPRIO; touch: a move was stopped."""
    return spaces.Dict(
        rgb=spaces.Box(0, 255, (size, size, 3), np.uint8),
        depth=spaces.Box(0, FARTHEST, (size, size), np.float32),
        camera=spaces.Box(-FARTHEST, FARTHEST, (4, 4), np.float32),
        proprio=spaces.Box(-FASTEST, FASTEST, dtype=np.float32),
        touch=spaces.Discrete(2),
    )


def standing(eye: tuple[float, float, float], angle: float) -> Float32[ndarray, "4 4"]:
    """w2c of a level gaze from `eye`, map units, towards `angle`, radians counter-clockwise from +x (Walker.stand)."""
    cos, sin = math.cos(angle), math.sin(angle)
    rows = np.array([[sin, -cos, 0, 0], [0, 0, -1, 0], [cos, sin, 0, 0], [0, 0, 0, 1]])
    rows[:3, 3] = -rows[:3, :3] @ (np.array(eye) / UNITS_PER_METRE)
    return rows.astype(np.float32)


class DoomEnv(gymnasium.Env):
    """A body in a level; a decision is `frame_skip` tics of 1/35 s, in which it moves as told, in metres and radians.

    The same seed gives the same episode: place, heading, things, monsters and their chances. The level and its
    textures are the scenario's and do not change with the seed. It terminates when the scenario ends (the goal was
    reached, or the body died) and is truncated after `max_steps` decisions.
    `info`: `view` (recon.View with true depth and camera), `actions` (names of the discrete ones), `action` (forward m,
    right m, yaw rad, pitch rad as carried out), `things` (bool [H, W]: here a thing is seen, which may move by itself).
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 9}

    def __init__(
        self,
        size: int = 64,
        *,
        scenario: str = "my_way_home",
        frame_skip: int = 4,
        continuous: bool = False,
        max_steps: int | None = None,
        render_mode: str | None = None,
        depth_buffer: bool = False,
    ) -> None:
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode: expected None or 'rgb_array'; got {render_mode!r}; choose one of them")
        if not 1 <= frame_skip <= TICS_PER_SECOND:
            raise ValueError(f"frame_skip: expected 1…{TICS_PER_SECOND} tics; got {frame_skip}; 4 is usual")
        if max_steps is not None and max_steps < 1:
            raise ValueError(f"max_steps: expected at least 1, or None; got {max_steps}; leave it out for no limit")
        self.lens = Lens(size)
        self.frame_skip, self.continuous, self.max_steps = frame_skip, continuous, max_steps
        self.render_mode = render_mode
        self.observation_space = observation_space(size)
        self.action_space = (
            spaces.Box(-TWIST, TWIST, dtype=np.float32) if continuous else spaces.Discrete(len(NAMES))
        )
        focal, middle = self.lens.focal, size / 2
        self._K = torch.tensor([[focal, 0, middle], [0, focal, middle], [0, 0, 1]])
        self._engine = Engine(scenario, self.lens, depth_buffer)
        self._sight: Sight | None = None

    @property
    def fps(self) -> float:
        """Decisions per second of the game's own time."""
        return TICS_PER_SECOND / self.frame_skip

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        if options:
            raise ValueError(f"options: expected none; got {sorted(options)}; remove them")
        self._engine.start(int(self.np_random.integers(2**31)) if seed is None else seed)
        self._sight, self._steps = self._engine.look(), 0
        return self._report(Step(0.0, 0.0, 0.0, False))

    def step(self, action):
        if self._sight is None or self._engine.over:
            raise RuntimeError("expected reset() before step(): no episode is running; call env.reset(seed=…)")
        done = self._engine.walk(*self._read(action), self.frame_skip)
        if not self._engine.over:  # else nothing more is shown, and the last sight stands
            self._sight = self._engine.look()
        self._steps += 1
        late = self.max_steps is not None and self._steps >= self.max_steps
        seen, info = self._report(done)
        return seen, 0.0, self._engine.over, late, info

    def _read(self, action: Any) -> tuple[float, float, float]:
        """Metres forward and right, radians of yaw. Raises ValueError for what lies outside the action space."""
        try:
            value = np.asarray(action)
            numeric = np.issubdtype(value.dtype, np.number)
        except ValueError:
            value, numeric = np.empty(0), False
        if self.continuous:
            if not numeric or value.shape != (3,) or not np.all(np.abs(value) <= TWIST + 1e-6):
                raise ValueError(
                    f"action: expected (forward m, right m, yaw rad) within ±{[round(float(x), 3) for x in TWIST]}; "
                    f"got {action!r}; clip it to env.action_space"
                )
            forward, right, yaw = value.tolist()
            return forward, right, yaw
        whole = numeric and np.issubdtype(value.dtype, np.integer) and value.shape == ()
        if not whole or not 0 <= int(value) < len(NAMES):
            raise ValueError(
                f"action: expected a whole number 0…{len(NAMES) - 1} ({', '.join(NAMES)}); got {action!r}; "
                "use env.action_space.sample() or continuous=True"
            )
        return ACTIONS[NAMES[int(value)]][:3]

    def _report(self, done: Step) -> tuple[dict[str, Any], dict[str, Any]]:
        assert self._sight is not None
        eye, angle = self._engine.eye()
        w2c = standing(eye, angle)
        depth = np.minimum(self._sight.depth, np.float32(FARTHEST))
        ahead, aside = (speed * TICS_PER_SECOND / UNITS_PER_METRE for speed in along(*self._engine.speed(), angle))
        felt = [ahead, aside, done.yaw * self.fps, self._engine.health() / 100]
        size = self.lens.size
        info = {
            "view": SeenView(
                torch.from_numpy(self._sight.rgb).float() / 255,
                Camera(self._K, torch.from_numpy(w2c), size, size),
                depth=torch.from_numpy(depth),
            ),
            "actions": list(NAMES),
            "action": np.array([done.forward, done.right, done.yaw, 0], np.float32),
            "things": self._sight.labels > 1,
        }
        if self._sight.buffer is not None:
            info["depth_buffer"] = self._sight.buffer
        observation = {
            "rgb": self._sight.rgb.copy(),
            "depth": depth.copy(),
            "camera": w2c.copy(),
            "proprio": np.clip(np.array(felt, np.float32), -FASTEST, FASTEST),
            "touch": np.int64(done.touch),
        }
        return observation, info

    def render(self):
        """What is seen, uint8 [H, W, 3]; None without a render mode."""
        return None if self.render_mode is None or self._sight is None else self._sight.rgb.copy()

    def close(self) -> None:
        """Ends the game's process."""
        self._engine.close()
