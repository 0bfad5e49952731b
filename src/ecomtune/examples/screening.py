"""Rows sorted out: what can't become an example is rejected by name, the rest waits on disk, not in memory."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path

from ecomtune.core.records import Rejected, Row, dump_line
from ecomtune.core.text import replace_surrogates
from ecomtune.datasets.reading.raw_files import beginning
from ecomtune.examples.splits import SPLITS, Marks, mark
from ecomtune.tasks.base import Task, text_of


@dataclass(frozen=True)
class Part:
    """What came of one part of a data set, in its order.

    ``kept`` and ``rejected`` are files of rows, a JSON line each; ``ends`` [N] says where each kept row's line ends.
    ``reasons`` counts rejected rows by their reason, ``first`` is the first of them.
    """

    kept: Path
    rejected: Path
    ends: Sequence[int]
    marks: Marks
    reasons: Counter[str]
    first: Rejected | None

    def row(self, number: int) -> Row:
        """The kept row of a number."""
        (found,) = read_lines([(self.kept, *self.span(number))])
        return Row.model_validate_json(found)

    def span(self, number: int) -> tuple[int, int]:
        """Where the line of a kept row begins and ends, in bytes."""
        return (self.ends[number - 1] if number else 0), self.ends[number]


def read_lines(spans: Iterable[tuple[Path, int, int]]) -> Iterator[bytes]:
    """The bytes of each file between two places."""
    with ExitStack() as stack:
        files: dict[Path, mmap] = {}
        for path, start, end in spans:
            if path not in files:
                file = stack.enter_context(path.open("rb"))
                files[path] = stack.enter_context(mmap(file.fileno(), 0, access=ACCESS_READ))
            yield files[path][start:end]


def sort_out(rows: Callable[[], Iterable[Row | Rejected]], task: Task, seed: int, folder: Path, number: int) -> Part:
    """Sort out one part of a data set's rows, into files of ``folder`` named by the part's ``number``."""
    kept, rejected = folder / f"{number}.kept", folder / f"{number}.rejected"
    ends, marks, reasons = array("q"), array("Q"), Counter[str]()
    first, end = None, 0
    with kept.open("wb") as keeping, rejected.open("wb") as rejecting:
        for row in rows():
            found = row.reason if isinstance(row, Rejected) else _line_or_fault(task, row)
            if isinstance(row, Row) and isinstance(found, bytes):
                end += keeping.write(found)
                ends.append(end)
                marks.extend(mark(row, task.stratum(row.reference), task.input_key(row.fields), seed))
            else:
                text = row.text if isinstance(row, Rejected) else beginning({**row.fields, "reference": row.reference})
                refused = Rejected(
                    source=replace_surrogates(row.source),
                    reason=replace_surrogates(str(found)),
                    text=replace_surrogates(beginning(text)),
                )
                rejecting.write(f"{dump_line(refused)}\n".encode())
                reasons[refused.reason] += 1
                first = first or refused
    return Part(kept, rejected, ends, Marks.of(marks), reasons, first)


def _line_or_fault(task: Task, row: Row) -> bytes | str:
    try:
        return fault(task, row) or f"{dump_line(row)}\n".encode()
    except ValueError:
        return "a text holds half a character (a lone surrogate)"


def fault(task: Task, row: Row) -> str | None:
    """Why a row can't become an example, or None. A target that doesn't parse back to its reference is a fault too."""
    if row.split not in (None, *SPLITS):
        return f"split {row.split!r} is none of {', '.join(SPLITS)}"
    for name in task.required_fields:
        if not text_of(row.fields, name).strip():
            return f"field {name} is missing or empty"
    try:
        target = task.target(row.fields, row.reference)
    except ValueError as error:
        return str(error)
    expected = [target] if task.decoder == "text" else row.reference
    return None if task.parse(target, row.fields) == expected else "its target doesn't parse back to its reference"
