"""The arm as a Gymnasium environment, `hybridwm/Arm-v0`: two eyes, touch, things to push and lift; no reward."""

from __future__ import annotations

from typing import Any, cast

import gymnasium
import numpy as np
import torch
from gymnasium import spaces

from render import Camera

from ..seen_view import SeenView
from .eyes import Eyes
from .layout import make_table
from .rig import DECISION, EYES, JOINT_RANGE, JOINTS, OPENING, VIEWS, ArmRig, ViewName
from .simulation import PROPRIO, STRONGEST, TOUCH, ArmSimulation

FARTHEST = 12.0  # metres
ACTIONS = {
    "ee": ("dx_m", "dy_m", "dz_m", "dyaw_rad", "grip"),
    "joints": (*(f"d{name}_rad" for name in JOINTS), "grip"),
}
"""Components of an action. grip is absolute: -1 shut … 1 open; the others are changes."""
LARGEST = {
    "ee": np.array([0.04, 0.04, 0.04, 0.25, 1], np.float32),
    "joints": np.array([0.12] * 6 + [1], np.float32),
}


class ArmEnv(gymnasium.Env):
    """`reset(seed=…)` lays the same table for the same seed; a reset without one draws a new one.

    `view` is the stereo pair that rgb, right, depth and camera are of: on the wrist, or on a stand that overlooks the
    table. `actions` is "ee" (changes of the fingertips' place and yaw, in the base's axes) or "joints" (changes of
    the joint angles). One step is DECISION seconds.

    Observation: rgb, right uint8 [H, W, 3]; depth [H, W] metres, 0 = nothing; camera: w2c of the left eye; touch [4]
    and proprio [10], named in simulation.TOUCH and PROPRIO. Options of `reset`: `style_seed` and `layout_seed` replace
    the seed for colours, textures and lights, and for objects, marks and where the hand begins.
    `info`: `view` (recon.View: stereo, true depth, camera), `actions` (names of the action's components), `action` (the
    one carried out), `table` (seed, style_seed, layout_seed), `things` (names of the objects).
    Raises ModuleNotFoundError without mujoco, RuntimeError where nothing can be drawn off-screen.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": round(1 / DECISION)}

    def __init__(
        self,
        size: int = 64,
        *,
        view: str = "wrist",
        actions: str = "ee",
        render_mode: str | None = None,
    ) -> None:
        for name, value, known in (
            ("view", view, VIEWS),
            ("actions", actions, tuple(ACTIONS)),
            ("render_mode", render_mode, (None, "rgb_array")),
        ):
            if value not in known:
                raise ValueError(f"{name}: expected one of {known}; got {value!r}; choose one of them")
        self.rig, self.actions, self.render_mode = ArmRig(size), actions, render_mode
        self.view_name: ViewName = cast(ViewName, view)
        self.simulation = ArmSimulation(self.rig)
        self._eyes = Eyes(size)
        f = self.rig.focal(self.view_name)
        self._K = torch.tensor([[f, 0, size / 2], [0, f, size / 2], [0, 0, 1]])
        self._seen: dict[str, Any] | None = None
        image = spaces.Box(0, 255, (size, size, 3), np.uint8)
        low = [*JOINT_RANGE[:, 0] - 0.1, -0.01, -1.5, -1.5, -1.5]  # limits of joints give way a little
        high = [*JOINT_RANGE[:, 1] + 0.1, OPENING + 0.01, 1.5, 1.5, 1.5]
        self._proprio = np.array(low, np.float32), np.array(high, np.float32)
        self.observation_space = spaces.Dict(
            rgb=image,
            right=image,
            depth=spaces.Box(0, FARTHEST, (size, size), np.float32),
            camera=spaces.Box(-FARTHEST, FARTHEST, (4, 4), np.float32),
            touch=spaces.Box(0, np.array([STRONGEST] * 3 + [1], np.float32), (len(TOUCH),), np.float32),
            proprio=spaces.Box(*self._proprio, (len(PROPRIO),), np.float32),
        )
        self.action_space = spaces.Box(-LARGEST[actions], LARGEST[actions], dtype=np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        options = dict(options or {})
        style_seed, layout_seed = (options.pop(k, None) for k in ("style_seed", "layout_seed"))
        if options:
            raise ValueError(f"options: expected style_seed or layout_seed; got {sorted(options)}; remove them")
        table_seed = int(self.np_random.integers(2**31)) if seed is None else seed
        table = make_table(table_seed, style_seed=style_seed, layout_seed=layout_seed)
        self.simulation.begin(table)
        self._eyes.take(self.simulation.model)
        still = np.zeros(len(ACTIONS[self.actions]), np.float32)
        still[-1] = self.simulation.grip
        return self._report(still)

    def step(self, action):
        if self._seen is None:
            raise RuntimeError("expected reset() before step(); got none; call env.reset(seed=…)")
        wish = self._read(action)
        move = self.simulation.move_tip if self.actions == "ee" else self.simulation.move_joints
        move(wish[:-1].astype(np.float64), float(wish[-1]))
        seen, info = self._report(wish)
        return seen, 0.0, False, False, info

    def _read(self, action: Any) -> np.ndarray:
        """An action of the space. Raises ValueError for what lies outside it."""
        names, largest = ACTIONS[self.actions], LARGEST[self.actions]
        try:
            values = np.asarray(action)
            numeric = np.issubdtype(values.dtype, np.number) and not np.issubdtype(values.dtype, np.complexfloating)
        except ValueError:
            numeric = False
        if not numeric or values.shape != largest.shape or not np.all(np.abs(values) <= largest + 1e-6):
            raise ValueError(
                f"action: expected ({', '.join(names)}) within ±{[round(float(x), 3) for x in largest]}; "
                f"got {action!r}; clip it to env.action_space"
            )
        return np.clip(values.astype(np.float32), -largest, largest)

    def _report(self, action: np.ndarray) -> tuple[dict[str, Any], dict[str, Any]]:
        simulation = self.simulation
        left, right = (simulation.model.camera(name).id for name in EYES[self.view_name])
        self._eyes.look(simulation.data)
        rgb, depth = self._eyes.see(left, depth=True)
        other, _ = self._eyes.see(right)
        assert depth is not None
        w2c = simulation.w2c(EYES[self.view_name][0])
        self._seen = {
            "rgb": rgb,
            "right": other,
            "depth": depth,
            "camera": w2c.numpy(),
            "touch": simulation.touch,
            "proprio": np.clip(simulation.proprio, *self._proprio),
        }
        info = {
            "view": SeenView(
                torch.from_numpy(rgb).float() / 255,
                Camera(self._K, w2c, self.rig.size, self.rig.size),
                depth=torch.from_numpy(depth),
                right=torch.from_numpy(other).float() / 255,
                baseline=self.rig.baseline(self.view_name),
            ),
            "actions": list(ACTIONS[self.actions]),
            "action": action,
            "table": {k: getattr(simulation.table, k) for k in ("seed", "style_seed", "layout_seed")},
            "things": [thing.name for thing in simulation.table.things],
        }
        return dict(self._seen), info

    def moving(self) -> np.ndarray:
        """bool [H, W]: pixels of the left eye that show the robot or an object, which no camera motion explains."""
        return self._shows(self.simulation.model.geom_bodyid > 0)

    def put(self, joints: np.ndarray, opening: float) -> tuple[dict[str, Any], dict[str, Any]]:
        """Observation and info with the robot there at once (ArmSimulation.put): another table from the same camera."""
        self.simulation.put(joints, opening)
        still = np.zeros(len(ACTIONS[self.actions]), np.float32)
        still[-1] = self.simulation.grip
        return self._report(still)

    def robot(self) -> np.ndarray:
        """bool [H, W]: pixels of the left eye that show the robot itself."""
        model = self.simulation.model
        things = [model.body(f"thing{i}").id for i in range(len(self.simulation.table.things))]
        return self._shows((model.geom_bodyid > 0) & ~np.isin(model.geom_bodyid, things))

    def _shows(self, geoms: np.ndarray) -> np.ndarray:
        shown = self._eyes.geoms(self.simulation.model.camera(EYES[self.view_name][0]).id)
        return np.append(geoms, False)[shown]

    def render(self):
        """The left eye, uint8 [H, W, 3]; None without a render mode."""
        return None if self.render_mode is None or self._seen is None else self._seen["rgb"].copy()

    def close(self) -> None:
        self._eyes.close()
