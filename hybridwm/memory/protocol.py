"""What every memory does: begin, recall from a camera, observe a view. Its state is a value of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from recon import GaussianScene, View
from render import Camera

from ..core.conditioning import Recalled


@runtime_checkable
class Memory(Protocol):
    @property
    def frames(self) -> int | None:
        """How many recent frames the core may keep beside this memory; None: as many as it was trained with."""
        ...

    @property
    def grounded(self) -> bool:
        """Whether views need depth before they are observed."""
        ...

    def begin(self, device: Any) -> Any:
        """The state of a memory that knows nothing."""
        ...

    def recall(self, state: Any, camera: Camera, baseline: float | None) -> Recalled:
        """What is known from the camera (the left eye; the right one is `baseline` metres along its +x)."""
        ...

    def observe(
        self,
        state: Any,
        view: View,
        *,
        observed: bool,
        step: int,
        recalled: Recalled | None,
        earlier: Sequence[View] = (),
    ) -> Any:
        """The state after a view; `recalled` is what was known from its camera, when that is at hand; `earlier`: the
        measured views before it, by which what moves is told."""
        ...

    def scene(self, state: Any) -> GaussianScene | None:
        """The scene in a state, where there is one."""
        ...
