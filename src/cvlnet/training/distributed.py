"""Data-parallel training: each process encodes its part of a batch, and all share their negatives.

PyTorch's ``torchrun`` starts the processes and sets their ranks; without it there is a single one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_gather
from torch.nn.parallel import DistributedDataParallel

_PATIENCE = timedelta(hours=4)  # the other processes wait while the first one validates


@dataclass(frozen=True)
class World:
    """The processes of one training, seen from one of them."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes, validates and shows the progress."""
        return self.rank == 0

    @property
    def is_on_one_machine(self) -> bool:
        """Whether all processes run on the machine of this one."""
        return int(os.environ.get("LOCAL_WORLD_SIZE", self.size)) == self.size

    def part(self, count: int) -> slice:
        """The process' share of ``count`` samples, of the same size for all."""
        own = count // self.size
        return slice(self.rank * own, (self.rank + 1) * own)

    def gather(self, own: Tensor) -> Tensor:
        """The tensors of all processes, concatenated along the first dimension; differentiable."""
        if self.size == 1:
            return own
        if own.is_floating_point():
            return torch.cat(all_gather(own))  # type: ignore[no-untyped-call]
        numbers = own.to(torch.uint8) if own.dtype == torch.bool else own.contiguous()
        parts = [torch.empty_like(numbers) for _ in range(self.size)]
        distributed.all_gather(parts, numbers)
        return torch.cat(parts).to(own.dtype)

    def all(self, holds: bool) -> bool:
        """Whether it holds in all processes."""
        return bool(self.gather(torch.tensor([holds])).all())

    def together(self, module: nn.Module) -> nn.Module:
        """The module with gradients averaged over all processes."""
        return module if self.size == 1 else DistributedDataParallel(module, find_unused_parameters=True)


@contextmanager
def joined_world(device: torch.device) -> Iterator[World]:
    """The process group that torchrun set up, for the duration of the block."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World()
        return
    distributed.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
    try:
        yield World(distributed.get_rank(), size)
    finally:
        distributed.destroy_process_group()


def own_device(device: torch.device) -> torch.device:
    """The GPU of this process' local rank, where torchrun sets one; otherwise the device as given."""
    local_rank = os.environ.get("LOCAL_RANK")
    return torch.device("cuda", int(local_rank)) if device.type == "cuda" and local_rank else device
