"""Parquet files: their columns checked, their rows read in batches of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue
from threading import Event, Thread
from typing import Any

import polars as pl
from polars.exceptions import PanicException, PolarsError

from ecomtune.datasets.reading.raw_files import broken_file, check_columns, check_file

BATCH_ROWS = 50_000


def scan(path: Path, columns: Mapping[str, type[pl.DataType] | None]) -> pl.LazyFrame:
    """The columns of a parquet file, each cast to its type where one is given.

    Raises UserError where the file is broken or a column is missing.
    """
    check_file(path)
    try:
        frame = pl.scan_parquet(path, glob=False)
        present = frame.collect_schema().names()
    except (PolarsError, PanicException, OSError) as error:
        raise broken_file(path, error) from error
    check_columns(path, list(columns), present)
    wanted = [pl.col(name) if kind is None else pl.col(name).cast(kind, strict=False) for name, kind in columns.items()]
    return frame.select(wanted)


def rows_in(path: Path, column: str) -> int:
    """The number of rows of a parquet file with this column. Raises UserError as :func:`scan` does."""
    ((number,),) = tuples(scan(path, {column: None}).select(pl.len()), path)
    return int(number)


def batches(frame: pl.LazyFrame, path: Path) -> Iterator[pl.DataFrame]:
    """The rows of ``frame`` in order, up to BATCH_ROWS at a time. Raises UserError naming ``path`` where it is broken.

    They are read in a thread, because polars' own iterator takes the panic over a damaged page for the end of the file.
    """
    queue: Queue[pl.DataFrame | BaseException | None] = Queue(maxsize=1)
    cancelled = Event()

    def put(batch: pl.DataFrame) -> bool:
        queue.put(batch)
        return cancelled.is_set()  # True makes polars stop

    def read() -> None:
        try:
            frame.sink_batches(put, chunk_size=BATCH_ROWS, maintain_order=True, engine="streaming")
            queue.put(None)
        except BaseException as error:
            queue.put(error)

    thread = Thread(target=read, daemon=True)
    thread.start()
    try:
        while isinstance(batch := queue.get(), pl.DataFrame):
            yield batch
    finally:
        cancelled.set()
        while thread.is_alive():  # it may be waiting for room in the queue
            with suppress(Empty):
                queue.get(timeout=0.01)
    if isinstance(batch, PolarsError | PanicException | OSError):
        raise broken_file(path, batch) from batch
    if batch is not None:
        raise batch


def tuples(frame: pl.LazyFrame, path: Path) -> Iterator[tuple[Any, ...]]:
    """The rows of ``frame`` as plain tuples; a batch is converted to Python values at once.

    Raises UserError naming ``path`` where Python has no such value, for example a date after the year 9999.
    """
    for batch in batches(frame, path):
        try:
            columns = [column.to_list() for column in batch.get_columns()]
        except (PolarsError, PanicException, ValueError, OverflowError) as error:
            raise broken_file(path, error) from error
        yield from zip(*columns, strict=True)
