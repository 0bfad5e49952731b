"""Records of table files (CSV, JSON lines and parquet); a broken record is yielded with the reason why it is broken."""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from ecomtune.datasets.reading.cleaning import broken_encoding
from ecomtune.datasets.reading.parquet import scan, tuples
from ecomtune.datasets.reading.raw_files import PIN_ADVICE, Unreadable, check_columns, check_file, excerpt, json_object
from ecomtune.messages.errors import UserError

Record = dict[str, Any] | Unreadable


def read_table(path: Path, columns: Collection[str]) -> Iterator[tuple[int, Record]]:
    """The number of each row and its values by column, or why it can't be read.

    The number is the line on which the row begins, as an editor shows it; in parquet, which has no lines, the row's own number.
    Raises UserError where the file is broken, holds no rows, or lacks one of the columns.
    """
    number = 0
    for number, record in READERS[path.suffix.lower()](path, columns):
        yield number, record
    if not number:
        raise UserError(f"{path} holds no rows; add some, or remove it from the files of its data set")


def read_csv(path: Path, columns: Collection[str], separator: str = ",") -> Iterator[tuple[int, Record]]:
    """Rows of a UTF-8 text file with a header line; cells that hold separators or line ends are in double quotes.

    The header is line 1. Where quotes don't match, each line inside them is yielded as a broken record.
    """
    check_file(path)
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:  # broken bytes affect only their row
        raw_lines: list[str] = []  # of the current record
        lines = csv.reader(_recorded(file, raw_lines), delimiter=separator, strict=True)
        try:
            names = next(lines)
        except (csv.Error, StopIteration) as error:
            raise UserError(f"{path}: its first line has no column names ({error}); {PIN_ADVICE}") from error
        if broken_encoding("".join(names)):
            raise UserError(f"{path} is not UTF-8 text; save it as UTF-8")
        check_columns(path, columns, names)
        while True:
            raw_lines.clear()
            first = lines.line_num + 1
            try:
                cells = next(lines)
            except StopIteration:
                return
            except csv.Error:
                reason = "its quotes don't match, or a cell is far too long"
                for number, line in enumerate(raw_lines, start=first):
                    yield number, Unreadable(reason, excerpt(line.rstrip("\r\n")))
                continue
            if cells:
                yield first, _row(names, cells, raw_lines)


def _recorded(lines: Iterable[str], record: list[str]) -> Iterator[str]:
    """The lines, each appended to ``record`` as it is read."""
    for line in lines:
        record.append(line)
        yield line


def _row(names: list[str], cells: list[str], lines: list[str]) -> Record:
    if len(cells) != len(names):
        fault = "it has more or fewer cells than there are columns"
    elif any(map(broken_encoding, cells)):
        fault = "broken UTF-8"
    else:
        return dict(zip(names, cells, strict=True))
    return Unreadable(fault, excerpt("".join(lines).rstrip("\r\n")))


def read_jsonl(path: Path, columns: Collection[str]) -> Iterator[tuple[int, Record]]:
    """The JSON object of each line that isn't blank. The columns are the keys of all lines together."""
    check_file(path)
    present: dict[str, None] = {}
    for _, record in _objects(path):
        present.update(dict.fromkeys(record if isinstance(record, dict) else ()))
    if not present:
        raise UserError(f"{path} holds no JSON object with columns; write one per line, and save it as UTF-8")
    check_columns(path, columns, present)
    yield from _objects(path)


def _objects(path: Path) -> Iterator[tuple[int, Record]]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield number, json_object(line)


def read_parquet(path: Path, columns: Collection[str]) -> Iterator[tuple[int, Record]]:
    """Rows of a parquet file; only the columns that are asked for are read."""
    names = sorted(set(columns))
    for number, values in enumerate(tuples(scan(path, dict.fromkeys(names)), path), start=1):
        yield number, dict(zip(names, values, strict=True))


READERS: Final[dict[str, Callable[[Path, Collection[str]], Iterator[tuple[int, Record]]]]] = {
    ".csv": read_csv,
    ".jsonl": read_jsonl,
    ".parquet": read_parquet,
}
