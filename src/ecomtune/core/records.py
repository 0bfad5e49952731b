"""The records that stages exchange, as JSON lines.

A data set yields rows; formatting turns rows into examples; a system turns examples into predictions.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ecomtune.core.files import write_lines
from ecomtune.messages.advice import describe
from ecomtune.messages.errors import UserError

#: With fewer groups, intervals are too narrow and tests reject too often (Cameron, Gelbach and Miller 2008: with 5 to 30).
FEW_GROUPS = 10
#: A label (relevance), one IOB2 tag per word (ner), or reference texts (summarization, description).
Reference = str | list[str]
#: An entity by its type and text, for example ("color", "dark red").
EntityPair = tuple[str, str]
#: The entities of a row; left out of its record where they are None, as in most tasks, so that those records keep their bytes.
EntityPairs = Annotated[list[EntityPair] | None, Field(exclude_if=lambda pairs: pairs is None)]


class Record(BaseModel):
    """Base class of all records: unknown keys are refused, and no value is converted."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Row(Record):
    """One annotated row of a data set, before any prompt: what a reader in ``ecomtune.datasets`` yields.

    ``fields`` are the task's inputs by name; ``group`` is the query or product, which a split never divides; ``split`` is the
    official split, or None where the data set has none; ``source`` is the data set and the row in it; ``answers`` are recorded
    answers of others (annotators, a system in production) by their names; ``pairs`` are the gold entities where they don't
    follow from the tags, because some can't be placed on words.
    """

    fields: dict[str, str | list[str]]
    reference: Reference
    group: str
    split: str | None
    source: str
    answers: dict[str, Reference] = {}
    pairs: EntityPairs = None


class Rejected(Record):
    """A row that can't be used: its place in the data set, the reason, and up to 200 characters of its text."""

    source: str
    reason: str
    text: str = ""


class Example(Record):
    """One row as a model sees it: ``prompt`` is the complete input, ``target`` the completion to learn.

    ``fields`` are the row's inputs, for systems that read no prompt (encoders, floors); ``answers`` and ``pairs`` are also the
    row's.
    """

    id: str
    task: str
    prompt: str
    target: str
    reference: Reference
    fields: dict[str, str | list[str]]
    group: str
    source: str
    answers: dict[str, Reference] = {}
    pairs: EntityPairs = None


class Prediction(Record):
    """One system's answer to one example, with everything that scoring needs.

    ``answer`` is the raw text; ``parsed`` the label, tags or text in it, or None where it is malformed; ``reference`` and
    ``group`` are the example's. Where tags are asked for, ``pairs`` are the answer's entities (None where it is malformed) and
    ``gold_pairs`` the right ones.
    """

    id: str
    task: str
    system: str
    answer: str
    parsed: Reference | None
    valid: bool
    reference: Reference
    group: str
    pairs: EntityPairs = None
    gold_pairs: EntityPairs = None


RecordType = TypeVar("RecordType", bound=Record)


def read_records(path: Path, kind: type[RecordType], limit: int | None = None) -> list[RecordType]:
    """All records of a JSON-lines file, or the first ``limit``. Raises UserError naming the file and line that is invalid."""
    records: list[RecordType] = []
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(islice(file, limit), start=1):
                try:
                    records.append(kind.model_validate_json(line))
                except ValidationError as error:
                    problem = f"{path} line {number}: {describe(error)}"
                    raise UserError(f"{problem}; delete the file and run dvc repro again") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text ({error}); delete the file and run dvc repro again") from error
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; run the stage that writes it (dvc repro)") from error
    return records


TaskRecord = TypeVar("TaskRecord", Example, Prediction)


def read_task(path: Path, kind: type[TaskRecord], task: str, *, may_be_empty: bool = False) -> list[TaskRecord]:
    """All examples or predictions of one task.

    Raises UserError where one belongs to another task, an id is repeated, or there are none. Only a validation split
    (``may_be_empty``) may have no rows.
    """
    records = read_records(path, kind)
    if not records and not may_be_empty:
        raise UserError(f"{path} is empty; delete it and run dvc repro again")
    seen: set[str] = set()
    for number, record in enumerate(records, start=1):
        wrong = f"is of task {record.task}" if record.task != task else f"repeats id {record.id}" if record.id in seen else ""
        if wrong:
            raise UserError(f"{path} line {number} {wrong}; delete the file and run dvc repro again")
        seen.add(record.id)
    return records


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write records as JSON lines: the complete file, or none after an error."""
    write_lines(path, map(dump_line, records))


def dump_line(record: Record) -> str:
    """``record`` as one line of JSON, keys in the order of the class: equal records have equal bytes.

    Raises ValueError where a text contains a lone surrogate (half a character), which UTF-8 can't encode.
    """
    return record.model_dump_json()
