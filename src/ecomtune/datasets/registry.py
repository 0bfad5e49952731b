"""The data sets: one module each, found by its name.

A reader module names the tasks it serves (``TASKS``) and yields their rows (``rows(raw, task, dataset)``): a broken row as
Rejected, so that none is lost, while a broken file raises UserError. ``ROW_TOKENS`` may give, by task, the tokens of a typical
row, for plans that are made before the data are there. One that makes its data itself has
``generate(target, seed)`` too; one for large data has ``parts(raw, task, dataset)``, each of which is given to ``rows`` as
its last argument, so that parts can be read side by side. ``OPTIONS`` are those of locales, columns and part that it reads, and
``answerers(dataset)`` gives the names of others whose answers its rows hold. Its docstring is the data card: source, licence,
size, columns, known faults.
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
    """The reader module called ``reader``. Raises UserError where there is none."""
    unknown = UserError(f"datasets: no reader called {reader!r}; each is a module src/ecomtune/datasets/NAME.py")
    try:
        module = importlib.import_module(f"ecomtune.datasets.{reader}")
    except ModuleNotFoundError as error:
        raise unknown from error
    if not hasattr(module, "TASKS"):  # a module beside the readers
        raise unknown
    return module


def check_serves(dataset: Dataset, task: str) -> None:
    """Raises UserError where the reader doesn't serve that task, or not with these files and columns; no file is read."""
    module = _serving(dataset, task)
    if hasattr(module, "column_map"):
        module.column_map(task, dataset.columns)
    if not dataset.files and not hasattr(module, "generate"):
        raise UserError(
            f"tasks.{task}.dataset: reader {dataset.reader} reads files, and the data set names none; `ecomtune pin FILE` "
            "prints an entry to put there"
        )


def check_keys(name: str, dataset: Dataset) -> None:
    """Raises UserError where the data set has a key that its reader has no use for, or lacks the files that it reads."""
    module = load_reader(dataset.reader)
    makes = hasattr(module, "generate")
    options = getattr(module, "OPTIONS", ())
    used = {*options, "seed" if makes else "files"}
    for key in ("files", "seed", "locales", "columns", "part"):
        if getattr(dataset, key) and key not in used:
            others = f", only for {', '.join(options)}" if options else ""
            why = "makes its data itself" if key == "files" else f"has no use for {key}{others}"
            raise UserError(f"datasets.{name}.{key}: reader {dataset.reader} {why}; remove the key")
    if not makes and not dataset.files:
        raise UserError(f"datasets.{name}: reader {dataset.reader} reads files, and none is named; add the key files")


def answerers(dataset: Dataset) -> list[str]:
    """The names of others whose answers the data set's rows hold: systems of kind recorded."""
    module = load_reader(dataset.reader)
    return list(module.answerers(dataset)) if hasattr(module, "answerers") else []


def _serving(dataset: Dataset, task: str) -> ModuleType:
    module = load_reader(dataset.reader)
    if task not in module.TASKS:
        raise UserError(
            f"tasks.{task}.dataset: reader {dataset.reader} has no data for {task}, only for {', '.join(module.TASKS)}; "
            "name another data set"
        )
    return module


def readers_of(dataset: Dataset, raw: Path, task: str) -> list[Callable[[], Iterable[Row | Rejected]]]:
    """What gives the rows of ``task`` from the files in ``raw``, one for each part that the reader divides them into.

    Raises UserError where the reader doesn't serve that task.
    """
    module = _serving(dataset, task)
    if not hasattr(module, "parts"):
        return [partial(module.rows, raw, task, dataset)]
    return [partial(module.rows, raw, task, dataset, part) for part in module.parts(raw, task, dataset)]
