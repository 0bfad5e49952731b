"""Records of table files: CSV, JSON lines and parquet, with a broken record given as the reason why it is broken."""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, Final

from ecomtune.datasets.cleaning import broken_encoding
from ecomtune.datasets.parquet import scan, tuples
from ecomtune.datasets.raw_files import MEND, check_columns, check_file, json_object
from ecomtune.errors import UserError

Record = dict[str, Any] | str


def read_table(path: Path, columns: Collection[str]) -> Iterator[tuple[int, Record]]:
    """The number of each row, from 1, and its values by column, or why it can't be read.

    Raises UserError where the file is broken, holds no rows, or lacks one of the columns.
    """
    number = 0
    for number, record in READERS[path.suffix.lower()](path, columns):
        yield number, record
    if not number:
        raise UserError(f"{path} holds no rows; add some, or take it out of the files of its data set")


def read_csv(path: Path, columns: Collection[str], separator: str = ",") -> Iterator[tuple[int, Record]]:
    """Rows of a UTF-8 text file with a line of column names, cells in double quotes where they hold separators or line ends."""
    check_file(path)
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:  # broken bytes stay in their row
        lines = csv.reader(file, delimiter=separator, strict=True)
        try:
            names = next(lines)
        except (csv.Error, StopIteration) as error:
            raise UserError(f"{path}: its first line holds no column names ({error}); {MEND}") from error
        if broken_encoding("".join(names)):
            raise UserError(f"{path} is no UTF-8 text; save it as UTF-8")
        check_columns(path, columns, names)
        number = 0
        while True:
            start = lines.line_num
            try:
                cells = next(lines)
            except StopIteration:
                return
            except csv.Error:
                for _ in range(lines.line_num - start):  # each line that the open quote has swallowed
                    number += 1
                    yield number, "its quotes don't match, or a cell is far too long"
                continue
            if cells:
                number += 1
                yield number, _row(names, cells)


def _row(names: list[str], cells: list[str]) -> Record:
    if len(cells) != len(names):
        return "it has more or fewer cells than there are columns"
    if any(map(broken_encoding, cells)):
        return "broken UTF-8"
    return dict(zip(names, cells, strict=True))


def read_jsonl(path: Path, columns: Collection[str]) -> Iterator[tuple[int, Record]]:
    """The JSON object of each line that isn't blank. A column is one that any line has."""
    check_file(path)
    there: dict[str, None] = {}
    for _, record in _objects(path):
        there.update(dict.fromkeys(record if isinstance(record, dict) else ()))
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
