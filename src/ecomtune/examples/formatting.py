"""From a data set's rows to a task's examples, with every rejected row kept and named."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from ecomtune.core.config import TaskSettings
from ecomtune.core.records import Example, Rejected, Row, dump_line
from ecomtune.examples.screening import Part, read_lines, sort_out
from ecomtune.examples.splits import SPLITS, Marks, Numbers, check_leakage, sample
from ecomtune.messages.errors import UserError
from ecomtune.tasks.base import PromptForm
from ecomtune.tasks.registry import load_task

#: Gives the rows of one part of a data set; where there are several parts it must be picklable.
Reader = Callable[[], Iterable[Row | Rejected]]
#: The file, beginning and end of a row's line.
Span = tuple[Path, int, int]
#: So many examples are made at a time.
CHUNK = 10_000


def format_rows(
    name: str, readers: Sequence[Reader], settings: TaskSettings, seed: int, folder: Path, scratch: Path
) -> dict[str, Any]:
    """Write a task's examples by split, and its rejected rows, into ``folder``; gives a report of counts.

    Several parts are read by as many processes as there are cores; the result doesn't depend on their number. Memory
    holds some 50 bytes a row, the rows themselves wait in ``scratch``. Raises UserError where no row is left in a split, too
    many are rejected, or a test input stands in train.
    """
    with _processes(min(len(readers), os.cpu_count() or 1)) as pool:
        sort = partial(_sort_out, name, seed, scratch)
        parts = list(track(_each(pool, sort, enumerate(readers)), f"{name}: reading", len(readers), transient=True))
        _check_rejected(name, settings, parts)
        marks = Marks.joined([part.marks for part in parts])
        sizes = {"train": settings.train_size, "validation": settings.validation_size, "test": settings.test_size}
        chosen = {split: sample(marks, split, size) for split, size in sizes.items()}
        for split, size in sizes.items():
            if size and not len(chosen[split]):
                raise UserError(
                    f"tasks.{name}: data set {settings.dataset} has no {split} rows; add rows of more groups to it, or name "
                    "another data set"
                )
        starts = np.cumsum([0, *(len(part.ends) for part in parts)])
        leakage = check_leakage(name, marks, chosen, lambda number: _row(parts, starts, number))
        for split, numbers in chosen.items():
            places = range(0, len(numbers), CHUNK)
            chunks = ((place, _spans(parts, starts, numbers[place : place + CHUNK])) for place in places)
            write = partial(_lines, name, settings.prompt, split)
            with (folder / f"{split}.jsonl").open("wb") as file:
                for lines in track(_each(pool, write, chunks), f"{name}: {split}", len(places), transient=True):
                    file.write(lines)
    with (folder / "rejected.jsonl").open("wb") as file:
        for part in parts:
            file.write(part.rejected.read_bytes())
    return _report(name, settings, marks, chosen, parts, leakage)


@contextmanager
def _processes(number: int) -> Iterator[Executor | None]:
    """So many fresh processes (forked ones would hang where a library of the reader's has threads), none for a single one."""
    if number < 2:
        yield None
        return
    pool = ProcessPoolExecutor(number, multiprocessing.get_context("spawn"), initializer=_leave_with_parent)
    try:
        yield pool
    except BaseException:
        children = multiprocessing.active_children()
        pool.shutdown(wait=False, cancel_futures=True)
        for child in children:
            child.terminate()
            child.join()
        raise
    finally:
        pool.shutdown()


def _leave_with_parent() -> None:
    """In a fresh process: leave Ctrl-C to the parent, and end when it is gone, even by SIGKILL."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_await_parent, daemon=True).start()


def _await_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _each(pool: Executor | None, work: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """The result of each item in their order; only a few are worked on at a time, so that no results pile up."""
    if pool is None:
        yield from map(work, items)
        return
    waiting: deque[Future[Any]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 1 + (os.cpu_count() or 1):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise UserError(
            "a process that formats rows was killed, probably for want of memory; make room and run this again"
        ) from error


def _sort_out(name: str, seed: int, scratch: Path, numbered: tuple[int, Reader]) -> Part:
    number, reader = numbered
    return sort_out(reader, load_task(name), seed, scratch, number)


def _row(parts: Sequence[Part], starts: Numbers, number: int) -> Row:
    place = int(np.searchsorted(starts, number, side="right")) - 1
    return parts[place].row(number - int(starts[place]))


def _spans(parts: Sequence[Part], starts: Numbers, numbers: Numbers) -> list[Span]:
    places = np.searchsorted(starts, numbers, side="right") - 1
    return [
        (parts[place].kept, *parts[place].span(number - int(starts[place])))
        for place, number in zip(places.tolist(), numbers.tolist(), strict=True)
    ]


def _lines(name: str, form: PromptForm, split: str, chunk: tuple[int, list[Span]]) -> bytes:
    """The lines of a chunk of examples, whose first one has the given place in its split."""
    task = load_task(name)
    first, spans = chunk
    found = []
    for place, line in enumerate(read_lines(spans), start=first):
        row = Row.model_validate_json(line)
        example = Example.model_construct(  # of a row whose fields have been checked
            id=f"{name}-{split}-{place:06d}",
            task=name,
            prompt=task.prompt(row.fields, form),
            target=task.target(row.fields, row.reference),
            reference=row.reference,
            fields=row.fields,
            group=row.group,
            source=row.source,
            answers=row.answers,
        )
        found.append(dump_line(example))
    return "".join(f"{line}\n" for line in found).encode()


def _check_rejected(name: str, settings: TaskSettings, parts: Sequence[Part]) -> None:
    rejected = sum(part.reasons.total() for part in parts)
    total = rejected + sum(len(part.ends) for part in parts)
    if rejected and rejected / total > settings.max_rejected:
        first = next(part.first for part in parts if part.first)
        raise UserError(
            f"tasks.{name}: {rejected} of {total} rows are rejected, more than max_rejected {settings.max_rejected} allows, "
            f"the first ({first.source}) as {first.reason}; mend the data or raise it"
        )


def _labels(name: str, marks: Marks, numbers: Numbers) -> dict[str, dict[str, int]]:
    """How many of the rows have each label, where the task has labels."""
    labels = load_task(name).labels
    counts = np.bincount(marks.stratum[numbers], minlength=len(labels)).tolist()
    return {"labels": dict(zip(labels, counts, strict=True))} if labels else {}


def _report(
    name: str,
    settings: TaskSettings,
    marks: Marks,
    chosen: Mapping[str, Numbers],
    parts: Sequence[Part],
    leakage: dict[str, dict[str, int]],
) -> dict[str, Any]:
    reasons = sum((part.reasons for part in parts), Counter[str]())
    return {
        "dataset": settings.dataset,
        "task": name,
        "task_version": load_task(name).version,
        "rejected": dict(sorted(reasons.items())),
        "leakage": leakage,
        "splits": {
            split: {
                "available": int((marks.split == SPLITS.index(split)).sum()),
                "rows": len(numbers),
                "groups": len(np.unique(marks.group[numbers])),
                **_labels(name, marks, numbers),
            }
            for split, numbers in chosen.items()
        },
    }
