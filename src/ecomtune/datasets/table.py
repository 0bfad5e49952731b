"""The user's own table: CSV, JSON lines or parquet files for any task, with a map from inputs to columns.

Source: the user's files. Licence: the user's. Files: every .csv (comma-separated, with a header line), .jsonl and .parquet of
the data set, in sorted order, all with the same columns, as UTF-8. Rows are named by file and line, where the header is line
1, and in parquet by the number of the row. Size: a CSV of some hundred rows is enough; CSV and JSON lines are read row by row,
parquet in batches.

Columns: ``columns`` of the data set names the column of each input of the task's definition, and of the reference:

| kind of task | reference |
|---|---|
| classification | one of the definition's labels, in any case |
| ner | one IOB2 tag per word: B-x, I-x or O, where x is one of the definition's types |
| summarization, generation | a text, or a list of texts, of which the first is the target |

All tasks may also have ``group`` (what a split never divides; by default the first input, case and
punctuation aside), ``split`` (train, validation or dev, test; by default the project draws one by group), ``id`` (unique in
the data set) and ``answer_NAME``: what a system in use, or an annotator, answered, in the form of the reference; a system NAME
of kind recorded is then compared with all others. Words and tags are lists, or a text separated by white space; inputs that
hold several texts are lists, or a text with one item per line.

Known faults: rows with a wrong label, split or id, broken quotes or encoding, HTML or over-long texts are rejected, each with
its reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import Any, Final

from ecomtune.core.config import Dataset
from ecomtune.core.config.definition import ANSWER_KINDS, TaskDefinition
from ecomtune.core.records import Rejected, Row
from ecomtune.core.text import normalize
from ecomtune.datasets.reading.cleaning import text_fault
from ecomtune.datasets.reading.raw_files import Unreadable, excerpt
from ecomtune.datasets.reading.table_files import READERS, read_table
from ecomtune.messages.errors import UserError

KINDS: Final = dict.fromkeys(ANSWER_KINDS)
OPTIONS: Final = ("columns",)
ANSWER: Final = "answer_"
#: Columns that any table may have in addition to its inputs and its reference.
EXTRA: Final = ("group", "split", "id")
SPLITS: Final = {"train": "train", "validation": "validation", "dev": "validation", "test": "test"}


def rows(raw: Path, task: TaskDefinition, dataset: Dataset) -> Iterator[Row | Rejected]:
    """Rows of every file in sorted order. Raises UserError for a file or a column map that can't be used."""
    columns = column_map(task, dataset.columns)
    unread = [file.path for file in dataset.files if "/" in file.path or Path(file.path).suffix.lower() not in READERS]
    if unread:
        raise UserError(
            f"files of data set {raw.name}: {unread[0]} is not a .csv, .jsonl or .parquet file directly in its folder, so its "
            "rows would not be read; correct its path, or remove it"
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
                    _check_unique(_text("id", values["id"]), seen)
                yield row
            except ValueError as error:
                yield Rejected(source=source, reason=str(error), text=excerpt(values))


def _no_table(raw: Path, dataset: Dataset) -> UserError:
    """The error for a folder without a table: the download hasn't run yet, or the data set names no table."""
    tables = [file.url for file in dataset.files if Path(file.path).suffix.lower() in READERS]
    if tables and not raw.is_dir():
        return UserError(f"{raw} is missing; run dvc repro download@{raw.name}, which puts a copy of {tables[0]} there")
    return UserError(f"{raw} holds no .csv, .jsonl or .parquet file; name one under files of its data set and run dvc repro")


def answerers(dataset: Dataset) -> list[str]:
    """The NAME of each column answer_NAME."""
    return [name.removeprefix(ANSWER) for name in dataset.columns if name.startswith(ANSWER)]


def check(task: TaskDefinition, dataset: Dataset) -> None:
    """Raises UserError where the columns of the data set don't serve the task."""
    column_map(task, dataset.columns)


def check_columns(task: TaskDefinition, dataset: Dataset) -> None:
    """Raises UserError where a local file lacks a column that is named in ``columns``."""
    columns = sorted(set(column_map(task, dataset.columns).values()))
    for file in dataset.files:
        if "://" not in file.url and Path(file.url).suffix.lower() in READERS:
            next(read_table(Path(file.url), columns))


def column_map(task: TaskDefinition, columns: Mapping[str, str]) -> dict[str, str]:
    """The columns that the task reads. Raises UserError where one is missing from the map, or a name is unknown."""
    answers = [name for name in columns if name.startswith(ANSWER)]
    own = (*task.names, "reference", *EXTRA, *answers)
    for name in own:
        if name not in columns and name not in (*task.optional, *EXTRA):
            raise UserError(
                f"columns of reader table: the task needs a column for {name} (there: {', '.join(columns) or 'none'}); "
                f"add {name}: YOUR_COLUMN"
            )
    return {name: columns[name] for name in own if name in columns}


def as_row(task: TaskDefinition, values: Mapping[str, Any], source: str) -> Row:
    """The row of one record, of its values by name. Raises ValueError with the reason where it can't be used."""
    fields = as_fields(task, values)
    reference = _reference(task, values["reference"])
    if reason := text_fault({**fields, "reference": reference}):
        raise ValueError(reason)
    answers = {
        name.removeprefix(ANSWER): _answer(task, value)
        for name, value in values.items()
        if name.startswith(ANSWER) and value not in (None, "")
    }
    group = _text("group", values["group"]) if "group" in values else _default_group(fields[task.names[0]])
    return Row(fields=fields, reference=reference, group=group, split=_split(values), source=source, answers=answers)


def as_fields(task: TaskDefinition, values: Mapping[str, Any]) -> dict[str, str | list[str]]:
    """The inputs of a row by name, with single spaces; empty optional inputs are left out.

    Raises ValueError where a value is not a text.
    """
    fields = {name: _field(task, name, values.get(name)) for name in task.names}
    return {name: value for name, value in fields.items() if value or name not in task.optional}


def _field(task: TaskDefinition, name: str, value: Any) -> str | list[str]:
    if value is None:
        return ""
    if name == task.words:
        return _words(name, value)
    if name in task.lists:
        items = value if isinstance(value, list) else re.split(r"\r\n|\r|\n", _text(name, value))
        return [text for item in items if (text := " ".join(_text(name, item).split()))]
    return " ".join(_text(name, value).split())


def _words(name: str, value: Any) -> list[str]:
    return [_text(name, word) for word in value] if isinstance(value, list) else _text(name, value).split()


def _reference(task: TaskDefinition, value: Any) -> str | list[str]:
    if task.answer == "label":
        label = " ".join(_text("reference", value).split())
        known = {each.casefold(): each for each in task.labels}
        if label.casefold() not in known:
            raise ValueError(f"label {label!r} is not one of {', '.join(task.labels)}")
        return known[label.casefold()]
    if task.answer == "tags":
        return _words("reference", value)
    texts = value if isinstance(value, list) else [value]
    return [text for item in texts if (text := _text("reference", item).strip())]


def _answer(task: TaskDefinition, value: Any) -> str | list[str]:
    """What another system answered; an answer without a meaning in the task is kept unchanged, and counts as wrong."""
    try:
        return _reference(task, value)
    except ValueError:
        return str(value)


def _default_group(value: str | list[str]) -> str:
    text = value if isinstance(value, str) else " ".join(value)
    return normalize(text) or text


def _split(values: Mapping[str, Any]) -> str | None:
    if "split" not in values:
        return None
    split = SPLITS.get(_text("split", values["split"]).strip().lower())
    if split is None:
        raise ValueError(f"the split is not one of {', '.join(SPLITS)}")
    return split


def _check_unique(identity: str, seen: set[str]) -> None:
    if identity in seen:
        raise ValueError("its id is that of an earlier row")
    seen.add(identity)


def _text(name: str, value: Any) -> str:
    """A value as text, also of a number. Raises ValueError for any other type, and for an empty id or group."""
    if value is None or (name in ("id", "group") and not str(value).strip()):
        raise ValueError(f"{name} is missing or empty")
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise ValueError(f"{name} is not text")
    if not isinstance(value, str) and not isfinite(value):  # NaN and infinity, which tables write for a missing number
        raise ValueError(f"{name} is missing or empty")
    return str(value)
