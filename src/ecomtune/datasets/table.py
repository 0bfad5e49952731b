"""A table of the user's own: CSV, JSON lines or parquet files for any task, with a map from fields to columns.

Source and licence: the user's. Files: every .csv (comma-separated, a line of column names first), .jsonl and .parquet of the
data set, in sorted order, all with the same columns, as UTF-8. Rows are named by file and line, the line of column names being
line 1, in parquet by the number of the row. Size: a CSV of some hundred rows is enough; CSV, JSON lines
and parquet are read row by row, parquet in batches.

Columns: ``columns`` of the data set names, for each field, the column that holds it.

| task | needed | may be given |
|---|---|---|
| relevance | query, title, reference (E, S, C, I or the word in any case) | brand, color |
| ner | words, reference (one IOB2 tag a word, B-x, I-x or O; x one of QueryNER's 17 types) | |
| summarization | reviews, reference (a text, or a list of them, the first one the target) | |
| description | title, bullets, reference (as in summarization) | brand, color |

All tasks may also have ``group`` (what a split never divides; else the query, words, reviews or title, case and punctuation
aside), ``split`` (train, validation or dev, test; else the project draws one by group), ``id`` (no two rows may share one) and
``answer_NAME``: what a system in use, or an annotator, answered, in the form of the reference; a system NAME of kind recorded
is then compared with all others.
Words and tags are lists, or a text apart by white space; bullets and reviews are lists, or a text with one item a line.

Known faults: rows whose quotes, encoding, label, split or id is wrong, with HTML or over-long texts, are rejected by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import Any, Final

from ecomtune.core.config import Dataset
from ecomtune.core.records import Rejected, Row
from ecomtune.core.task_inputs import TASK_INPUTS, TaskInputs
from ecomtune.core.text import normalize
from ecomtune.datasets.reading.cleaning import text_fault
from ecomtune.datasets.reading.products import LABELS
from ecomtune.datasets.reading.raw_files import Unreadable, beginning
from ecomtune.datasets.reading.table_files import READERS, read_table
from ecomtune.messages.errors import UserError

TASKS: Final = tuple(TASK_INPUTS)
OPTIONS: Final = ("columns",)
ANSWER: Final = "answer_"
#: Columns that any table may have beside its inputs and its reference.
EXTRA: Final = ("group", "split", "id")
SPLITS: Final = {"train": "train", "validation": "validation", "dev": "validation", "test": "test"}


def rows(raw: Path, task: str, dataset: Dataset) -> Iterator[Row | Rejected]:
    """Rows of every file in sorted order. Raises UserError for a file or a column map that can't be used."""
    columns = column_map(task, dataset.columns)
    unread = [file.path for file in dataset.files if "/" in file.path or Path(file.path).suffix.lower() not in READERS]
    if unread:
        raise UserError(
            f"files of data set {raw.name}: {unread[0]} is no .csv, .jsonl or .parquet file right in its folder, so that none "
            "of its rows would be read; correct its path, or remove it"
        )
    paths = sorted(path for path in raw.iterdir() if path.suffix.lower() in READERS) if raw.is_dir() else []
    if not paths:
        raise _no_table(raw, dataset)
    seen: set[str] = set()
    for path in paths:
        for number, record in read_table(path, sorted(set(columns.values()))):
            source = f"table:{path.name}:{number}"
            if isinstance(record, Unreadable):
                yield Rejected(source=source, reason=record.reason, text=record.text)
                continue
            values = {name: record.get(column) for name, column in columns.items()}
            try:
                row = as_row(task, values, source)
                if "id" in columns:
                    _check_new(_text("id", values["id"]), seen)
                yield row
            except ValueError as error:
                yield Rejected(source=source, reason=str(error), text=beginning(values))


def _no_table(raw: Path, dataset: Dataset) -> UserError:
    """The error of a folder without a table: that it hasn't been filled yet, or that none is named which belongs there."""
    tables = [file.url for file in dataset.files if Path(file.path).suffix.lower() in READERS]
    if tables and not raw.is_dir():
        return UserError(f"{raw} is missing; run dvc repro download@{raw.name}, which puts a copy of {tables[0]} there")
    return UserError(f"{raw} holds no .csv, .jsonl or .parquet file; name one under files of its data set and run dvc repro")


def answerers(dataset: Dataset) -> list[str]:
    """The NAME of each column answer_NAME."""
    return [name.removeprefix(ANSWER) for name in dataset.columns if name.startswith(ANSWER)]


def column_map(task: str, columns: Mapping[str, str]) -> dict[str, str]:
    """The columns that the task reads. Raises UserError where one is missing from the map, or a name is no field."""
    answers = [name for name in columns if name.startswith(ANSWER)]
    inputs = TASK_INPUTS[task]
    own = (*inputs.names, "reference", *EXTRA, *answers)
    fields = {name for each in TASK_INPUTS.values() for name in each.names} | set(own)
    for name in columns:
        if name not in fields or name == ANSWER:
            raise UserError(
                f"columns of reader table: {name!r} is no field; for {task} name columns for {', '.join(own)} or {ANSWER}NAME"
            )
    for name in own:
        if name not in columns and name not in (*inputs.optional, *EXTRA):
            raise UserError(f"columns of reader table: {task} needs a column for {name}; add {name}: and the column's name")
    return {name: columns[name] for name in own if name in columns}


def as_row(task: str, values: Mapping[str, Any], source: str) -> Row:
    """The row of one record's values by field. Raises ValueError saying why there is none."""
    inputs = TASK_INPUTS[task]
    fields = as_fields(inputs, values)
    reference = _reference(task, values["reference"])
    if reason := text_fault({**fields, "reference": reference}):
        raise ValueError(reason)
    answers = {
        name.removeprefix(ANSWER): _answer(task, value)
        for name, value in values.items()
        if name.startswith(ANSWER) and value not in (None, "")
    }
    group = _text("group", values["group"]) if "group" in values else _own_group(fields[inputs.names[0]])
    return Row(fields=fields, reference=reference, group=group, split=_split(values), source=source, answers=answers)


def as_fields(inputs: TaskInputs, values: Mapping[str, Any]) -> dict[str, str | list[str]]:
    """The inputs of a row by name, with even white space; optional ones that are empty are left out.

    Raises ValueError where a value is not a text.
    """
    fields = {name: _field(inputs, name, values.get(name)) for name in inputs.names}
    return {name: value for name, value in fields.items() if value or name not in inputs.optional}


def _field(inputs: TaskInputs, name: str, value: Any) -> str | list[str]:
    if value is None:
        return ""
    if name in inputs.words:
        return _words(name, value)
    if name in inputs.lists:
        items = value if isinstance(value, list) else re.split(r"\r\n|\r|\n", _text(name, value))
        return [text for item in items if (text := " ".join(_text(name, item).split()))]
    return " ".join(_text(name, value).split())


def _words(name: str, value: Any) -> list[str]:
    return [_text(name, word) for word in value] if isinstance(value, list) else _text(name, value).split()


def _reference(task: str, value: Any) -> str | list[str]:
    if task == "relevance":
        label = _text("reference", value).strip().capitalize()
        if label not in LABELS and label not in LABELS.values():
            raise ValueError(f"the label is none of {', '.join(LABELS)} or {', '.join(LABELS.values())}")
        return LABELS.get(label, label)
    if task == "ner":
        return _words("reference", value)
    texts = value if isinstance(value, list) else [value]
    return [text for item in texts if (text := _text("reference", item).strip())]


def _answer(task: str, value: Any) -> str | list[str]:
    """What another system answered; one that says nothing in the task's terms stays as it is, and counts as wrong."""
    try:
        return _reference(task, value)
    except ValueError:
        return str(value)


def _own_group(value: str | list[str]) -> str:
    text = value if isinstance(value, str) else " ".join(value)
    return normalize(text) or text


def _split(values: Mapping[str, Any]) -> str | None:
    if "split" not in values:
        return None
    split = SPLITS.get(_text("split", values["split"]).strip().lower())
    if split is None:
        raise ValueError(f"the split is none of {', '.join(SPLITS)}")
    return split


def _check_new(identity: str, seen: set[str]) -> None:
    if identity in seen:
        raise ValueError("its id is that of an earlier row")
    seen.add(identity)


def _text(name: str, value: Any) -> str:
    """A value as text; a whole or decimal number is written out. Raises ValueError for what is none, or an empty key."""
    if value is None or (name in ("id", "group") and not str(value).strip()):
        raise ValueError(f"{name} is missing or empty")
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise ValueError(f"{name} is no text")
    if not isinstance(value, str) and not isfinite(value):  # how tables write that there is no number
        raise ValueError(f"{name} is missing or empty")
    return str(value)
