"""Answering with several processes, started by torchrun or accelerate: each takes complete batches.

What a batch holds can change the last digits of a score, so batches are the same whatever the number of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import torch

from ecomtune.messages.errors import UserError
from ecomtune.models.process import is_main_process, world_size

T = TypeVar("T")


def join() -> None:
    """Connect the processes; nothing is set up where there is only one.

    Raises UserError where the processes that found each other are not those that were started.
    """
    if world_size() == 1:
        return
    from accelerate import PartialState

    threads = torch.get_num_threads()
    found = PartialState(cpu=not torch.cuda.is_available()).num_processes
    torch.set_num_threads(threads)  # which accelerate changes on a CPU
    if found != world_size():
        raise UserError(f"{world_size()} processes were started, but {found} would answer together; start them with torchrun")


def own_batches(batches: Iterable[list[int]]) -> list[list[int]]:
    """The batches of rows that this process answers: all of them, or every n-th with n processes."""
    rank = torch.distributed.get_rank() if world_size() > 1 else 0
    return list(batches)[rank :: world_size()]


def gather(answers: list[T], batches: Iterable[list[int]]) -> list[T]:
    """The answers to all rows, of which this process has computed those of ``batches``; the same in every process."""
    if world_size() == 1:
        return answers
    parts: list[dict[int, T]] = [{} for _ in range(world_size())]
    torch.distributed.all_gather_object(parts, {row: answers[row] for batch in batches for row in batch})
    found = {row: answer for part in parts for row, answer in part.items()}
    return [found[row] for row in range(len(answers))]


def from_main(value: Callable[[], T]) -> T:
    """The result of ``value`` in the main process, broadcast to every process."""
    if world_size() == 1:
        return value()
    shared = [value() if is_main_process() else None]
    torch.distributed.broadcast_object_list(shared)
    return shared[0]  # type: ignore[return-value]  # the main process has filled it
