"""The rooms as a Gymnasium environment, `hybridwm/Rooms-v0`: one walker, two eyes or one, no task (reward 0)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces

from ...actions.walker import ACTIONS, action_vectors
from .collision import sample_free_pose
from .layout import make_room, stack_rooms
from .moments import TOUCH_NAMES, Moment, first_moment, next_moment, see_moments
from .rig import RoomsRig
from .scenarios import Scenario, Speeds, make_scenario
from .simulation import Sight, act, see

# bounds of a continuous action: metres forward and right, radians of yaw (left) and pitch (up)
TWIST = np.array([0.5, 0.5, np.pi / 4, np.pi / 4], dtype=np.float32)
FARTHEST = 20.0  # metres
STRONGEST = 1000.0  # N s, well above what can happen


def observation_space(rig: RoomsRig, forces: bool = False) -> spaces.Dict:
    """rgb, right: uint8 [H, W, 3]; depth: metres; camera: w2c, left eye; touch: the last move was stopped.

    There is no `right` of a rig with one eye. With `forces`, touch is float32 [4] instead, as moments.TOUCH_NAMES.
    """
    image = spaces.Box(0, 255, (rig.size, rig.size, 3), np.uint8)
    seen = spaces.Dict(
        rgb=image,
        right=image,
        depth=spaces.Box(0, FARTHEST, (rig.size, rig.size), np.float32),
        camera=spaces.Box(-FARTHEST, FARTHEST, (4, 4), np.float32),
        touch=spaces.Box(0, STRONGEST, (len(TOUCH_NAMES),), np.float32) if forces else spaces.Discrete(2),
    )
    if rig.eyes == 1:
        del seen.spaces["right"]
    return seen


def action_space(continuous: bool) -> spaces.Space:
    """The discrete actions of the walker, or twists (forward m, right m, yaw rad, pitch rad)."""
    return spaces.Box(-TWIST, TWIST, dtype=np.float32) if continuous else spaces.Discrete(len(ACTIONS))


def read_actions(actions: Any, count: int, continuous: bool) -> torch.Tensor:
    """Actions of the space as vectors [count, 4]. Raises ValueError for what lies outside the space."""
    try:
        values = np.asarray(actions)
        numeric = np.issubdtype(values.dtype, np.number)
    except ValueError:
        numeric = False
    if continuous:
        if not numeric or values.shape != (count, 4) or not np.all(np.abs(values) <= TWIST + 1e-6):
            shown = actions if count > 1 else actions[0]
            raise ValueError(
                "action: expected (forward m, right m, yaw rad, pitch rad) within "
                f"±{[round(float(x), 3) for x in TWIST]}; got {shown!r}; clip it to env.action_space"
            )
        return torch.as_tensor(values, dtype=torch.float32)
    whole = numeric and np.issubdtype(values.dtype, np.integer) and values.shape == (count,)
    if not whole or not np.all((values >= 0) & (values < len(ACTIONS))):
        shown = actions if count > 1 else actions[0]
        raise ValueError(
            f"action: expected a whole number 0…{len(ACTIONS) - 1} ({', '.join(ACTIONS)}); got {shown!r}; "
            "use env.action_space.sample() or continuous=True"
        )
    return action_vectors()[torch.as_tensor(values, dtype=torch.long)]


def observation(sight: Sight, touch: torch.Tensor, index: int | slice) -> dict[str, Any]:
    """Observations of one room, or of all of them with a leading axis."""
    values = {"rgb": sight.rgb} | ({} if sight.right is None else {"right": sight.right})
    values |= {"depth": sight.depth.clamp(max=FARTHEST), "camera": sight.w2c}
    felt = touch[index].long().cpu().numpy()
    return {k: v[index].cpu().numpy() for k, v in values.items()} | {"touch": felt if felt.ndim else felt[()]}


def read_start(w2c: Any) -> torch.Tensor:
    """A start as a tensor [4, 4]. Raises ValueError for another shape."""
    start = torch.as_tensor(w2c, dtype=torch.float32)
    if start.shape != (4, 4):
        raise ValueError(f"options: expected w2c [4, 4]; got {list(start.shape)}; give a world-to-camera matrix")
    return start


class RoomsEnv(gymnasium.Env):
    """`reset(seed=…)` gives the same room and start for the same seed; a reset without one draws a new room.
    `eyes=1` leaves out the right eye, which is half of the work: neither observations nor `view` have it.

    Options of `reset`: `style_seed` and `layout_seed` replace the seed for materials and lights, and for
    walls, objects and marks; `w2c` [4, 4] is the start, by default a free place drawn from the seed.
    `info`: `view` (recon.View: both eyes, true depth, camera), `actions` (names of the discrete ones), `action`
    (the vector as carried out), `room` (seed, style_seed, layout_seed).

    With a `scenario` (a name of scenarios.SCENARIOS) the room is that scenario's, and it goes on by 1 / fps seconds a
    step. `reset` then takes `outcome` (forces what is hidden) and `w2c`; `touch` is float32 [4] (moments.TOUCH_NAMES);
    `info` also has `moving` (bool [H, W]: pixels that show what moves), `scenario` (its labels, odds and outcome) and
    `planned` (the scenario's own next action). `speeds="held_out"` draws other speeds than in training.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 8}

    def __init__(
        self,
        size: int = 64,
        *,
        fov_x: float = 77.0,
        baseline: float = 0.30,
        eyes: int = 2,
        continuous: bool = False,
        render_mode: str | None = None,
        scenario: str = "none",
        speeds: Speeds = "train",
    ) -> None:
        if scenario != "none":
            make_scenario(scenario, 0, speeds=speeds)  # refuses unknown names at once
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode: expected None or 'rgb_array'; got {render_mode!r}; choose one of them")
        self.rig = RoomsRig(size=size, fov_x=fov_x, baseline=baseline, eyes=eyes)
        self.continuous = continuous
        self.render_mode = render_mode
        self.scenario = scenario
        self.observation_space = observation_space(self.rig, forces=scenario != "none")
        self.action_space = action_space(continuous)
        self._sight: Sight | None = None
        self.speeds: Speeds = speeds
        self._play: Scenario | None = None
        self._moment: Moment | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        options = dict(options or {})
        if self.scenario != "none":
            return self._begin_scenario(seed, options)
        style_seed, layout_seed, w2c = (options.pop(k, None) for k in ("style_seed", "layout_seed", "w2c"))
        if options:
            raise ValueError(f"options: expected style_seed, layout_seed or w2c; got {sorted(options)}; remove them")
        room_seed = int(self.np_random.integers(2**31)) if seed is None else seed
        self.room = make_room(room_seed, style_seed=style_seed, layout_seed=layout_seed)
        self._rooms = stack_rooms([self.room])
        if w2c is None:
            w2c = sample_free_pose(self._rooms, 0, self.rig.radius, self.rig.eye_height)[0]
        start = read_start(w2c)
        self._sight = see(self._rooms, start[None], self.rig)
        return self._report(self._sight, torch.zeros(1, dtype=torch.bool), torch.zeros(4))

    def _begin_scenario(self, seed: int | None, options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        outcome, w2c = (options.pop(k, None) for k in ("outcome", "w2c"))
        if options:
            raise ValueError(f"options: expected outcome or w2c in a scenario; got {sorted(options)}; remove them")
        drawn = int(self.np_random.integers(2**31)) if seed is None else seed
        play = make_scenario(self.scenario, drawn, speeds=self.speeds, outcome=outcome)
        self.room, self._rooms = play.room, stack_rooms([play.room])
        self._play = play if w2c is None else replace(play, start=read_start(w2c))
        self._moment = first_moment(self._play)
        return self._report_moment(self._play, self._moment)

    def step(self, action):
        if self._sight is None:
            raise RuntimeError("expected reset() before step(); got none; call env.reset(seed=…)")
        wish = read_actions([action], 1, self.continuous)
        if self._play is not None and self._moment is not None:
            self._moment = next_moment(self._play, self._rooms, self._moment, wish[0], self.rig)
            seen, info = self._report_moment(self._play, self._moment)
            return seen, 0.0, False, False, info
        w2c, done, touch = act(self._rooms, self._sight.w2c, wish, self.rig)
        self._sight = see(self._rooms, w2c, self.rig)
        seen, info = self._report(self._sight, touch, done[0])
        return seen, 0.0, False, False, info

    def _report(self, sight: Sight, touch: torch.Tensor, action: torch.Tensor) -> tuple[dict[str, Any], dict[str, Any]]:
        info = {
            "view": sight.view(0, self.rig),
            "actions": list(ACTIONS),
            "action": action.numpy(),
            "room": {k: getattr(self.room, k) for k in ("seed", "style_seed", "layout_seed")},
        }
        return observation(sight, touch, 0), info

    def _report_moment(self, play: Scenario, moment: Moment) -> tuple[dict[str, Any], dict[str, Any]]:
        self._sight, movers = see_moments(play, self._rooms, [moment], self.rig)
        seen, info = self._report(self._sight, torch.zeros(1, dtype=torch.bool), moment.action)
        labels = {"name": play.name, "odds": play.odds, "outcome": play.outcome} | play.labels
        planned = play.action(moment.frame)
        info |= {"moving": (movers[0] > 0).numpy(), "scenario": labels, "planned": planned, "fps": play.fps}
        return seen | {"touch": moment.touch.clamp(max=STRONGEST).numpy()}, info

    def render(self):
        """The left eye, uint8 [H, W, 3]; None without a render mode."""
        return None if self.render_mode is None or self._sight is None else self._sight.rgb[0].numpy().copy()
