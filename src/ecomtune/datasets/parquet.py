"""Parquet files: their columns checked, their rows read in batches of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
from polars.exceptions import PanicException, PolarsError

from ecomtune.datasets.raw_files import check_columns, check_file, unreadable

BATCH_ROWS = 50_000


def scan(path: Path, columns: Mapping[str, type[pl.DataType] | None]) -> pl.LazyFrame:
    """The columns of a parquet file, each cast to its type where one is given.

    Raises UserError where the file is broken or a column is missing.
    """
    check_file(path)
    try:
        frame = pl.scan_parquet(path, glob=False)
        there = frame.collect_schema().names()
    except (PolarsError, PanicException, OSError) as error:
        raise unreadable(path, error) from error
    check_columns(path, list(columns), there)
    wanted = [pl.col(name) if kind is None else pl.col(name).cast(kind, strict=False) for name, kind in columns.items()]
    return frame.select(wanted)


def rows_in(path: Path, column: str) -> int:
    """The number of rows of a parquet file that has the column. Raises UserError as :func:`scan` does."""
    ((number,),) = tuples(scan(path, {column: None}).select(pl.len()), path)
    return int(number)


def batches(frame: pl.LazyFrame, path: Path) -> Iterator[pl.DataFrame]:
    """The rows of ``frame`` in order, some thousands at once. Raises UserError naming ``path`` where it is broken."""
    try:
        yield from frame.collect_batches(chunk_size=BATCH_ROWS, maintain_order=True, lazy=True, engine="streaming")
    except (PolarsError, PanicException, OSError) as error:
        raise unreadable(path, error) from error


def tuples(frame: pl.LazyFrame, path: Path) -> Iterator[tuple[Any, ...]]:
    """The rows of ``frame`` as plain tuples, a whole batch turned into Python values at once."""
    for batch in batches(frame, path):
        yield from zip(*(column.to_list() for column in batch.get_columns()), strict=True)
