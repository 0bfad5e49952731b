"""One process at a time, where two would write the same file in scratch or pay for the same answer twice."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file ``path`` while the block runs; where another process holds it, call ``waiting`` and wait for its end.

    The file is removed at the end of the block. One that a killed process has left holds nobody up.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    held = False
    while not held:
        with path.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                fcntl.flock(lock, fcntl.LOCK_EX)
            held = path.exists() and os.path.samestat(os.fstat(lock.fileno()), path.stat())
            if held:  # else it is the file of the one that was waited for, which has removed it
                try:
                    yield
                finally:
                    path.unlink(missing_ok=True)
