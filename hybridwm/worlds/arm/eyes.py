"""Off-screen drawing: colours and metric depth of one camera in one pass, into buffers that are used again."""

from __future__ import annotations

import atexit
import weakref
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from ...actions.mujoco_import import gl_context, import_mujoco


class Eyes:
    """One OpenGL context and its buffers, for all cameras of one model at a time; `take` exchanges the model.

    Raises RuntimeError, with what to install, where neither EGL nor OSMesa can be used.
    """

    def __init__(self, size: int) -> None:
        self._mj = mujoco = import_mujoco()
        self.size = size
        try:
            self._gl = gl_context()(size, size)
        except Exception as error:  # the backends raise whatever their loader does
            raise RuntimeError(
                f"drawing without a screen: expected EGL or OSMesa; got {' '.join(str(error).split())[:160]}; install "
                "one (Debian: apt install libegl1 libgl1-mesa-dri, or libosmesa6) or set MUJOCO_GL"
            ) from error
        self._held: list[Any] = []  # the renderer's context, replaced with each model
        self._end = weakref.finalize(self, _free, self._gl, self._held)
        # at the interpreter's end: after the display was opened, so before it is closed; __del__ would come too late
        self._end.atexit = False
        atexit.register(self._end)
        self._rect = mujoco.MjrRect(0, 0, size, size)
        self._option = mujoco.MjvOption()
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._pixels = np.empty((size, size, 3), np.uint8)
        self._depth = np.empty((size, size), np.float32)

    def take(self, model: Any) -> None:
        """The model (mujoco.MjModel) to draw from now on, with its textures as they are now."""
        mujoco = self._mj
        self._gl.make_current()
        while self._held:
            self._held.pop().free()
        self._model = model
        self._scene = mujoco.MjvScene(model, maxgeom=200)
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50)
        self._held.append(self._context)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        self._near, self._far = (x * model.stat.extent for x in (model.vis.map.znear, model.vis.map.zfar))

    def look(self, data: Any) -> None:
        """The world's state (mujoco.MjData) to draw from now on."""
        mujoco, everything = self._mj, self._mj.mjtCatBit.mjCAT_ALL
        self._camera.fixedcamid = 0
        mujoco.mjv_updateScene(self._model, data, self._option, None, self._camera, everything, self._scene)
        self._data = data

    def see(
        self, camera: int, *, depth: bool = False
    ) -> tuple[UInt8[np.ndarray, "H W 3"], Float32[np.ndarray, "H W"] | None]:
        """Colours and, where asked for, depth (metres along the optical axis, 0 = nothing) of the camera by its id."""
        self._draw(camera)
        self._mj.mjr_readPixels(self._pixels, self._depth if depth else None, self._rect, self._context)
        return self._pixels[::-1].copy(), self._metres() if depth else None

    def geoms(self, camera: int) -> Int32[np.ndarray, "H W"]:
        """The id of the geom that each pixel shows, -1 = nothing."""
        flags = self._mj.mjtRndFlag
        for flag in (flags.mjRND_SEGMENT, flags.mjRND_IDCOLOR):
            self._scene.flags[flag] = 1
        self._draw(camera)
        self._mj.mjr_readPixels(self._pixels, None, self._rect, self._context)
        for flag in (flags.mjRND_SEGMENT, flags.mjRND_IDCOLOR):
            self._scene.flags[flag] = 0
        shown = self._pixels[::-1].astype(np.int32) @ np.array([1, 256, 65536], np.int32)
        table = np.full(self._scene.maxgeom + 1, -1, np.int32)
        for geom in self._scene.geoms[: self._scene.ngeom]:
            if geom.segid >= 0 and geom.objtype == self._mj.mjtObj.mjOBJ_GEOM:
                table[geom.segid + 1] = geom.objid
        return table[shown]

    def _draw(self, camera: int) -> None:
        self._gl.make_current()
        self._camera.fixedcamid = camera
        self._mj.mjv_updateCamera(self._model, self._data, self._camera, self._scene)
        self._mj.mjr_render(self._rect, self._scene, self._context)

    def _metres(self) -> Float32[np.ndarray, "H W"]:
        """z from the depth buffer, which holds near / z shifted so that the far plane is 0."""
        buffer = self._depth[::-1].astype(np.float64)
        near, far = self._near, self._far
        z = near * far / (near + buffer * (far - near))
        return np.where(buffer > 0, z, 0).astype(np.float32)

    def close(self) -> None:
        """Frees what OpenGL holds; the eyes are of no use afterwards."""
        self._end()


def _free(gl: Any, held: list[Any]) -> None:
    if held:
        gl.make_current()
        held.pop().free()
    gl.free()
