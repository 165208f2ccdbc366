"""Several processes that train one network: `torchrun --nproc-per-node N -m hybridwm train CONFIG`.

Gradients are averaged by DDP (gloo on CPUs, nccl on CUDA) or, for large networks, weights, their average, gradients and
moments are shared out by FSDP2 (weights are complete during a step, as in ZeRO 2; Rajbhandari et al. 2020). The first
process alone writes logs, data and weights; the others wait for it and read. So the run folder has to be one that all
of them see.

Known limit: where weights are shared out, a step in which a parameter has a gradient in one process and none in another
(by a condition that no clip of its units has) fails with a mismatch of collectives; with copies (DDP) it does not.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

HANGING = timedelta(minutes=30)  # of a rank in a step
WAITING = timedelta(days=1)  # for the first process to make data, validate and write


@dataclass(frozen=True)
class Ranks:
    """The processes that train together, as one of them sees them."""

    rank: int = 0
    world: int = 1
    device: torch.device | None = None
    """Of this process; None where it is alone."""
    waiting: Any = None
    """Group for waiting and for checkpoints: gloo on any device."""

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def own_units(self, units: int) -> range:
        """The units of a step that this process computes. Raises ValueError where they cannot be shared evenly."""
        if units % self.world:
            raise ValueError(
                f"expected a batch of units that {self.world} processes can share evenly; got {units}. "
                "Set micro_batch so that batch / micro_batch is a multiple of the number of processes."
            )
        return range(self.rank, units, self.world)

    def wait(self) -> None:
        """Returns when every process has come here."""
        if self.world > 1:
            dist.barrier(self.waiting)

    @contextmanager
    def first_before_others(self) -> Iterator[None]:
        """The block is run by the first process, and then, when it is done, by the others."""
        if not self.first:
            self.wait()
        yield
        if self.first:
            self.wait()

    def summed(self, values: Tensor) -> Tensor:
        """The sum over processes of a tensor on the CPU."""
        if self.world == 1:
            return values
        values = values.to(self.device)
        dist.all_reduce(values)
        return values.cpu()

    def shared(self, value: Any) -> Any:
        """The first process's value."""
        box = [value]
        if self.world > 1:
            dist.broadcast_object_list(box, src=0, group=self.waiting)
        return box[0]


ALONE = Ranks()


def device_of(name: str, local_rank: int | None = None) -> torch.device:
    """cpu, cuda, or for "auto" CUDA where there is one; with several processes on a machine, each has its own."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name if local_rank is None or name != "cuda" else f"cuda:{local_rank}")


@contextmanager
def join(device_name: str) -> Iterator[Ranks]:
    """The processes that `torchrun` started, for the time of the block; ALONE where it was not used.

    Raises ConnectionError when another process has ended, ValueError where there is no GPU for each.
    """
    if "LOCAL_RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    device = device_of(device_name, int(os.environ["LOCAL_RANK"]))
    if device.type == "cuda":
        if device.index is None or device.index >= torch.cuda.device_count():
            raise ValueError(
                f"expected a GPU for each process of this machine, device: cuda or auto; got {device} of "
                f"{torch.cuda.device_count()}. Start as many processes as there are GPUs, or say device: cpu."
            )
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=HANGING)
    rank, world = dist.get_rank(), dist.get_world_size()
    try:
        yield Ranks(rank, world, device, dist.new_group(backend="gloo", timeout=WAITING))
    except RuntimeError as error:
        if not _lost(error):
            raise
        raise ConnectionError(
            f"rank {rank} of {world}: expected every process to go on, but another one has ended "
            f"({str(error).splitlines()[0][:120]}). Its own error is above or in its log; the same command goes on "
            "from the last checkpoint."
        ) from error
    dist.destroy_process_group()


def _lost(error: RuntimeError) -> bool:
    """Whether a collective failed for want of another process; gloo raises plain RuntimeErrors."""
    words = ("closed by peer", "reset by peer", "connection refused", "broken pipe", "timed out")
    return isinstance(error, dist.DistError) or any(word in str(error).lower() for word in words)


@dataclass(frozen=True)
class Spread:
    """A network over the processes. model: what a loss calls; holder: whose parameters are trained, which holds this
    process's part of them."""

    model: nn.Module
    holder: nn.Module
    sharded: bool = False

    def gather(self) -> None:
        """Makes shared-out weights complete for a step. A loss may then call the network as often as it likes, and not
        as often in every process."""
        if self.sharded:
            for module in self.model.modules():
                if hasattr(module, "unshard"):
                    module.unshard()  # pyright: ignore[reportCallIssue]

    def accumulating(self, *, last: bool) -> AbstractContextManager[Any]:
        """For one unit's forward and backward pass: gradients are averaged over the processes after the last one."""
        if self.sharded:
            self.model.set_requires_gradient_sync(last)  # pyright: ignore[reportCallIssue]
            self.model.set_reshard_after_backward(last)  # pyright: ignore[reportCallIssue]
        elif self.model is not self.holder and not last:
            return self.model.no_sync()  # pyright: ignore[reportCallIssue, reportReturnType]
        return nullcontext()


def spread(network: nn.Module, ranks: Ranks, shard_above: int) -> Spread:
    """The network itself where the process is alone, a DDP over it, or above so many parameters a sharded copy (the
    network itself then stays whole, for validation, in the first process)."""
    if ranks.world == 1:
        return Spread(network, network)
    if sum(p.numel() for p in network.parameters()) <= shard_above:
        # unused parameters are looked for also because the buckets then stay as they are made: a resumed run sums in
        # the same order as one that went on
        model = nn.parallel.DistributedDataParallel(network, find_unused_parameters=True, broadcast_buffers=False)
        return Spread(model, network)
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    assert ranks.device is not None
    mesh = init_device_mesh(ranks.device.type, (ranks.world,))
    model = copy.deepcopy(network)
    if not ranks.first:
        network.to("meta")
    for stack in reversed([m for m in model.modules() if isinstance(m, nn.ModuleList)]):
        for block in stack:
            fully_shard(block, mesh=mesh, reshard_after_forward=False)
    fully_shard(model, mesh=mesh, reshard_after_forward=False)
    return Spread(model, model, sharded=True)


def whole(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors that may be shared out over the processes, complete in each; all processes have to call it."""
    return {name: value.full_tensor() if is_sharded(value) else value for name, value in tensors.items()}  # pyright: ignore[reportAttributeAccessIssue]


def is_sharded(value: Tensor) -> bool:
    """Whether it is a DTensor (whose import costs a second that most runs need not pay)."""
    return hasattr(value, "device_mesh")
