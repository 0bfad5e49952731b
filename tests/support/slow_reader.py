"""Readers that a test kills, each with a file that says which process reads: fresh processes import them by name."""

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


def dying() -> Iterator[Row]:
    """Killed while it reads, as by a system that has no memory left."""
    os.kill(os.getpid(), signal.SIGKILL)
    yield from ()


def failing() -> Iterator[Row]:
    """A broken file."""
    raise UserError("part.parquet is broken; download it again")
    yield  # a generator fails when it is read


def waiting(folder: Path) -> Iterator[Row]:
    """Reads for ever."""
    (folder / f"{os.getpid()}.reading").touch()
    time.sleep(600)
    yield from ()


if __name__ == "__main__":
    place = Path(sys.argv[1])
    settings = TaskSettings(dataset="shop", train_size=1, validation_size=0, test_size=1, max_new_tokens=8)
    try:
        format_rows("ner", [partial(waiting, place)] * 2, settings, 7, place, place)
    except KeyboardInterrupt:
        sys.exit("stopped")
