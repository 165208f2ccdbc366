"""Many dreams at once as a Gymnasium vector environment: one pass of the network for all of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from .dream import Dream, DreamState, Outcome
from .dream_beginnings import Beginnings
from .gym_env import MAX_STEPS
from .world_model import WorldModel, load
from .worlds.task import Reward, Termination


class DreamVectorEnv(VectorEnv):
    """`num_envs` dreams that step together; otherwise as DreamEnv, and equal to it but for rounding.

    `reset(seed=s)` gives dream i the seed s + i; a list gives each its own. After an episode's end the next step begins
    another one, whatever its action. `info`: `view`, `state` (object arrays), `actions` (names), `action` [N, 4] as
    carried out, `seed` [N]. The core imagines all dreams in one batch; scenes are measured, fused and rendered one
    after the other.
    """

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP, "render_modes": ["rgb_array"], "render_fps": 8}

    def __init__(
        self,
        world_model: WorldModel,
        beginning: Beginnings | str = "hybridwm/Rooms-v0",
        *,
        num_envs: int = 1,
        max_steps: int | None = MAX_STEPS,
        keys: Collection[str] | None = None,
        continuous: bool = False,
        seed: int | None = None,
        reward: Reward | None = None,
        termination: Termination | None = None,
        render_mode: str | None = None,
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs: expected at least 1; got {num_envs}; ask for more")
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode: expected None or 'rgb_array'; got {render_mode!r}; choose one of them")
        self.num_envs, self.render_mode = num_envs, render_mode
        self.dream = Dream(
            world_model,
            beginning,
            max_steps=max_steps,
            keys=keys,
            continuous=continuous,
            reward=reward,
            termination=termination,
        )
        self.single_observation_space, self.single_action_space = self.dream.observation_space, self.dream.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._states: list[DreamState] = []
        self._ended = np.zeros(num_envs, dtype=bool)
        if seed is not None:
            super().reset(seed=seed)

    @property
    def keys(self) -> list[str]:
        """The observation keys."""
        return list(self.dream.keys)

    @property
    def states(self) -> tuple[DreamState, ...]:
        """Where each dream is: values, to keep and to `restore`."""
        return tuple(self._states)

    def restore(self, states: Sequence[DreamState]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Goes (back) to states, one for each dream, and gives observations and info as `reset` does."""
        if len(states) != self.num_envs or not all(isinstance(state, DreamState) for state in states):
            raise ValueError(f"restore: expected {self.num_envs} states as env.states has them; got {len(states)}")
        self._states, self._ended = list(states), np.zeros(self.num_envs, dtype=bool)
        return self._report()

    def reset(self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None):
        if options:
            raise ValueError(f"options: expected none; got {sorted(options)}; dream_seed belongs to DreamEnv")
        super().reset(seed=seed if isinstance(seed, int) else None)
        seeds = [None if seed is None else seed + i for i in range(self.num_envs)] if (
            seed is None or isinstance(seed, int)) else list(seed)  # fmt: skip
        if len(seeds) != self.num_envs:
            raise ValueError(f"seed: expected {self.num_envs} of them; got {len(seeds)}; give one for each dream")
        return self.restore([self.dream.begin(self._draw() if each is None else each) for each in seeds])

    def step(self, actions):
        if not self._states:
            raise RuntimeError("expected reset() before step(); got none; call env.reset(seed=…)")
        going = np.flatnonzero(~self._ended)
        outcomes: dict[int, Outcome] = {}
        if len(going):
            stepped = self.dream.step([self._states[i] for i in going], np.asarray(actions)[going])
            outcomes = dict(zip(going.tolist(), stepped, strict=True))
        reward, terminated, truncated = np.zeros(self.num_envs), *np.zeros((2, self.num_envs), dtype=bool)
        for i in range(self.num_envs):
            if i not in outcomes:
                self._states[i] = self.dream.begin(self._draw())
                continue
            self._states[i], reward[i] = outcomes[i].state, outcomes[i].reward
            terminated[i], truncated[i] = outcomes[i].terminated, outcomes[i].truncated
        self._ended = terminated | truncated
        seen, info = self._report()
        return seen, reward, terminated, truncated, info

    def _draw(self) -> int:
        return int(self.np_random.integers(2**31))

    def _report(self) -> tuple[dict[str, Any], dict[str, Any]]:
        each = [self.dream.observe(state) for state in self._states]
        views, states = (np.empty(self.num_envs, dtype=object) for _ in range(2))
        views[:], states[:] = [state.view for state in self._states], self._states
        info = {
            "view": views,
            "state": states,
            "actions": list(self.dream.actions.told),
            "action": np.stack([state.action.numpy() for state in self._states]),
            "seed": np.array([state.seed for state in self._states]),
        }
        return {key: np.stack([seen[key] for seen in each]) for key in self.dream.keys}, info

    def render(self):
        """The left eyes, one uint8 [H, W, 3] for each dream; None without a render mode."""
        if self.render_mode is None or not self._states:
            return None
        return tuple(self.dream.picture(state) for state in self._states)


def make_dreams(
    num_envs: int = 1,
    weights: str | Path = "rooms-64",
    *,
    memory: str = "splat",
    depth: str | None = "stereo",
    beginning: Beginnings | str = "hybridwm/Rooms-v0",
    solver_steps: int = 1,
    device: str = "cpu",
    **options: Any,
) -> DreamVectorEnv:
    """`gymnasium.make_vec("hybridwm/Dream-v0", num_envs=…, weights=…)`; options as for DreamVectorEnv."""
    model = load(weights, memory=memory, depth=depth, solver_steps=solver_steps, device=device)
    return DreamVectorEnv(model, beginning, num_envs=num_envs, **options)
