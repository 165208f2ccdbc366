"""Many rooms at once as a Gymnasium vector environment: one ray cast for all of them, on the CPU or a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from ...actions.walker import ACTIONS
from .collision import sample_free_pose
from .env import action_space, observation, observation_space, read_actions
from .layout import Room, make_room, stack_rooms
from .rig import RoomsRig
from .simulation import Sight, act, see


class RoomsVectorEnv(VectorEnv):
    """`num_envs` rooms that step together; otherwise as RoomsEnv.

    `reset(seed=s)` gives room i the seed s + i; a list gives each its own. With `max_episode_steps`, an
    episode is truncated after that many steps and the next step begins a new room. `info`: `view` (an object
    array of recon.View), `actions` (names), `action` [N, 4] as carried out, `seed` [N].
    """

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP, "render_modes": ["rgb_array"], "render_fps": 8}

    def __init__(
        self,
        num_envs: int = 1,
        size: int = 64,
        *,
        fov_x: float = 77.0,
        baseline: float = 0.30,
        eyes: int = 2,
        continuous: bool = False,
        max_episode_steps: int | None = None,
        device: str = "cpu",
        render_mode: str | None = None,
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs: expected at least 1; got {num_envs}; ask for more")
        self.num_envs = num_envs
        self.rig = RoomsRig(size=size, fov_x=fov_x, baseline=baseline, eyes=eyes)
        self.continuous, self.device, self.render_mode = continuous, torch.device(device), render_mode
        self.max_episode_steps = max_episode_steps
        self.single_observation_space = observation_space(self.rig)
        self.single_action_space = action_space(continuous)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._list: list[Room] = []
        self._sight: Sight | None = None

    def reset(self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None):
        if options:
            raise ValueError(f"options: expected none; got {sorted(options)}; style_seed and w2c belong to RoomsEnv")
        super().reset(seed=seed if isinstance(seed, int) else None)
        seeds = [None if seed is None else seed + i for i in range(self.num_envs)] if (
            seed is None or isinstance(seed, int)) else list(seed)  # fmt: skip
        if len(seeds) != self.num_envs:
            raise ValueError(f"seed: expected {self.num_envs} of them; got {len(seeds)}; give one for each room")
        self._list = [make_room(self._draw() if s is None else s) for s in seeds]
        self._rooms = stack_rooms(self._list, self.device)
        self._steps = np.zeros(self.num_envs, dtype=np.int64)
        self._ended = np.zeros(self.num_envs, dtype=bool)
        start = sample_free_pose(self._rooms, 0, self.rig.radius, self.rig.eye_height)
        self._sight = see(self._rooms, start, self.rig)
        zero = torch.zeros(self.num_envs, 4)
        return self._report(self._sight, zero[:, 0] > 0, zero)

    def step(self, actions):
        if self._sight is None:
            raise RuntimeError("expected reset() before step(); got none; call env.reset(seed=…)")
        wish = read_actions(actions, self.num_envs, self.continuous).to(self.device)
        w2c, done, touch = act(self._rooms, self._sight.w2c, wish, self.rig)
        fresh = torch.as_tensor(self._ended, device=self.device)
        if self._ended.any():
            self._list = [make_room(self._draw()) if end else room
                          for room, end in zip(self._list, self._ended, strict=True)]  # fmt: skip
            self._rooms = stack_rooms(self._list, self.device)
            start = sample_free_pose(self._rooms, 0, self.rig.radius, self.rig.eye_height)
            w2c, done = torch.where(fresh[:, None, None], start, w2c), torch.where(fresh[:, None], 0.0, done)
            touch = touch & ~fresh
        self._steps = np.where(self._ended, 0, self._steps + 1)
        limit = self.max_episode_steps
        self._ended = np.zeros_like(self._ended) if limit is None else self._steps >= limit
        self._sight = see(self._rooms, w2c, self.rig)
        seen, info = self._report(self._sight, touch, done)
        none = np.zeros(self.num_envs, dtype=bool)
        return seen, np.zeros(self.num_envs), none, self._ended.copy(), info

    def _draw(self) -> int:
        return int(self.np_random.integers(2**31))

    def _report(self, sight: Sight, touch: torch.Tensor, action: torch.Tensor) -> tuple[dict[str, Any], dict[str, Any]]:
        views = np.empty(self.num_envs, dtype=object)
        views[:] = [sight.view(i, self.rig) for i in range(self.num_envs)]
        seeds = np.array([room.seed for room in self._list])
        info = {"view": views, "actions": list(ACTIONS), "action": action.cpu().numpy(), "seed": seeds}
        return observation(sight, touch, slice(None)), info

    def render(self):
        """The left eyes, one uint8 [H, W, 3] for each room; None without a render mode."""
        if self.render_mode is None or self._sight is None:
            return None
        return tuple(self._sight.rgb.cpu().numpy())
