"""Several processes that train as one: each encodes its part of a batch, and all see the negatives of all.

PyTorch's ``torchrun`` starts the processes and tells each of them its rank; where nothing does, there is one.
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

_PATIENCE = timedelta(hours=4)  # while the first process validates, the others wait


@dataclass(frozen=True)
class World:
    """The processes of one training, of which this is one."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """The first process writes, validates and shows the progress for all."""
        return self.rank == 0

    def part(self, count: int) -> slice:
        """Which of ``count`` samples are this process' own; all have equally many."""
        own = count // self.size
        return slice(self.rank * own, (self.rank + 1) * own)

    def gather(self, own: Tensor) -> Tensor:
        """The tensors of all processes, one after the other along the first dimension; gradients flow back to each."""
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
        """The module, such that a backward pass leaves the mean of all processes' gradients."""
        return module if self.size == 1 else DistributedDataParallel(module, find_unused_parameters=True)


@contextmanager
def joined_world(device: torch.device) -> Iterator[World]:
    """The processes that torchrun has started, for as long as the block runs."""
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
    """Of several processes on a machine with several GPUs each takes its own."""
    local_rank = os.environ.get("LOCAL_RANK")
    return torch.device("cuda", int(local_rank)) if device.type == "cuda" and local_rank else device
