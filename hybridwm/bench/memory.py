"""Peak memory of a rendering beyond its scene, in a process of its own.

On the CPU it is the growth of the resident set: Linux's high-water mark (VmHWM) is set back to what the process holds
with the scene made and the code compiled, and read after the call. The first call counts: its working memory is new.
On CUDA it is what torch's allocator says.
"""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path

import torch

from .contenders import Contender, torch_threads
from .processes import in_fresh_process
from .scenes import room_camera, room_splats
from .sizes import Size
from .timing import warm_up

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_megabytes(contender: Contender, size: Size) -> dict[str, float | None]:
    """MB (10^6 bytes) beyond the scene: of a `render` without gradients, and then of a whole `step`, forward and
    backward. `kept` is the part of a step that is the caller's own: images, their gradients and those of the leaves.
    None where the system does not say, or where there is no backward pass."""
    return in_fresh_process(_measure, contender, size)


def _measure(contender: Contender, size: Size) -> dict[str, float | None]:
    with torch_threads(contender.torch_threads):
        warm_up(contender)
        draw, leaves = contender.prepare(room_splats(size.count), room_camera(size.width, size.height))
        before = _begin(contender)
        with torch.no_grad():
            outputs = draw()
        render = _peak(contender, before)
        del outputs
        outputs = [output for output in draw() if output.requires_grad]
        if not outputs:
            return {"render": render, "step": None, "kept": None}
        cotangents = [torch.ones_like(output) for output in outputs]
        torch.autograd.backward(outputs, cotangents)
        step = _peak(contender, before)
        kept = [*outputs, *cotangents, *(leaf.grad for leaf in leaves if leaf.grad is not None)]
        return {"render": render, "step": step, "kept": sum(tensor.nbytes for tensor in kept) / 1e6}


def _begin(contender: Contender) -> int | None:
    """Bytes held now; from here on the peak is counted anew."""
    gc.collect()
    if contender.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):  # what the making of the scene has freed goes back to the system, or it hides use
        libc.malloc_trim(0)
    try:
        CLEAR.write_text("5")  # sets VmHWM back to VmRSS
        return _status("VmRSS")
    except OSError:
        return None


def _peak(contender: Contender, before: int | None) -> float | None:
    """MB above `before` at most since then."""
    if before is None:
        return None
    peak = torch.cuda.max_memory_allocated() if contender.device == "cuda" else _status("VmHWM")
    return max(0, peak - before) / 1e6


def _status(name: str) -> int:
    lines = STATUS.read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
