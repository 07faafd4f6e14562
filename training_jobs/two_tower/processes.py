"""Several processes that train one model, as torchrun starts them: averaged gradients, one decision on when to stop.

The gradients are weighted by the pairs that each process has drawn, so training follows the mean loss of the whole
batch, however many processes share it. One process needs none of this.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from training_jobs.two_tower.batches import Drawing

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among those of the run."""

    rank: int = 0
    count: int = 1

    def share_of(self, drawing: Drawing, seed: int) -> Drawing:
        """The share of every batch that this process draws."""
        return replace(drawing, seed=seed, rank=self.rank, ranks=self.count)

    def average(self, parameters: Iterable[Tensor], *, weight: float) -> None:
        """Replace every gradient by its mean over the processes, weighted."""
        if self.count == 1:
            return
        learnt = list(parameters)
        grads = [torch.zeros_like(value) if value.grad is None else value.grad for value in learnt]
        flat = torch.cat([*(grad.flatten() * weight for grad in grads), torch.tensor([weight])])
        dist.all_reduce(flat)
        parts = torch.split(flat[:-1] / flat[-1].clamp(min=1.0), [grad.numel() for grad in grads])
        for value, part in zip(learnt, parts, strict=True):
            value.grad = part.view_as(value).clone()

    def any(self, flag: bool) -> bool:
        """Whether the flag is up in any process."""
        if self.count == 1:
            return flag
        raised = torch.tensor([float(flag)])
        dist.all_reduce(raised, op=dist.ReduceOp.MAX)
        return bool(raised.item() > 0)

    def from_first(self, measure: Callable[[T], float], subject: T) -> float:
        """The value that the first process measures, sent to all."""
        value = torch.tensor([measure(subject) if self.rank == 0 else 0.0], dtype=torch.float64)
        if self.count > 1:
            dist.broadcast(value, src=0)
        return float(value.item())


ALONE = Processes()


@contextmanager
def joined(environment: Mapping[str, str] = os.environ) -> Iterator[Processes]:
    """The processes that torchrun started, while the block runs; ALONE without torchrun."""
    count = int(environment.get("WORLD_SIZE", "1"))
    if count == 1:
        yield ALONE
        return
    dist.init_process_group("gloo")
    try:
        yield Processes(dist.get_rank(), count)
    finally:
        dist.destroy_process_group()
