"""How long the first call takes: in fresh processes, with an empty cache of machine code and with a filled one."""

from __future__ import annotations

import time
from statistics import median
from tempfile import TemporaryDirectory

from .processes import in_fresh_process

WARM_RUNS = 3


def first_calls() -> dict[str, dict[str, float]]:
    """Seconds of the cpu backend's first forward and backward call, `cold` and `warm` (the median of some processes).

    Counted from after `import torch` to the gradients of a scene of a few splats: Numba's import is in it.
    """
    with TemporaryDirectory(prefix="hybridwm-bench-") as folder:
        cache = {"NUMBA_CACHE_DIR": folder, "XDG_CACHE_HOME": folder}
        cold = in_fresh_process(_first_call, environment=cache)
        warm = [in_fresh_process(_first_call, environment=cache) for _ in range(WARM_RUNS)]
    return {"cold": cold, "warm": {phase: median(run[phase] for run in warm) for phase in cold}}


def _first_call() -> dict[str, float]:
    import torch

    from .contenders import Contender
    from .scenes import room_camera, room_splats

    torch.set_num_threads(1)
    splats, camera = room_splats(400), room_camera(32, 32)
    draw, _ = Contender("cpu", 1).prepare(splats, camera)
    begun = time.perf_counter()
    outputs = draw()
    forward = time.perf_counter()
    torch.autograd.backward(list(outputs), [torch.ones_like(output) for output in outputs])
    ended = time.perf_counter()
    return {"forward": forward - begun, "backward": ended - forward, "total": ended - begun}
