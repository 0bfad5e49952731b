"""From a data set's rows to a task's examples; every rejected row is kept with its reason."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
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
from ecomtune.core.paths import REJECTED
from ecomtune.core.records import Example, Rejected, Row, dump_line
from ecomtune.examples.screening import ScreenedPart, ScreenedRows, Span, read_spans, screen_part
from ecomtune.examples.splits import SPLITS, Numbers, check_leakage, sample
from ecomtune.messages.errors import UserError
from ecomtune.tasks.base import PromptForm, Task

#: Returns the rows of one part of a data set; it must be picklable where there are several parts.
Reader = Callable[[], Iterable[Row | Rejected]]
#: The number of examples that are made at a time.
CHUNK = 10_000


def format_rows(
    task: Task, readers: Sequence[Reader], settings: TaskSettings, seed: int, folder: Path, scratch: Path
) -> dict[str, Any]:
    """Write a task's examples by split, and its rejected rows, into ``folder``; returns the report of counts.

    Several parts are read by as many processes as there are cores; the result doesn't depend on their number. Memory holds
    about 50 bytes per row, the rows themselves wait in ``scratch``. Raises UserError where a split has no rows, too many rows
    are rejected, or two splits share an input or a group.
    """
    name = task.name
    with _process_pool(min(len(readers), os.cpu_count() or 1)) as pool:
        screen = partial(_screen, task, seed, scratch)
        screened = _map_in_order(pool, screen, enumerate(readers))
        rows = ScreenedRows(list(track(screened, f"{name}: reading", len(readers), transient=True)))
        _check_rejected(name, settings, rows)
        sizes = {"train": settings.train_size, "validation": settings.validation_size, "test": settings.test_size}
        chosen = {split: sample(rows.keys, split, size) for split, size in sizes.items()}
        for split, size in sizes.items():
            if size and not len(chosen[split]):
                raise UserError(
                    f"tasks.{name}: data set {settings.dataset_names} has no {split} rows; add rows of more groups to it, "
                    "or name another data set"
                )
        leakage = check_leakage(name, rows.keys, chosen, rows.row)
        for split, numbers in chosen.items():
            starts = range(0, len(numbers), CHUNK)
            chunks = ((start, rows.spans(numbers[start : start + CHUNK])) for start in starts)
            make_lines = partial(_example_lines, task, settings.prompt, split)
            with (folder / f"{split}.jsonl").open("wb") as file:
                written = _map_in_order(pool, make_lines, chunks)
                for lines in track(written, f"{name}: {split}", len(starts), transient=True):
                    file.write(lines)
    with (folder / REJECTED).open("wb") as file:
        for part in rows.parts:
            file.write(part.rejected.read_bytes())
    return _report(task, settings, rows, chosen, leakage)


@contextmanager
def _process_pool(size: int) -> Iterator[Executor | None]:
    """A pool of ``size`` spawned processes, or None for fewer than two: forked ones would hang where a library has threads."""
    if size < 2:
        yield None
        return
    pool = ProcessPoolExecutor(size, multiprocessing.get_context("spawn"), initializer=_follow_parent)
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


def _follow_parent() -> None:
    """In a spawned process: leave Ctrl-C to the parent, and exit when the parent does, even by SIGKILL."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_after_parent, daemon=True).start()


def _exit_after_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _map_in_order(pool: Executor | None, work: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """The result of each item, in the items' order; only a few are submitted at a time, so that results don't pile up."""
    if pool is None:
        yield from map(work, items)
        return
    pending: deque[Future[Any]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > 1 + (os.cpu_count() or 1):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool as error:
        raise UserError(
            "a process that formats rows was killed, probably because memory ran out; free some and run this again"
        ) from error


def _screen(task: Task, seed: int, scratch: Path, numbered_reader: tuple[int, Reader]) -> ScreenedPart:
    number, reader = numbered_reader
    return screen_part(reader, task, seed, scratch, number)


def _example_lines(task: Task, form: PromptForm, split: str, chunk: tuple[int, list[Span]]) -> bytes:
    """A chunk of examples as JSON lines; the chunk is the index of its first example in the split, and its rows' spans."""
    first, spans = chunk
    lines = []
    for index, line in enumerate(read_spans(spans), start=first):
        row = Row.model_validate_json(line)
        example = Example.model_construct(  # unvalidated: the values are those of a valid row
            id=f"{task.name}-{split}-{index:06d}",
            task=task.name,
            prompt=task.prompt(row.fields, form),
            target=task.target(row.fields, row.reference),
            reference=row.reference,
            fields=row.fields,
            group=row.group,
            source=row.source,
            answers=row.answers,
            pairs=row.pairs,
        )
        lines.append(f"{dump_line(example)}\n")
    return "".join(lines).encode()


def _check_rejected(name: str, settings: TaskSettings, rows: ScreenedRows) -> None:
    rejected, first = rows.reasons.total(), rows.first_rejected
    total = rejected + rows.accepted
    if first and rejected / total > settings.max_rejected:
        raise UserError(
            f"tasks.{name}: {rejected} of {total} rows are rejected, more than max_rejected {settings.max_rejected} allows, "
            f"the first ({first.source}) because {first.reason}; correct the data, or raise max_rejected"
        )


def _label_counts(task: Task, rows: ScreenedRows, numbers: Numbers) -> dict[str, dict[str, int]]:
    """The number of rows with each label, where the task has labels."""
    labels = task.labels
    counts = np.bincount(rows.keys.label[numbers], minlength=len(labels)).tolist()
    return {"labels": dict(zip(labels, counts, strict=True))} if labels else {}


def _report(
    task: Task, settings: TaskSettings, rows: ScreenedRows, chosen: Mapping[str, Numbers], leakage: dict[str, dict[str, int]]
) -> dict[str, Any]:
    return {
        "dataset": settings.dataset_names,
        "task": task.name,
        "task_version": task.definition.version,
        "rejected": dict(sorted(rows.reasons.items())),
        "leakage": leakage,
        "splits": {
            split: {
                "available": int((rows.keys.split == SPLITS.index(split)).sum()),
                "rows": len(numbers),
                "groups": len(np.unique(rows.keys.group[numbers])),
                **_label_counts(task, rows, numbers),
            }
            for split, numbers in chosen.items()
        },
    }
