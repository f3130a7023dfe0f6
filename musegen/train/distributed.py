"""Where a process computes, and what the processes of one run say to each other.

A run is one process, or as many as torchrun starts (RANK, WORLD_SIZE, LOCAL_RANK): every process draws the whole
global batch, takes each WORLD_SIZE-th of its rows, and the gradients are summed, so that any number of processes
does the steps that one would. Weights are held by every process (DDP: Li et al. 2020) or cut over all (`sharded`;
FSDP: Zhao et al. 2023). Process 0 alone measures, saves and logs, and its clock counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn

from musegen.errors import RequestError

DEVICES = ("auto", "cpu", "cuda")
PATIENCE = timedelta(hours=2)
"""How long processes wait for one that measures."""

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Place:
    """A process: its device, its number among `world` processes, and whether weights are cut over them."""

    device: torch.device = _CPU
    rank: int = 0
    world: int = 1
    sharded: bool = False
    narrow: bool = False
    """Whether training computes in bfloat16."""

    @property
    def is_first(self) -> bool:
        """Whether this process measures, saves and logs."""
        return self.rank == 0

    @property
    def is_accelerator(self) -> bool:
        """Whether the device works on its own while Python goes on."""
        return self.device.type != "cpu"

    def autocast(self) -> torch.autocast:
        """Computing in bfloat16 where it pays; weights and sums stay in single precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.narrow)


HERE = Place()
"""One process on the CPU."""


def choose_device(name: str) -> torch.device:
    """The device of one of DEVICES; RequestError for another, or for an accelerator that is not there."""
    if name not in DEVICES:
        raise RequestError(f"unknown device {name!r}: use one of {', '.join(DEVICES)}")
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise RequestError("torch finds no accelerator here: use --device cpu, or install torch with CUDA")
    if name == "cpu" or not available:
        return _CPU
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 faster than single precision: accelerators, and CPUs that say so."""
    if device.type != "cpu":
        return True
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # torch before 2.10 cannot tell
    return any(bool(capabilities.get(name)) for name in ("avx512_bf16", "amx_bf16"))


@contextmanager
def joined(device_name: str = "auto", *, sharded: bool = False, narrow: bool | None = None) -> Iterator[Place]:
    """This process's place among those that torchrun started; alone without torchrun.

    Training computes in bfloat16 if `narrow`, or (None) where that is faster.

    Raises:
        RequestError: as `choose_device`, or if `sharded` is asked of one process.
    """
    device = choose_device(device_name)
    if device.type == "cuda":
        torch.cuda.set_device(device)
        torch.set_float32_matmul_precision("high")
        torch.backends.cuda.enable_cudnn_sdp(False)  # it plans anew for every length of a batch
    if narrow is None:
        narrow = multiplies_bfloat16(device)
    rank, world = (int(os.environ.get(name, default)) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1")))
    if world == 1:
        if sharded:
            raise RequestError("weights are cut over several processes: start with torchrun, or leave --fsdp out")
        yield Place(device, narrow=narrow)
        return
    backend = "gloo" if device.type == "cpu" else "cpu:gloo,cuda:nccl"
    distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield Place(device, rank, world, sharded, narrow)
    finally:
        distributed.destroy_process_group()


def wrapped(model: nn.Module, place: Place) -> nn.Module:
    """The model as training calls it, its gradients summed over the processes."""
    if place.world == 1:
        return model
    if place.sharded:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(place.device.type, (place.world,))
        for block in getattr(model, "blocks", ()):
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
        return model
    return nn.parallel.DistributedDataParallel(model, broadcast_buffers=False, gradient_as_bucket_view=True)


def whole(tensor: Tensor) -> Tensor:
    """A tensor of which every process may hold a part, gathered; all processes call this together."""
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def parted(tensor: Tensor, like: Tensor) -> Tensor:
    """The inverse of `whole`: a tensor on the device, and cut over the processes, as `like` is."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if isinstance(like, DTensor):
        return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements)
    return tensor.to(like.device)


def agreed(place: Place, *values: float) -> list[float]:
    """What process 0 has for these values, told to all."""
    if place.world == 1:
        return list(values)
    told = torch.tensor(values, dtype=torch.float64)
    distributed.broadcast(told, src=0)
    return told.tolist()


def summed(place: Place, values: Tensor) -> Tensor:
    """The sum over all processes."""
    if place.world > 1:
        distributed.all_reduce(values)
    return values
