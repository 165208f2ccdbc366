"""The dream as a Gymnasium environment: the spaces of the world that it imagines, as far as weights predict them."""

from __future__ import annotations

from collections.abc import Collection
from copy import deepcopy
from pathlib import Path
from typing import Any

import gymnasium

from .dream import Dream, DreamState, Outcome
from .dream_beginnings import Beginnings
from .world_model import WorldModel, load
from .worlds.task import Reward, Termination

MAX_STEPS = 64


class DreamEnv(gymnasium.Env):
    """`reset(seed=…)` observes a beginning and dreams on from it: the same beginning and the same dream, bit for bit,
    for the same seed; a reset without one draws a new beginning.

    beginning: seed -> views (dream_beginnings.Observed, or recon.Views in time order), or the id of an environment that
    is looked at first (dream_beginnings.ScriptedBeginning, by default a glance to both sides and back).
    keys: of the observations, by default all that the weights predict; `env.keys` is what
    `worlds.restrict(simulator, env.keys)` gives the simulator. max_steps: truncates the episode, as does leaving the
    world's bounds. seed: of beginnings that are drawn. reward(view_before, action, view_after), termination(view):
    by default 0.0 and never.

    Options of `reset`: `dream_seed`, another dream of the same beginning. `info`: `view` (recon.View: what is seen,
    with the depth that the arm measured), `actions` (names), `action` (the vector as carried out), `state`
    (DreamState; `state.world` is the WorldState).
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 8}

    def __init__(
        self,
        world_model: WorldModel,
        beginning: Beginnings | str = "hybridwm/Rooms-v0",
        *,
        max_steps: int | None = MAX_STEPS,
        keys: Collection[str] | None = None,
        continuous: bool = False,
        seed: int | None = None,
        reward: Reward | None = None,
        termination: Termination | None = None,
        render_mode: str | None = None,
    ) -> None:
        dream = Dream(
            world_model,
            beginning,
            max_steps=max_steps,
            keys=keys,
            continuous=continuous,
            reward=reward,
            termination=termination,
        )
        self._set(dream, render_mode)
        if seed is not None:
            super().reset(seed=seed)

    def _set(self, dream: Dream, render_mode: str | None) -> None:
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode: expected None or 'rgb_array'; got {render_mode!r}; choose one of them")
        self.dream, self.render_mode = dream, render_mode
        self.observation_space, self.action_space = dream.observation_space, dream.action_space
        self._state: DreamState | None = None

    @property
    def keys(self) -> list[str]:
        """The observation keys."""
        return list(self.dream.keys)

    @property
    def state(self) -> DreamState:
        """Where the dream is: a value, to keep and to `restore`. Raises RuntimeError before the first reset."""
        if self._state is None:
            raise RuntimeError("expected reset() before step(), state and fork(); got none; call env.reset(seed=…)")
        return self._state

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        options = dict(options or {})
        dream_seed = options.pop("dream_seed", None)
        if options:
            raise ValueError(f"options: expected dream_seed; got {sorted(options)}; remove them")
        begun = int(self.np_random.integers(2**31)) if seed is None else seed
        return self.restore(self.dream.begin(begun, dream_seed))

    def step(self, action):
        (outcome,) = self.dream.step([self.state], [action])
        return self._report(outcome)

    def restore(self, state: DreamState) -> tuple[dict[str, Any], dict[str, Any]]:
        """Goes (back) to a state, and gives its observation and info, as `reset` does. What follows equal actions is
        equal bit for bit. Raises TypeError for anything but a DreamState."""
        if not isinstance(state, DreamState):
            raise TypeError(f"restore: expected env.state (or info['state']); got {type(state).__name__}.")
        self._state = state
        return self.dream.observe(state), self.dream.tell(state)

    def fork(self) -> DreamEnv:
        """Another environment in the same state, which goes its own way; the world model is shared, nothing copied.

        Its random numbers go on from here as well: resets without a seed draw what this one would draw.
        """
        other = DreamEnv.__new__(DreamEnv)
        other._set(self.dream, self.render_mode)
        other._state = self.state
        other.np_random = deepcopy(self.np_random)
        return other

    def _report(self, outcome: Outcome):
        self._state = outcome.state
        seen, info = self.dream.observe(outcome.state), self.dream.tell(outcome.state)
        return seen, outcome.reward, outcome.terminated, outcome.truncated, info

    def render(self):
        """The left eye, uint8 [H, W, 3]; None without a render mode."""
        return None if self.render_mode is None or self._state is None else self.dream.picture(self._state)


def make_dream(
    weights: str | Path = "rooms-64",
    *,
    memory: str = "splat",
    depth: str | None = "stereo",
    beginning: Beginnings | str = "hybridwm/Rooms-v0",
    solver_steps: int = 1,
    device: str = "cpu",
    **options: Any,
) -> DreamEnv:
    """`gymnasium.make("hybridwm/Dream-v0", weights=…, memory=…, depth=…)`; options as for DreamEnv."""
    model = load(weights, memory=memory, depth=depth, solver_steps=solver_steps, device=device)
    return DreamEnv(model, beginning, **options)
