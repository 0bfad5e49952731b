"""File locks between processes that would write the same file in scratch, or pay for the same answer twice."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold a lock on the file ``path``; if another process holds it, call ``waiting`` once and wait until it is released.

    The file exists only while the lock is held or waited for. The holder deletes it before releasing the lock; a process that
    then acquires the lock of a deleted file tries again with a new file. A file left by a killed process blocks nobody.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    waited = False
    while True:
        with path.open("a") as lock:  # not "w", which would truncate the target of a link
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not waited:
                    waiting()
                waited = True
                fcntl.flock(lock, fcntl.LOCK_EX)
            if _is_at(path, lock.fileno()):
                try:
                    yield
                finally:
                    path.unlink(missing_ok=True)
                return


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether the open file is the one that now has this path."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
