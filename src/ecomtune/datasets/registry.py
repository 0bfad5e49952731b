"""The data sets: one module each, found by its name.

A reader is a module with

- ``TASKS``: the tasks that it serves;
- ``rows(raw, task, dataset)``: the rows of a task from the files in the folder ``raw``, always in the same order. A broken row
  is yielded as Rejected with its reason, so that no row is lost; a broken file raises UserError with one sentence. Each row
  has its own source, NAME:FILE:NUMBER, where NAME is the module's name;
- a docstring that is the data card: source, licence, size, columns, known faults.

It may also have

- ``OPTIONS``: which of the data set's keys locales, columns and part it reads;
- ``generate(target, seed)``: makes the data, where there is nothing to download;
- ``parts(raw, task, dataset)``: divides large data into parts that are read in parallel, each by a call of ``rows`` with the
  part as its last argument;
- ``answerers(dataset)``: the names of others (annotators, a system in use) whose answers its rows hold;
- ``ROW_TOKENS``: the tokens of a typical row by task, for plans that are made before the data are downloaded.

tests/datasets/test_readers.py holds every reader to this.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from types import ModuleType

from ecomtune.core.config import Dataset
from ecomtune.core.records import Rejected, Row
from ecomtune.messages.errors import UserError


def load_reader(reader: str) -> ModuleType:
    """The reader module of that name. Raises UserError where there is none."""
    unknown = UserError(f"datasets: no reader called {reader!r}; each is a module src/ecomtune/datasets/NAME.py")
    try:
        module = importlib.import_module(f"ecomtune.datasets.{reader}")
    except ModuleNotFoundError as error:
        raise unknown from error
    if not hasattr(module, "TASKS"):  # a module of this folder that is not a reader
        raise unknown
    return module


def check_serves(dataset: Dataset, task: str) -> None:
    """Raises UserError where the reader doesn't serve the task, or can't with these files and columns; reads no file."""
    module = _reader_for(dataset, task)
    if hasattr(module, "column_map"):
        module.column_map(task, dataset.columns)
    if not dataset.files and not hasattr(module, "generate"):
        raise UserError(
            f"tasks.{task}.dataset: reader {dataset.reader} reads files, and the data set names none; `ecomtune pin FILE` "
            "prints an entry to put there"
        )


def check_keys(name: str, dataset: Dataset) -> None:
    """Raises UserError where the data set has a key that its reader doesn't use, or lacks the files that it reads."""
    module = load_reader(dataset.reader)
    generates = hasattr(module, "generate")
    options = getattr(module, "OPTIONS", ())
    used = {*options, "seed" if generates else "files"}
    for key in ("files", "seed", "locales", "columns", "part"):
        if getattr(dataset, key) and key not in used:
            others = f", only for {', '.join(options)}" if options else ""
            why = "generates its data" if key == "files" else f"has no use for {key}{others}"
            raise UserError(f"datasets.{name}.{key}: reader {dataset.reader} {why}; remove the key")
    if not generates and not dataset.files:
        raise UserError(f"datasets.{name}: reader {dataset.reader} reads files, and none is named; add the key files")


def answerers(dataset: Dataset) -> list[str]:
    """The names of others whose answers the data set's rows hold: systems of kind recorded."""
    module = load_reader(dataset.reader)
    return list(module.answerers(dataset)) if hasattr(module, "answerers") else []


def _reader_for(dataset: Dataset, task: str) -> ModuleType:
    module = load_reader(dataset.reader)
    if task not in module.TASKS:
        raise UserError(
            f"tasks.{task}.dataset: reader {dataset.reader} has no data for {task}, only for {', '.join(module.TASKS)}; "
            "name another data set"
        )
    return module


def part_readers(dataset: Dataset, raw: Path, task: str) -> list[Callable[[], Iterable[Row | Rejected]]]:
    """One function for each part of the data set, which returns the part's rows of ``task`` from the files in ``raw``.

    Raises UserError where the reader doesn't serve that task.
    """
    module = _reader_for(dataset, task)
    if not hasattr(module, "parts"):
        return [partial(module.rows, raw, task, dataset)]
    return [partial(module.rows, raw, task, dataset, part) for part in module.parts(raw, task, dataset)]
