"""Several processes that train one model: each takes a share of every batch.

``torchrun --nproc-per-node 2 script.py`` starts the same script twice and tells each
copy its number (RANK), how many there are (WORLD_SIZE) and which GPU of its machine is
meant (LOCAL_RANK). Every process holds the whole model and sees its share of each
batch's rows; torch's DistributedDataParallel averages the gradients while they are
being computed. So all make the same step, and their weights stay equal. Without these
variables there is one process, and nothing here does anything.

Reference: Li et al., 2020, "PyTorch Distributed: Experiences on Accelerating Data
Parallel Training", section 3.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from lmcore.config import require
from lmcore.runtime import pick_device

T = TypeVar("T")
PATIENCE = timedelta(hours=2)  # others wait while process 0 evaluates and saves


@dataclass(frozen=True)
class World:
    """This process among all that train together.

    Attributes:
        device: Where this process computes.
        rank: Its number; number 0 writes, prints and evaluates for all.
        size: How many there are.
    """

    device: torch.device
    rank: int = 0
    size: int = 1

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model whose backward pass averages gradients over all processes."""
        if self.size == 1:
            return model
        ids = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=ids)

    def exchange(self, model: nn.Module, now: bool) -> AbstractContextManager:
        """Exchange gradients in this backward pass, or only add them up locally."""
        return nullcontext() if self.size == 1 or now else model.no_sync()

    def share(self, batch: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """This process's rows of a batch."""
        if self.size == 1:
            return batch
        rows = len(batch[0])
        require(rows >= self.size, "batch_size", rows, f"be >= {self.size} processes")
        return tuple(t.tensor_split(self.size)[self.rank] for t in batch)

    def sum(self, numbers: list[float]) -> list[float]:
        """Each number, added up over all processes."""
        if self.size == 1:
            return numbers
        total = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        distributed.all_reduce(total)
        return total.tolist()

    def from_first(self, compute: Callable[[], T]) -> T:
        """What ``compute`` gives in process 0, for all; the others do not call it."""
        box = [compute() if self.rank == 0 else None]
        if self.size > 1:
            distributed.broadcast_object_list(box, device=self.device)
        return box[0]


@contextmanager
def join_world(device: str | torch.device | None) -> Iterator[World]:
    """Meet the other processes, if ``torchrun`` started any.

    They stay together until they end, for a second ``train`` in the same script:
    processes that parted wait for each other for ever when they meet again.

    Args:
        device: Where to compute; None for the best there is. Of several GPUs, each
            process takes the one that LOCAL_RANK names.
    """
    device = pick_device(None if device is None else str(device))
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(device)
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    if not distributed.is_initialized():
        backend = "nccl" if device.type == "cuda" else "gloo"
        distributed.init_process_group(backend, timeout=PATIENCE)
    yield World(device, distributed.get_rank(), distributed.get_world_size())
    distributed.barrier()  # nobody leaves while process 0 still saves
