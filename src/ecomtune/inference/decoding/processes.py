"""Answering by several processes that torchrun or accelerate started: each takes whole batches, which decide last digits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import torch

from ecomtune.messages.errors import UserError
from ecomtune.models.process import is_main_process, world_size

T = TypeVar("T")


def join() -> None:
    """Let the processes find each other; where there is one, nothing is set up.

    Raises UserError where others would answer together than were started.
    """
    if world_size() == 1:
        return
    from accelerate import PartialState

    threads = torch.get_num_threads()
    found = PartialState(cpu=not torch.cuda.is_available()).num_processes
    torch.set_num_threads(threads)  # which accelerate changes on a CPU
    if found != world_size():
        raise UserError(f"{world_size()} processes were started, and {found} would answer together; start them with torchrun")


def own(batches: Iterable[list[int]]) -> list[list[int]]:
    """Of batches of rows those that this process answers: every one, or every n-th of n processes."""
    first = torch.distributed.get_rank() if world_size() > 1 else 0
    return list(batches)[first :: world_size()]


def whole(answers: list[T], batches: Iterable[list[int]]) -> list[T]:
    """The answers to all rows, of which this process has given those of ``batches``; the same in every process."""
    if world_size() == 1:
        return answers
    given: list[dict[int, T]] = [{} for _ in range(world_size())]
    torch.distributed.all_gather_object(given, {row: answers[row] for batch in batches for row in batch})
    found = {row: answer for each in given for row, answer in each.items()}
    return [found[row] for row in range(len(answers))]


def of_main(value: Callable[[], T]) -> T:
    """What ``value`` gives in the first process, in every one."""
    if world_size() == 1:
        return value()
    told = [value() if is_main_process() else None]
    torch.distributed.broadcast_object_list(told)
    return told[0]  # type: ignore[return-value]  # the first process has filled it
