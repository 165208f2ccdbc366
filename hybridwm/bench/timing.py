"""Milliseconds of several rasterizers on one scene, taken in turns so that a busy machine slows all of them alike."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

import torch
from torch import Tensor

from render import Camera, Gaussians

from .contenders import Contender, Draw, torch_threads

# render: without gradients. forward, backward: one step of a fit, with gradients to the splats and the camera.
PHASES = ("render", "forward", "backward")
FEW = 3  # rounds
SETTLE = 0.005  # seconds between measurements: torch's threads of the one before stop spinning


@dataclass
class Times:
    """Seconds of one contender: for each phase one number in each round that it took part in, else None.

    difference: the largest between its colours and those of the first contender; 0…1.
    """

    contender: Contender
    rounds: list[dict[str, float] | None] = field(default_factory=list)
    difference: float = 0.0

    def milliseconds(self, phase: str) -> float | None:
        values = [taken[phase] for taken in self.rounds if taken is not None and phase in taken]
        return 1000 * median(values) if values else None

    def over(self, other: Times, phase: str) -> float | None:
        """The median, over rounds that both took part in, of this one's time over the other's; where those are
        hardly any, the ratio of both medians."""
        pairs = zip(self.rounds, other.rounds, strict=True)
        ratios = [a[phase] / b[phase] for a, b in pairs if a and b and phase in a and phase in b]
        own, others = self.milliseconds(phase), other.milliseconds(phase)
        if own is None or others is None:
            return None
        return median(ratios) if len(ratios) >= FEW else own / others


def take_turns(
    contenders: Sequence[Contender], gaussians: Gaussians, camera: Camera, *, repeats: int, seconds: float
) -> list[Times]:
    """Warms every contender up, then measures each once a round, in an order that turns round every time.

    One whose rounds take long sits out after `seconds`, but has one round at least; after a warm-up that took more
    than a third of that, the warm-up is its only round.
    """
    works: dict[Contender, tuple[Draw, list[Tensor]]] = {}
    for contender in contenders:
        warm_up(contender)
        works[contender] = contender.prepare(gaussians, camera)
    times = {contender: Times(contender) for contender in contenders}
    spent = dict.fromkeys(contenders, 0.0)

    def measure(contender: Contender) -> dict[str, float]:
        begun = time.perf_counter()
        with torch_threads(contender.torch_threads):
            time.sleep(SETTLE)
            taken = one_round(*works[contender], wait=synchronise(contender))
        spent[contender] += time.perf_counter() - begun
        return taken

    gc.collect()
    gc.disable()
    try:
        first, reference = [], None
        for contender in contenders:
            image = _colours(contender, works[contender][0])
            reference = image if reference is None else reference
            times[contender].difference = float((image - reference).abs().max())
            first.append(measure(contender))
        one_is_enough = {c for c in contenders if spent[c] > seconds / 3}
        for i in range(repeats):
            for contender in contenders if i % 2 == 0 else reversed(contenders):
                if contender in one_is_enough:
                    taken = first[contenders.index(contender)] if i == 0 else None
                else:
                    taken = measure(contender) if i == 0 or spent[contender] < seconds else None
                times[contender].rounds.append(taken)
    finally:
        gc.enable()
    return list(times.values())


def one_round(draw: Draw, leaves: Sequence[Tensor], *, wait: Callable[[], None]) -> dict[str, float]:
    """Seconds of each phase, once; a rasterizer without a backward pass has no forward and backward here."""
    with torch.no_grad():
        begun = time.perf_counter()
        outputs = draw()
        wait()
        taken = {"render": time.perf_counter() - begun}
    cotangents = [torch.ones_like(output) for output in outputs]
    del outputs  # buffers that an output holds are free again, as in a user's loop
    for leaf in leaves:
        leaf.grad = None
    begun = time.perf_counter()
    outputs = draw()
    wait()
    forward = time.perf_counter()
    if not any(output.requires_grad for output in outputs):
        return taken
    torch.autograd.backward(*_differentiable(outputs, cotangents))
    wait()
    return {**taken, "forward": forward - begun, "backward": time.perf_counter() - forward}


def warm_up(contender: Contender) -> None:
    """Compiles or loads everything that the contender needs, on a scene of a few splats."""
    from .scenes import room_camera, room_splats

    with torch_threads(contender.torch_threads):
        one_round(*contender.prepare(room_splats(25), room_camera(16, 16)), wait=synchronise(contender))


def synchronise(contender: Contender) -> Callable[[], None]:
    """What waits until the contender's device has done its work."""
    return torch.cuda.synchronize if contender.device == "cuda" else lambda: None


def _differentiable(outputs: Sequence[Tensor], cotangents: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    pairs = [pair for pair in zip(outputs, cotangents, strict=True) if pair[0].requires_grad]
    return [output for output, _ in pairs], [cotangent for _, cotangent in pairs]


def _colours(contender: Contender, draw: Draw) -> Tensor:
    with torch.no_grad(), torch_threads(contender.torch_threads):
        image = draw()[0][..., :3].cpu()
    return image if image.ndim == 3 else image[0]
