"""The rules of a dream as an environment: how it begins, what a step does, what is seen. Values in, values out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float
from torch import Tensor

from recon import View
from render import Camera

from .actions.between import action_between
from .actions.hand import JointBody
from .actions.walker import Walker
from .core.config import CoreConfig
from .dream_actions import dream_actions
from .dream_beginnings import Beginnings, Observed, ScriptedBeginning
from .world_model import Frame, WorldModel, WorldState
from .worlds.restrict import kept_keys
from .worlds.rooms.env import FARTHEST
from .worlds.task import Reward, Termination


@dataclass(frozen=True, eq=False)
class DreamView(View):
    """A View that compares by value, as Gymnasium's checkers compare what `info` holds."""

    def __eq__(self, other: object) -> bool:
        return same(self, other)

    __hash__ = object.__hash__


@dataclass(frozen=True, eq=False)
class DreamState:
    """Where a dream is: a value. `world` can be written to disk (hybridwm.save_state); `view` is what is seen now, with
    the depth that the arm measured; `vectors` what came with it; `action` led here, as carried out; `steps` since the
    beginning of the episode, whose seed is `seed`. Compares by value, the oracle apart."""

    world: WorldState
    view: DreamView
    vectors: dict[str, Tensor]
    action: Float[Tensor, "a"]
    steps: int
    seed: int

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DreamState):
            return NotImplemented
        mine, theirs = (replace(state, world=replace(state.world, oracle=None)) for state in (self, other))
        return all(same(getattr(mine, field.name), getattr(theirs, field.name)) for field in fields(DreamState))

    __hash__ = object.__hash__


@dataclass(frozen=True)
class Outcome:
    """What a step came to."""

    state: DreamState
    reward: float
    terminated: bool
    truncated: bool


class Dream:
    """A world model, where its dreams begin, and what is seen and earned in them; as DreamEnv has it."""

    def __init__(
        self,
        world_model: WorldModel,
        beginning: Beginnings | str,
        *,
        max_steps: int | None,
        keys: Collection[str] | None,
        continuous: bool,
        reward: Reward | None,
        termination: Termination | None,
    ) -> None:
        config = world_model.core.config
        if max_steps is not None and max_steps < 1:
            raise ValueError(f"DreamEnv.max_steps: expected at least 1, or None for no limit; got {max_steps}.")
        if isinstance(beginning, str):
            beginning = ScriptedBeginning(
                beginning, size=config.image_size[1], **_choices(world_model, beginning, continuous)
            )
        self.model, self.body, self.beginning = world_model, world_model.body, beginning
        self.max_steps, self.reward, self.termination = max_steps, reward, termination
        world: spaces.Dict = getattr(beginning, "observation_space", None) or camera_space(config)
        theirs, names = (getattr(beginning, told, None) for told in ("action_space", "action_names"))
        self.actions = dream_actions(self.body, theirs, names, continuous)
        self.action_space = self.actions.space
        told = predicted_keys(config)
        known = spaces.Dict({key: space for key, space in world.items() if key in told})
        self.keys = kept_keys(known, list(known) if keys is None else keys, "DreamEnv.keys")
        self.observation_space = spaces.Dict({key: world[key] for key in self.keys})
        bounds = world.get("camera")
        self._bounds = bounds if isinstance(bounds, spaces.Box) else None
        size = (*config.image_size, 3)
        if (shape := world["rgb"].shape) != size:
            raise ValueError(f"DreamEnv: expected a world of rgb {size}, as these weights imagine; got {shape}.")

    def begin(self, seed: int, dream_seed: int | None = None) -> DreamState:
        """The state after the beginning of a seed; dream_seed: of what is imagined from there, by default the same."""
        found = self.beginning(seed)
        seen = found if isinstance(found, Observed) else Observed(found)
        names = [name for name, _ in self.model.core.config.vectors]
        vectors = None
        if names and seen.vectors is not None:
            vectors = [{name: each[name] for name in names if name in each} for each in seen.vectors]
        start = self.model.start(
            seen.views,
            seen.actions,
            seed=seed if dream_seed is None else dream_seed,
            oracle=seen.oracle,
            vectors=vectors,
        )
        last = start.views[-1] if start.views else seen.views[-1]
        if not start.views and not self.model.core.config.rgbd:
            last = replace(last, depth=None, confidence=None)  # what is imagined will have none
        led = torch.zeros(len(self.body.names))
        if not isinstance(self.body, Walker) and seen.actions is not None and len(seen.actions):
            led = seen.actions[-1]
        return DreamState(start, _compared(last), vectors[-1] if vectors else {}, led, 0, seed)

    def step(self, states: Sequence[DreamState], actions: Any) -> list[Outcome]:
        """What actions of the space lead to, the network taking all of them as one batch."""
        wish = self.actions.read(actions, len(states))
        after = self.model.step_all([state.world for state in states], list(wish))
        return [
            self._outcome(state, action, *imagined)
            for state, action, imagined in zip(states, wish, after, strict=True)
        ]

    def _outcome(self, before: DreamState, wish: Tensor, world: WorldState, frame: Frame) -> Outcome:
        if world.views:
            view = _compared(world.views[-1])
        else:
            baseline = None if frame.right is None else world.baseline
            view = DreamView(frame.image, frame.camera, frame.depth, right=frame.right, baseline=baseline)
        done = wish
        if isinstance(self.body, Walker):  # another body's action is not told by its camera
            done = action_between(self.body, before.world.camera.w2c, world.camera.w2c)
        state = DreamState(world, view, frame.vectors, done, before.steps + 1, before.seed)
        reward = 0.0 if self.reward is None else float(self.reward(before.view, wish, view))
        ended = self.termination is not None and bool(self.termination(view))
        late = self.max_steps is not None and state.steps >= self.max_steps
        return Outcome(state, reward, ended, late or not self._inside(view.camera))

    def observe(self, state: DreamState) -> dict[str, np.ndarray]:
        """What is seen in a state, by the keys of the observation space."""
        view, seen = state.view, {}
        for key in self.keys:
            if key == "rgb":
                seen[key] = _picture(view.image)
            elif key == "right":
                assert view.right is not None
                seen[key] = _picture(view.right)
            elif key == "depth":
                assert view.depth is not None
                seen[key] = _of_space(view.depth, self.observation_space[key])
            elif key == "camera":
                seen[key] = _of_space(view.camera.w2c, self.observation_space[key])
            else:
                seen[key] = _of_space(state.vectors[key], self.observation_space[key])
        return seen

    def tell(self, state: DreamState) -> dict[str, Any]:
        """What `info` holds."""
        names, action = list(self.actions.told), state.action.numpy()
        return {"view": state.view, "actions": names, "action": action, "state": state}

    def picture(self, state: DreamState) -> np.ndarray:
        """The left eye, uint8 [H, W, 3]."""
        return _picture(state.view.image)

    def _inside(self, camera: Camera) -> bool:
        """Whether the camera is within the world's bounds; a dream without depth knows no walls."""
        w2c = camera.w2c.cpu().numpy()
        return self._bounds is None or bool(((w2c >= self._bounds.low) & (w2c <= self._bounds.high)).all())


def predicted_keys(config: CoreConfig) -> set[str]:
    """The observation keys that weights of this shape can fill: their images, the camera that is moved, and vectors."""
    keys = {"rgb", "camera"} | {name for name, _ in config.vectors}
    return keys | ({"right"} if config.eyes == 2 else set()) | ({"depth"} if config.rgbd else set())


def _choices(model: WorldModel, env_id: str, continuous: bool) -> dict[str, Any]:
    """What an environment is asked for, so that its actions are those of the weights' body."""
    if isinstance(model.body, Walker):
        return {"continuous": continuous}
    return {"actions": "joints"} if isinstance(model.body, JointBody) and env_id == "hybridwm/Arm-v0" else {}


def camera_space(config: CoreConfig) -> spaces.Dict:
    """The observations of a camera that moves, where the beginnings are of no environment."""
    height, width = config.image_size
    image = spaces.Box(0, 255, (height, width, 3), np.uint8)
    return spaces.Dict(
        rgb=image,
        right=image,
        depth=spaces.Box(0, FARTHEST, (height, width), np.float32),
        camera=spaces.Box(-FARTHEST, FARTHEST, (4, 4), np.float32),
    )


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal, number for number."""
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and a.shape == b.shape and torch.equal(a, b)
    if type(a) is not type(b):
        return False
    if is_dataclass(a) and not isinstance(a, type):
        return all(same(getattr(a, field.name), getattr(b, field.name)) for field in fields(a))
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return bool(a == b)


def _compared(view: View) -> DreamView:
    return DreamView(**{field.name: getattr(view, field.name) for field in fields(View)})


def _picture(image: Float[Tensor, "H W 3"]) -> np.ndarray:
    return (image * 255).round().to(torch.uint8).cpu().numpy()


def _of_space(value: Tensor, space: spaces.Space) -> Any:
    """Numbers as the space has them; what weights imagined beyond its bounds is brought to them."""
    numbers = value.cpu().numpy()
    if isinstance(space, spaces.Discrete):
        return space.start + np.int64(numbers.round().clip(0, space.n - 1).item())
    assert isinstance(space, spaces.Box)
    return numbers.reshape(space.shape).clip(space.low, space.high).astype(space.dtype)
