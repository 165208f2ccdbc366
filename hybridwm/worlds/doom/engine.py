"""The game engine as a body in a level: a place to start from, exact steps, and what the eye sees.

Doom's own body slides: a key pushes it, friction stops it. Here the pushes of a decision's tics are chosen so that it
moves by what was asked for, in metres and radians, as far as its strength and the walls allow.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import shutil
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray

from .geometry import Level, cast, free_place, read_level
from .lens import UNITS_PER_METRE, Lens, shrink

SCENARIOS = (
    "my_way_home",
    "health_gathering",
    "health_gathering_supreme",
    "deadly_corridor",
    "deathmatch",
    "defend_the_center",
    "defend_the_line",
    "basic",
    "simpler_basic",
    "rocket_basic",
    "predict_position",
    "take_cover",
)  # the bundled ones for one player: no sky and no slopes in them, so their depth is known everywhere
TICS_PER_SECOND = 35
PUSH = 1 / 32  # map units per tic that one unit of a movement button adds
STRONGEST = 50  # units of a movement button
KEPT = 0.90625  # share of the speed that friction leaves from tic to tic
TICK = 2 * math.pi / 65536  # radians: angles are whole numbers of it, and a turn is rounded down to one
BODY = 16.0  # radius, map units
SETTLE = 12  # tics after a start, until the eye is at its height
BLOCKED = 0.25  # map units by which a step falls short when something stopped it


@dataclass(frozen=True)
class Sight:
    """rgb; depth along the optical axis, metres; what the engine drew at each pixel's centre: 0 wall, 1 floor or
    ceiling, from 2 on a thing; and its own depth buffer there, where it was asked for."""

    rgb: UInt8[ndarray, "H W 3"]
    depth: Float32[ndarray, "H W"]
    labels: UInt8[ndarray, "H W"]
    buffer: UInt8[ndarray, "H W"] | None


@dataclass(frozen=True)
class Step:
    """forward, right: metres; yaw: radians, left positive: as carried out. touch: something stopped it."""

    forward: float
    right: float
    yaw: float
    touch: bool


class Engine:
    """One game process. `start` begins an episode; then `walk` and `look` in turn, while not `over`."""

    def __init__(self, scenario: str, lens: Lens, depth_buffer: bool = False) -> None:
        if scenario not in SCENARIOS:
            raise ValueError(f"scenario: expected one of {', '.join(SCENARIOS)}; got {scenario!r}; choose one of them")
        if importlib.util.find_spec("vizdoom") is None:
            raise ModuleNotFoundError(
                "world 'doom' needs vizdoom; it is not installed. Run: pip install 'hybridwm[doom]'"
            )
        import vizdoom

        self.lens = lens
        self._rows, self._columns = lens.areas()
        self._at = np.ix_(*lens.nearest())
        self._rays = lens.rays()
        self._names = vizdoom.GameVariable
        self._game = game = vizdoom.DoomGame()
        game.set_doom_scenario_path(f"{vizdoom.scenarios_path}/{scenario}.wad")
        game.set_doom_map("map01")
        game.set_screen_resolution(getattr(vizdoom.ScreenResolution, f"RES_{lens.width}X{lens.height}"))
        game.set_screen_format(vizdoom.ScreenFormat.RGB24)
        game.set_labels_buffer_enabled(True)
        game.set_depth_buffer_enabled(depth_buffer)
        game.set_sectors_info_enabled(True)
        for part in ("hud", "weapon", "crosshair", "decals", "particles", "effects_sprites", "messages"):
            getattr(game, f"set_render_{part}")(False)
        game.set_render_screen_flashes(False)
        game.set_window_visible(False)
        game.set_sound_enabled(False)
        game.set_mode(vizdoom.Mode.PLAYER)
        game.set_episode_timeout(0)
        button = vizdoom.Button
        game.set_available_buttons(
            [button.MOVE_FORWARD_BACKWARD_DELTA, button.MOVE_LEFT_RIGHT_DELTA, button.TURN_LEFT_RIGHT_DELTA]
        )
        game.add_game_args("+movebob 0")  # the eye stays at its height
        game.set_doom_game_path(f"{Path(vizdoom.__file__).parent}/freedoom2.wad")  # and not what lies about here
        folder = tempfile.mkdtemp(prefix="hybridwm-doom-")
        self._end = weakref.finalize(self, _end, game, folder)
        game.set_doom_config_path(f"{folder}/doom.ini")
        with contextlib.chdir(folder):  # where the engine starts it leaves a folder
            game.init()
        self.level: Level | None = None

    def close(self) -> None:
        self._end()

    @property
    def over(self) -> bool:
        """The scenario ended: its goal was reached, or the player died."""
        return bool(self._game.is_episode_finished())

    def start(self, seed: int) -> None:
        """An episode whose chances follow the seed: things and monsters by the scenario, place and heading here."""
        rng = np.random.default_rng(seed)
        self._game.set_seed(int(rng.integers(2**31)))
        self._game.new_episode()
        self.level = level = read_level(self._game.get_state().sectors)
        x, y = free_place(level, rng, 2 * BODY)
        self._game.send_game_command(f"warp {x:.0f} {y:.0f}")
        self._game.make_action([0, 0, float(rng.uniform(-180, 180))], 1)
        if not self.over:
            self._game.make_action([0, 0, 0], SETTLE)

    def eye(self) -> tuple[tuple[float, float, float], float]:
        """x, y, z in map units, and the heading in radians, counter-clockwise from +x."""
        x, y, z, angle = self._read("CAMERA_POSITION_X", "CAMERA_POSITION_Y", "CAMERA_POSITION_Z", "CAMERA_ANGLE")
        return (x, y, z), math.radians(angle)

    def speed(self) -> tuple[float, float]:
        """Map units per tic, in the level's x and y."""
        x, y = self._read("VELOCITY_X", "VELOCITY_Y")
        return x, y

    def health(self) -> float:
        return self._read("HEALTH")[0]

    def _read(self, *names: str) -> list[float]:
        return [self._game.get_game_variable(getattr(self._names, name)) for name in names]

    def walk(self, forward: float, right: float, yaw: float, tics: int) -> Step:
        """Turn by yaw (radians, left positive) and go forward and right (metres) along the new heading."""
        (x, y, _), heading = self.eye()
        pushes, turns, planned = plan(heading, self.speed(), forward, right, yaw, tics)
        for tic, (push, turn) in enumerate(zip(pushes, turns, strict=True)):
            self._game.set_action([*push, math.degrees((0.5 - turn) * TICK)])
            self._game.advance_action(1, tic == tics - 1)
            if self.over:
                break
        (x2, y2, _), after = self.eye()
        ahead, aside = along(x2 - x, y2 - y, heading + yaw)
        turned = (after - heading + math.pi) % (2 * math.pi) - math.pi
        short = not self.over and math.dist((x2 - x, y2 - y), planned) > BLOCKED
        touch = short and math.hypot(forward, right) > 1e-6
        return Step(ahead / UNITS_PER_METRE, aside / UNITS_PER_METRE, turned, touch)

    def look(self) -> Sight:
        """What is seen now. Raises RuntimeError when the episode is over: the engine shows nothing then."""
        state = self._game.get_state()
        if state is None or self.level is None:
            raise RuntimeError("expected a running episode; it is over or has not begun; call start(seed)")
        labels = np.asarray(state.labels_buffer)[self._at]
        return Sight(
            rgb=shrink(state.screen_buffer, self._rows, self._columns),
            depth=self._depth(state, labels),
            labels=labels,
            buffer=None if state.depth_buffer is None else state.depth_buffer[self._at],
        )

    def _depth(self, state: Any, labels: UInt8[ndarray, "H W"]) -> Float32[ndarray, "H W"]:
        """The level's depth, and in front of it things, which this engine draws as flat cards that face the eye."""
        assert self.level is not None
        eye, angle = self.eye()
        depth = cast(self.level.with_heights(state.sectors), np.array(eye), angle, self._rays, self._rays)
        for thing in state.labels:
            ahead, _ = along(thing.object_position_x - eye[0], thing.object_position_y - eye[1], angle)
            depth[labels == thing.value] = max(0.0, ahead)
        return (depth / UNITS_PER_METRE).astype(np.float32)


def along(x: float, y: float, heading: float) -> tuple[float, float]:
    """A vector of the level as (forward, right) of a body with that heading."""
    cos, sin = math.cos(heading), math.sin(heading)
    return x * cos + y * sin, x * sin - y * cos


def plan(
    heading: float, speed: tuple[float, float], forward: float, right: float, yaw: float, tics: int
) -> tuple[list[tuple[int, int]], list[int], tuple[float, float]]:
    """Pushes (forward, right) in units of the buttons and turns in ticks to the left, for each tic, so that after all
    of them the body has turned by yaw and moved by (forward, right) metres along its new heading; and the motion that
    they lead to where nothing is in the way, map units in the level's x and y. What one tic's push cannot reach, or
    rounds away, is left to the next ones."""
    cos, sin = math.cos(heading + yaw) * UNITS_PER_METRE, math.sin(heading + yaw) * UNITS_PER_METRE
    wish_x, wish_y = forward * cos + right * sin, forward * sin - right * cos
    left_x, left_y, (vx, vy) = wish_x, wish_y, speed
    pushes, turns, turned = [], [], 0
    for tic in range(tics):
        ticks = round(yaw * (tic + 1) / tics / TICK)
        now = heading + ticks * TICK
        turns.append(ticks - turned)
        turned = ticks
        need = along(left_x / (tics - tic) - vx, left_y / (tics - tic) - vy, now)
        ahead, aside = (round(min(max(n / PUSH, -STRONGEST), STRONGEST)) for n in need)
        pushes.append((ahead, aside))
        vx += PUSH * (ahead * math.cos(now) + aside * math.sin(now))
        vy += PUSH * (ahead * math.sin(now) - aside * math.cos(now))
        left_x, left_y = left_x - vx, left_y - vy
        vx, vy = vx * KEPT, vy * KEPT
    return pushes, turns, (wish_x - left_x, wish_y - left_y)


def _end(game: Any, folder: str) -> None:
    game.close()
    shutil.rmtree(folder, ignore_errors=True)
