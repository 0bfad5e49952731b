"""The data sets: one module each, found by its name.

A reader is a module with

- ``KINDS``: the kinds of task that it serves, each with the inputs that its rows have; None for a reader whose inputs the data
  set names;
- ``rows(raw, task, dataset)``: the rows for a task, by its definition, from the files in the folder ``raw``, always in the same
  order. A broken row is yielded as Rejected with its reason, so that no row is lost; a broken file raises UserError with one
  sentence. Each row has its own source, NAME:FILE:NUMBER, where NAME is the module's name;
- a docstring that is the data card: source, licence, size, columns, known faults.

It may also have

- ``OPTIONS``: which of the data set's keys it reads, besides files or seed;
- ``check(task, dataset)``: raises UserError for a data set whose keys don't fit the task, without reading a file;
- ``generate(target, seed)``: makes the data, where there is nothing to download;
- ``parts(raw, task, dataset)``: divides large data into parts that are read in parallel, each by a call of ``rows`` with the
  part as its last argument;
- ``answerers(dataset)``: the names of others (annotators, a system in use) whose answers its rows hold;
- ``ROW_TOKENS``: the tokens of a typical row by kind of task, for plans that are made before the data are downloaded.

tests/datasets/test_readers.py holds every reader to this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType

from ecomtune.core.config import Dataset
from ecomtune.core.config.definition import TaskDefinition
from ecomtune.core.modules import load_module
from ecomtune.core.records import Rejected, Row
from ecomtune.messages.errors import UserError

#: Keys of a data set that only some readers use.
OPTIONAL_KEYS = tuple(name for name in Dataset.model_fields if name not in ("reader", "split"))


def load_reader(reader: str) -> ModuleType:
    """The reader module of that name. Raises UserError where there is none."""
    unknown = f"datasets: no reader called {reader!r}; each is a module src/ecomtune/datasets/NAME.py"
    return load_module("ecomtune.datasets", reader, "KINDS", unknown)


def check_serves(name: str, dataset: Dataset, key: str, task: TaskDefinition) -> None:
    """Raises UserError where the data set ``name`` can't serve the task ``key``; reads no file."""
    module = _reader_for(name, dataset, key, task)
    if not dataset.files and not hasattr(module, "generate"):
        raise UserError(
            f"tasks.{key}.dataset: reader {dataset.reader} reads files, and {name} names none; `ecomtune pin FILE` "
            "prints an entry to put there"
        )


def _reader_for(name: str, dataset: Dataset, key: str, task: TaskDefinition) -> ModuleType:
    """The reader of a data set. Raises UserError where its rows, or the data set's keys, don't fit the task."""
    module = load_reader(dataset.reader)
    if task.kind not in module.KINDS:
        raise UserError(
            f"tasks.{key}.dataset: reader {dataset.reader} of {name} has no rows for kind {task.kind}, only for "
            f"{', '.join(module.KINDS)}; name another data set"
        )
    given = module.KINDS[task.kind]
    missing = [each for each in task.required if given is not None and each not in given]
    if missing:
        raise UserError(
            f"tasks.{key}.dataset: rows of reader {dataset.reader} of {name} have no input {missing[0]}, which the task's "
            f"definition requires (there: {', '.join(given)}); correct inputs of the definition, or name another data set"
        )
    if hasattr(module, "check"):
        module.check(task, dataset)
    return module


def check_keys(name: str, dataset: Dataset) -> None:
    """Raises UserError where the data set has a key that its reader doesn't use, or lacks the files that it reads."""
    module = load_reader(dataset.reader)
    generates = hasattr(module, "generate")
    options = getattr(module, "OPTIONS", ())
    used = {*options, "seed" if generates else "files"}
    for key in OPTIONAL_KEYS:
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


def part_readers(
    datasets: Mapping[str, Dataset], raw: Path, key: str, task: TaskDefinition
) -> list[Callable[[], Iterable[Row | Rejected]]]:
    """One function for each part of the data sets, which returns the part's rows for the task from the files in ``raw``/NAME.

    Where there are several data sets, their names stand before the sources of their rows. Raises UserError where a reader
    doesn't serve the task.
    """
    readers: list[Callable[[], Iterable[Row | Rejected]]] = []
    for name, dataset in datasets.items():
        module = _reader_for(name, dataset, key, task)
        prefix = f"{name}:" if len(datasets) > 1 else ""
        parts = [(part,) for part in module.parts(raw / name, task, dataset)] if hasattr(module, "parts") else [()]
        readers += [partial(_rows, prefix, dataset, partial(module.rows, raw / name, task, dataset, *part)) for part in parts]
    return readers


def _rows(prefix: str, dataset: Dataset, read: Callable[[], Iterable[Row | Rejected]]) -> Iterator[Row | Rejected]:
    """The rows, with the data set's name in their sources, and in the split that the data set says they all belong to."""
    for row in read():
        changes: dict[str, str] = {"source": f"{prefix}{row.source}"} if prefix else {}
        if dataset.split and isinstance(row, Row):
            changes["split"] = dataset.split
        yield row.model_copy(update=changes) if changes else row
