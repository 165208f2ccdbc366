"""The world model: one frame, straight down. It holds modules and no state; a `WorldState` is a value."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from recon import View
from recon.depth_sources import reads_truth
from render import Camera

from .actions.between import action_between
from .actions.body import Body, make_body
from .actions.scale import ActionScale
from .actions.still import UnknownBody
from .actions.walker import Walker
from .core.batch import Imagined, imagine_batch, remember_batch
from .core.codec import check_signature, codec_for, decode_eyes, encode_eyes
from .core.conditioning import Recalled, to_depth
from .core.guidance import HistoryGuidance
from .core.video_core import Context, VideoCore
from .measure import Measure, ahead
from .memory import Memory, make_memory
from .weights.store import load_weights
from .world_state import Frame, Oracle, Rollout, WorldState


class WorldModel:
    """A core, a body, a memory and a depth source.

    solver_steps, shortcut, guidance: as for VideoCore.imagine. context_noise: the flow time at which past frames are
    shown, where it is not to be the weights' own. scale: of the actions that the core was trained on.
    """

    def __init__(
        self,
        core: VideoCore,
        memory: Memory,
        *,
        depth: str | None = None,
        body: Body | None = None,
        scale: ActionScale | None = None,
        solver_steps: int = 1,
        shortcut: bool = True,
        guidance: HistoryGuidance | None = None,
        context_noise: float | None = None,
    ) -> None:
        if memory.grounded and depth is None:
            raise ValueError("WorldModel: this memory needs a depth source; got depth=None. Pass depth='stereo'.")
        if depth is not None and not memory.grounded:
            raise ValueError(f"WorldModel: this memory uses no depth; got depth={depth!r}. Pass depth=None.")
        if depth is not None and depth.startswith(("stereo", "learned_stereo")) and core.config.eyes != 2:
            raise ValueError(f"WorldModel: depth={depth!r} needs a binocular core; got one eye. Use 'multiview'.")
        if depth == "rgbd" and not core.config.rgbd:
            raise ValueError(
                f"WorldModel: depth='rgbd' needs an rgb-d core, of 4 channels; got {core.config.eye_channels}. Use "
                "'stereo' or 'multiview'."
            )
        if core.config.rgbd and core.config.eyes != 1:
            raise ValueError("WorldModel: expected one eye of an rgb-d core, as views carry one depth; got 2.")
        self.core = core.eval()
        self.memory = memory
        self.depth = depth
        self.body: Body = body or Walker()
        self.scale = scale
        self.solver_steps = solver_steps
        self.shortcut = shortcut
        self.guidance = guidance
        self.context_noise = context_noise
        self._measure = None if depth is None else Measure(depth)

    @torch.no_grad()
    def start(
        self,
        views: Sequence[View],
        actions: Sequence[Any] | Tensor | None = None,
        seed: int = 0,
        oracle: Oracle | None = None,
        vectors: Sequence[Mapping[str, Tensor]] | None = None,
    ) -> WorldState:
        """The state after an observed beginning, views in time order.

        Every view is observed by the memory; the last ones become the core's context. actions[i] took views[i] to
        views[i + 1]; without them they are read off the cameras. `oracle` gives true depth of imagined frames.
        vectors[i] came with views[i], of a core that has any (CoreConfig.vectors).
        Raises ValueError for views that do not fit the core, or depth='truth' or one of its variants without an
        oracle. For depth='shuffled' it is another scene's, and what the views carry is not looked at.
        """
        if not views:
            raise ValueError("start: expected at least one view; got none.")
        if self.depth is not None and reads_truth(self.depth) and oracle is None:
            raise ValueError(
                f"start: depth={self.depth!r} needs oracle(camera) -> depth in metres for frames to come; got None. "
                "Pass the simulator's depth, or choose depth='stereo'."
            )
        for view in views:
            self._check(view)
        if actions is None and len(views) > 1 and not isinstance(self.body, Walker):
            raise ValueError(
                "start: expected the actions between the views, since only a walker's are read off cameras; got none."
            )
        if vectors is not None and len(vectors) != len(views):
            raise ValueError(f"start: expected vectors for each of {len(views)} views; got {len(vectors)}.")
        context = self.core.begin(views[0].camera, seed, baseline=views[0].baseline)
        first = max(0, len(views) - max(self.core.config.window, self.memory.frames or 0))
        context = replace(context, steps=first, camera=views[max(0, first - 1)].camera)
        memory, seen = self.memory.begin(views[0].camera.device), ()
        clearance = None
        for i, view in enumerate(views):
            if self._measure is None:
                memory = self.memory.observe(memory, view, observed=True, step=i, recalled=None)
            else:
                measured, seen = self._measure(view, seen, oracle if self.depth == "shuffled" else None)
                recalled = self.memory.recall(memory, view.camera, view.baseline)
                memory = self.memory.observe(
                    memory, measured, observed=True, step=i, recalled=recalled, earlier=seen[:-1]
                )
                clearance = ahead(measured)
            if i >= first:
                told = None if vectors is None else vectors[i]
                (context,) = self._remember([context], [view], [self._led(views, actions, i)], vectors=[told])
        last = views[-1]
        return WorldState(
            camera=last.camera,
            steps=0,
            context=context,
            memory=memory,
            views=seen,
            baseline=last.baseline,
            clearance=clearance,
            oracle=oracle,
            scene=self.memory.scene(memory),
        )

    @torch.no_grad()
    def step(self, state: WorldState, action: Any, *, camera: Camera | None = None) -> tuple[WorldState, Frame]:
        """One action in, one frame out.

        action: a name, or a vector in the order of body.names (a walker's: forward m, right m, yaw rad, pitch rad).
        camera: the commanded camera, where it is known (a planned walk); otherwise the body moves, and stops before
        what it measured ahead: the core is then told how far it came, as it was in training.
        Raises ValueError for an action outside the space.
        """
        return self.step_all([state], [action], None if camera is None else [camera])[0]

    @torch.no_grad()
    def step_all(
        self, states: Sequence[WorldState], actions: Sequence[Any] | Tensor, cameras: Sequence[Camera] | None = None
    ) -> list[tuple[WorldState, Frame]]:
        """`step` of several dreams: the network takes them as one batch, memories and depth one after the other.

        Equal to single steps but for rounding. Frame.seconds: each one's share of the time of all.
        """
        read = [self.body.read(action) for action in actions]
        clock = _Clock()
        commanded = cameras is not None
        if cameras is None:
            read = [self._carried(state, action) for state, action in zip(states, read, strict=True)]
            cameras = [self._moved(state, action) for state, action in zip(states, read, strict=True)]
        told = [self._told(action) for action in read]
        every = list(zip(states, cameras, strict=True))
        recalled = [self.memory.recall(state.memory, camera, state.baseline) for state, camera in every]
        clock.lap("render")
        imagined = imagine_batch(
            self.core,
            [state.context for state in states],
            recalled,
            cameras,
            told,
            solver_steps=self.solver_steps,
            shortcut=self.shortcut,
            guidance=self.guidance,
        )
        views = [
            self._seen(video, camera, state.baseline)
            for (video, _), (state, camera) in zip(imagined, every, strict=True)
        ]
        if isinstance(self.body, UnknownBody) and not commanded:
            views = [self._located(view, state) for view, state in zip(views, states, strict=True)]
        contexts = self._remember([state.context for state in states], views, told, imagined)
        clock.lap("denoise")
        after = [
            self._observed(state, context, view, known, clock)
            for state, context, view, known in zip(states, contexts, views, recalled, strict=True)
        ]
        share = {part: seconds / len(after) for part, seconds in clock.seconds.items()}
        frames = [
            Frame(view.image, view.camera, view.right, share, view.depth, vectors)
            for view, (_, vectors) in zip(views, imagined, strict=True)
        ]
        return list(zip(after, frames, strict=True))

    def _told(self, action: Float[Tensor, "a"]) -> Float[Tensor, "a"]:
        """An action as the core was trained on it."""
        return action if self.scale is None else self.scale(action)

    def _led(self, views: Sequence[View], actions: Sequence[Any] | Tensor | None, i: int) -> Float[Tensor, "a"]:
        """What led to a start view, as the core is told it; nothing, in training too, to the first one."""
        if actions is not None and i > 0:
            return self._told(self.body.read(actions[i - 1]))
        if isinstance(self.body, Walker):
            return action_between(self.body, views[max(0, i - 1)].camera.w2c, views[i].camera.w2c)
        return torch.zeros(self.core.config.action_dim)

    def _carried(self, state: WorldState, action: Float[Tensor, "a"]) -> Float[Tensor, "a"]:
        """As far as wall and neck let a walker, which is what its training tells; of another body as asked for."""
        if not isinstance(self.body, Walker):
            return action
        return self.body.carried(state.camera.w2c, action, _free(state))

    def _moved(self, state: WorldState, action: Float[Tensor, "a"]) -> Camera:
        return replace(state.camera, w2c=self.body.move(state.camera.w2c, action, _free(state)))

    def _seen(self, video: Float[Tensor, "C H W"], camera: Camera, baseline: float | None) -> View:
        """An imagined frame as a view."""
        image, right = decode_eyes(self.core.codec, video)
        depth = to_depth(video) if self.core.config.rgbd else None
        return View(image, camera, depth, right=right, baseline=None if right is None else baseline)

    def _located(self, view: View, state: WorldState) -> View:
        """A view whose motion only its image tells; where it tells none, the camera stays."""
        w2c = None if self._measure is None else self._measure.motion(view, state.views)
        return view if w2c is None else replace(view, camera=replace(view.camera, w2c=w2c))

    def _observed(
        self, state: WorldState, context: Context, view: View, recalled: Recalled, clock: _Clock
    ) -> WorldState:
        """The state after an imagined view, measured where memory needs it."""
        if self.depth is not None and reads_truth(self.depth):
            # what is imagined is never taken for the simulator's
            view = replace(view, depth=None)
        views, clearance = state.views, state.clearance
        if self._measure is not None:
            view, views = self._measure(view, state.views, state.oracle, recalled)
            clearance = ahead(view)
            clock.lap("depth")
        # observed steps count the start views; imagined ones go on from there
        memory = self.memory.observe(
            state.memory, view, observed=False, step=state.context.steps, recalled=recalled, earlier=views[:-1]
        )
        clock.lap("fuse" if self.memory.grounded else "denoise")
        return replace(
            state,
            camera=view.camera,
            steps=state.steps + 1,
            context=context,
            memory=memory,
            views=views,
            clearance=clearance,
            scene=self.memory.scene(memory),
        )

    def _remember(
        self,
        contexts: Sequence[Context],
        views: Sequence[View],
        actions: Sequence[Float[Tensor, "a"]],
        imagined: Sequence[Imagined] | None = None,
        vectors: Sequence[Mapping[str, Tensor] | None] = (None,),
    ) -> list[Context]:
        """Contexts after views; imagined latents are shown as they are, as encoding again would add errors."""
        cfg = self.core.config
        if imagined is not None:
            vectors = [each for _, each in imagined]
        if imagined is not None and cfg.factor > 1:
            frames = [latents for latents, _ in imagined]
        else:
            frames = [
                encode_eyes(
                    self.core.codec,
                    view.image,
                    view.right if cfg.eyes == 2 else None,
                    view.depth if cfg.rgbd else None,
                )
                for view in views
            ]
        return remember_batch(
            self.core,
            contexts,
            frames,
            [view.camera for view in views],
            actions,
            vectors=vectors,
            window=self.memory.frames,
            context_noise=self.context_noise,
            guidance=self.guidance,
        )

    def _check(self, view: View) -> None:
        cfg = self.core.config
        height, width = cfg.image_size
        if (view.width, view.height) != (width, height):
            raise ValueError(
                f"start: expected views of {width}x{height} as these weights imagine; got "
                f"{view.width}x{view.height}. Use recon.resize_view(view, {width}, {height})."
            )
        if cfg.eyes == 2 and view.right is None:
            raise ValueError("start: these weights are binocular and need View.right and View.baseline; got None.")
        if cfg.rgbd and view.depth is None:
            raise ValueError("start: these weights are rgb-d and need View.depth in metres; got None.")


@torch.no_grad()
def imagine(
    world: WorldModel,
    state: WorldState,
    actions: Sequence[Any] | Tensor,
    cameras: Sequence[Camera] | None = None,
) -> Rollout:
    """Rolls the dream out over T actions; `cameras`: the commanded camera of each frame, where they are planned."""
    if len(actions) == 0:
        raise ValueError("imagine: expected at least one action; got none.")
    if cameras is not None and len(cameras) != len(actions):
        raise ValueError(
            f"imagine: expected one camera for each action; got {len(cameras)} cameras, {len(actions)} actions."
        )
    frames: list[Frame] = []
    for i, action in enumerate(actions):
        state, frame = world.step(state, action, camera=None if cameras is None else cameras[i])
        frames.append(frame)
    rights = [frame.right for frame in frames if frame.right is not None]
    seconds: dict[str, float] = {}
    for frame in frames:
        for part, spent in frame.seconds.items():
            seconds[part] = seconds.get(part, 0.0) + spent
    return Rollout(
        torch.stack([frame.image for frame in frames]),
        torch.stack(rights) if rights else None,
        tuple(frame.camera for frame in frames),
        state,
        seconds,
    )


def load(
    weights: str | Path = "rooms-64",
    *,
    memory: str = "splat",
    depth: str | None = None,
    solver_steps: int = 1,
    shortcut: bool = True,
    guidance: HistoryGuidance | None = None,
    context_noise: float | None = None,
    codec: str | Path | None = None,
    device: str | torch.device = "cpu",
) -> WorldModel:
    """A world model from packaged weights (by name), a folder or a file. Memory needs the name of a depth source
    (see recon.depth_source: "stereo", "multiview", "rgbd", "truth", ...) when it is "splat" or "routed", none
    otherwise. codec: the folder of the autoencoder, where it is no longer where training had it.

    What drives them is the body that they were trained with. Raises FileNotFoundError, FormatError (weights that do
    not fit their configuration), ValueError (names; another autoencoder than that of training).
    """
    loaded = load_weights(weights)
    frames = codec_for(loaded.core, str(codec or loaded.training.get("codec", "")))
    check_signature(frames, loaded.card.get("codec_signature"))
    core = VideoCore(loaded.core, frames)
    loaded.fill(core.network)
    cfg, card = loaded.core, loaded.card
    body = str(loaded.training.get("episodes", {}).get("body", "walker"))
    return WorldModel(
        core.to(device),
        make_memory(memory, eyes=cfg.eyes, window=cfg.window, patch=cfg.patch * cfg.factor),
        depth=depth,
        body=make_body(body, period=float(card.get("period", 1.0)), names=tuple(card.get("action_names", ()))),
        scale=ActionScale.read(card),
        solver_steps=solver_steps,
        shortcut=shortcut,
        guidance=guidance,
        context_noise=context_noise,
    )


def _free(state: WorldState) -> Float[Tensor, ""] | None:
    return None if state.clearance is None else torch.tensor(state.clearance)


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, part: str) -> None:
        now = time.perf_counter()
        self.seconds[part] = self.seconds.get(part, 0.0) + now - self._last
        self._last = now
