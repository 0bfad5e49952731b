"""Readers that die, fail or hang, for tests of formatting: spawned processes import them by name."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ecomtune.core.config import TaskSettings
from ecomtune.core.records import Row
from ecomtune.examples.formatting import format_rows
from ecomtune.messages.errors import UserError
from tests.support.tasks import load_task


def dying() -> Iterator[Row]:
    """Is killed while it reads, as by a system that has run out of memory."""
    os.kill(os.getpid(), signal.SIGKILL)
    yield from ()


def failing() -> Iterator[Row]:
    """Finds a broken file."""
    raise UserError("part.parquet is broken; download it again")
    yield  # makes it a generator, which raises only when it is read


def waiting(folder: Path) -> Iterator[Row]:
    """Reads forever; its process id is the name of a file."""
    (folder / f"{os.getpid()}.reading").touch()
    time.sleep(600)
    yield from ()


if __name__ == "__main__":
    place = Path(sys.argv[1])
    settings = TaskSettings(dataset="shop", train_size=1, validation_size=0, test_size=1, max_new_tokens=8)
    try:
        format_rows(load_task("ner"), [partial(waiting, place)] * 2, settings, 7, place, place)
    except KeyboardInterrupt:
        sys.exit("stopped")
