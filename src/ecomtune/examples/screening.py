"""Screening rows: what can't become an example is rejected with its reason, the other rows wait on disk, not in memory."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from mmap import ACCESS_READ, mmap
from pathlib import Path

import numpy as np

from ecomtune.core.records import Rejected, Row, dump_line
from ecomtune.core.text import replace_surrogates
from ecomtune.datasets.reading.raw_files import excerpt
from ecomtune.examples.splits import SPLITS, Numbers, RowKeys, row_keys
from ecomtune.tasks.base import Task
from ecomtune.tasks.row_text import text_of

#: A file, and where a row's line begins and ends in it, in bytes.
Span = tuple[Path, int, int]


@dataclass(frozen=True)
class ScreenedPart:
    """One part of a data set after screening, its rows in their order.

    ``accepted`` and ``rejected`` are files of rows, one JSON line each; ``line_ends`` [N] says where each accepted row's line
    ends. ``reasons`` counts the rejected rows by reason.
    """

    accepted: Path
    rejected: Path
    line_ends: Sequence[int]
    keys: RowKeys
    reasons: Counter[str]
    first_rejected: Rejected | None

    def span(self, number: int) -> Span:
        """Where the line of an accepted row is."""
        return self.accepted, (self.line_ends[number - 1] if number else 0), self.line_ends[number]


class ScreenedRows:
    """The accepted rows of all parts, numbered from 0 across the parts, and the counts of the rejected ones."""

    def __init__(self, parts: Sequence[ScreenedPart]) -> None:
        self.parts = parts
        self._first_numbers = np.cumsum([0, *(len(part.line_ends) for part in parts)])
        self.accepted = int(self._first_numbers[-1])
        self.reasons = sum((part.reasons for part in parts), Counter[str]())
        self.first_rejected = next((part.first_rejected for part in parts if part.first_rejected), None)

    @cached_property
    def keys(self) -> RowKeys:
        """The keys of all rows."""
        return RowKeys.concatenate([part.keys for part in self.parts])

    def spans(self, numbers: Numbers) -> list[Span]:
        """Where the lines of the rows with these numbers are."""
        places = np.searchsorted(self._first_numbers, numbers, side="right") - 1
        return [
            self.parts[place].span(number - int(self._first_numbers[place]))
            for place, number in zip(places.tolist(), numbers.tolist(), strict=True)
        ]

    def row(self, number: int) -> Row:
        """The row with this number, read from its file."""
        (line,) = read_spans(self.spans(np.array([number])))
        return Row.model_validate_json(line)


def read_spans(spans: Iterable[Span]) -> Iterator[bytes]:
    """The bytes of each span."""
    with ExitStack() as stack:
        files: dict[Path, mmap] = {}
        for path, start, end in spans:
            if path not in files:
                file = stack.enter_context(path.open("rb"))
                files[path] = stack.enter_context(mmap(file.fileno(), 0, access=ACCESS_READ))
            yield files[path][start:end]


def screen_part(rows: Callable[[], Iterable[Row | Rejected]], task: Task, seed: int, folder: Path, number: int) -> ScreenedPart:
    """Screen one part of a data set's rows, into files of ``folder`` named by the part's ``number``."""
    accepted, rejected = folder / f"{number}.accepted", folder / f"{number}.rejected"
    line_ends, keys, reasons = array("q"), array("Q"), Counter[str]()
    first, end = None, 0
    with accepted.open("wb") as accepted_file, rejected.open("wb") as rejected_file:
        for row in rows():
            result = row.reason if isinstance(row, Rejected) else _line_or_reason(task, row)
            if isinstance(row, Row) and isinstance(result, bytes):
                end += accepted_file.write(result)
                line_ends.append(end)
                keys.extend(row_keys(row, task.label_index(row.reference), task.input_key(row.fields), seed))
            else:
                text = row.text if isinstance(row, Rejected) else excerpt({**row.fields, "reference": row.reference})
                source, reason, text = map(replace_surrogates, (row.source, str(result), excerpt(text)))
                found = Rejected(source=source, reason=reason, text=text)
                rejected_file.write(f"{dump_line(found)}\n".encode())
                reasons[found.reason] += 1
                first = first or found
    return ScreenedPart(accepted, rejected, line_ends, RowKeys.from_values(keys), reasons, first)


def _line_or_reason(task: Task, row: Row) -> bytes | str:
    """The row as a line of JSON, or the reason why it is rejected."""
    try:
        return rejection_reason(task, row) or f"{dump_line(row)}\n".encode()
    except ValueError:
        return "a text holds half a character (a lone surrogate)"


def rejection_reason(task: Task, row: Row) -> str | None:
    """Why a row can't become an example, or None: also where its target doesn't parse back to its reference."""
    if row.split not in (None, *SPLITS):
        return f"split {row.split!r} is not one of {', '.join(SPLITS)}"
    for name in task.required_fields:
        if not text_of(row.fields, name).strip():
            return f"field {name} is missing or empty"
    try:
        target = task.target(row.fields, row.reference)
    except ValueError as error:
        return str(error)
    expected = [target] if task.decoder == "text" else row.reference
    return None if task.parse(target, row.fields) == expected else "its target doesn't parse back to its reference"
