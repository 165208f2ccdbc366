"""A task for any world whose `info["view"]` holds what was seen: rewards and endings are told from views alone.

So the same task is given to the simulator (`give_task`) and to the dream (`DreamEnv(reward=…, termination=…)`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

    from recon import View


@runtime_checkable
class Reward(Protocol):
    def __call__(self, before: View, action: Tensor, after: View) -> float:
        """What an action (the vector that was asked for) has earned, from the views before and after it."""
        ...


@runtime_checkable
class Termination(Protocol):
    def __call__(self, view: View) -> bool:
        """Whether the episode ends with this view."""
        ...


def give_task(env: Any, reward: Reward | None = None, termination: Termination | None = None) -> Any:
    """The gymnasium.Env with the reward and the endings of a task in place of its own, where they are given.

    Raises KeyError, on reset, where `info` has no view.
    """
    import gymnasium
    import torch

    class Task(gymnasium.Wrapper):
        view: View

        def reset(self, **options: Any) -> Any:
            seen, info = self.env.reset(**options)
            self.view = info["view"]
            return seen, info

        def step(self, action: Any) -> Any:
            seen, earned, ended, truncated, info = self.env.step(action)
            if reward is not None:
                earned = float(reward(self.view, torch.as_tensor(info["action"]), info["view"]))
            if termination is not None:
                ended = bool(termination(info["view"]))
            self.view = info["view"]
            return seen, earned, ended, truncated, info

    return Task(env)
