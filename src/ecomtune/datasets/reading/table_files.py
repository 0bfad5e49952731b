"""Records of table files: CSV, JSON lines and parquet, with a broken record given as the reason why it is broken."""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from ecomtune.datasets.reading.cleaning import broken_encoding
from ecomtune.datasets.reading.parquet import scan, tuples
from ecomtune.datasets.reading.raw_files import MEND, Unreadable, beginning, check_columns, check_file, json_object
from ecomtune.messages.errors import UserError

Record = dict[str, Any] | Unreadable


def read_table(path: Path, columns: Collection[str]) -> Iterator[tuple[int, Record]]:
    """The number of each row and its values by column, or why it can't be read.

    The number is that of the line in which the row begins, as an editor shows it; parquet has no lines, so that of the row.
    Raises UserError where the file is broken, holds no rows, or lacks one of the columns.
    """
    number = 0
    for number, record in READERS[path.suffix.lower()](path, columns):
        yield number, record
    if not number:
        raise UserError(f"{path} holds no rows; add some, or take it out of the files of its data set")


def read_csv(path: Path, columns: Collection[str], separator: str = ",") -> Iterator[tuple[int, Record]]:
    """Rows of a UTF-8 text file with a line of column names, cells in double quotes where they hold separators or line ends.

    The line of column names is line 1. Where quotes don't match, each line that they have swallowed is a record of its own.
    """
    check_file(path)
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:  # broken bytes stay in their row
        own: list[str] = []  # the lines of the record that is read
        lines = csv.reader(_noting(file, own), delimiter=separator, strict=True)
        try:
            names = next(lines)
        except (csv.Error, StopIteration) as error:
            raise UserError(f"{path}: its first line holds no column names ({error}); {MEND}") from error
        if broken_encoding("".join(names)):
            raise UserError(f"{path} is no UTF-8 text; save it as UTF-8")
        check_columns(path, columns, names)
        while True:
            own.clear()
            first = lines.line_num + 1
            try:
                cells = next(lines)
            except StopIteration:
                return
            except csv.Error:
                reason = "its quotes don't match, or a cell is far too long"
                for number, line in enumerate(own, start=first):
                    yield number, Unreadable(reason, beginning(line.rstrip("\r\n")))
                continue
            if cells:
                yield first, _row(names, cells, own)


def _noting(lines: Iterable[str], noted: list[str]) -> Iterator[str]:
    """The lines, each added to ``noted`` as it is read."""
    for line in lines:
        noted.append(line)
        yield line


def _row(names: list[str], cells: list[str], lines: list[str]) -> Record:
    if len(cells) != len(names):
        fault = "it has more or fewer cells than there are columns"
    elif any(map(broken_encoding, cells)):
        fault = "broken UTF-8"
    else:
        return dict(zip(names, cells, strict=True))
    return Unreadable(fault, beginning("".join(lines).rstrip("\r\n")))


def read_jsonl(path: Path, columns: Collection[str]) -> Iterator[tuple[int, Record]]:
    """The JSON object of each line that isn't blank. A column is one that any line has."""
    check_file(path)
    there: dict[str, None] = {}
    for _, record in _objects(path):
        there.update(dict.fromkeys(record if isinstance(record, dict) else ()))
    if not there:
        raise UserError(f"{path} holds no JSON object with columns; write one a line, and save it as UTF-8")
    check_columns(path, columns, there)
    yield from _objects(path)


def _objects(path: Path) -> Iterator[tuple[int, Record]]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield number, json_object(line)


def read_parquet(path: Path, columns: Collection[str]) -> Iterator[tuple[int, Record]]:
    """Rows of a parquet file; columns that aren't asked for are never read."""
    names = sorted(set(columns))
    for number, values in enumerate(tuples(scan(path, dict.fromkeys(names)), path), start=1):
        yield number, dict(zip(names, values, strict=True))


READERS: Final[dict[str, Callable[[Path, Collection[str]], Iterator[tuple[int, Record]]]]] = {
    ".csv": read_csv,
    ".jsonl": read_jsonl,
    ".parquet": read_parquet,
}
