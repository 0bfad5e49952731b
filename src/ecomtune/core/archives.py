"""Protection against archives that unpack to far more than their own size."""

from __future__ import annotations

import zipfile
from pathlib import Path

from ecomtune.messages.errors import UserError

#: A zip may unpack to this many times its size, or to this many bytes if it is small. One that exceeds both is an archive bomb.
MAX_RATIO, ALWAYS_ALLOWED_BYTES = 100, 2**24


def check_unpacked_size(path: Path, opened: zipfile.ZipFile) -> None:
    """Raises UserError where a zip would unpack to far more than its size. (No member unpacks to more than it declares.)"""
    size = sum(member.file_size for member in opened.infolist())
    packed = path.stat().st_size
    if size > max(ALWAYS_ALLOWED_BYTES, MAX_RATIO * packed):
        raise UserError(f"{path} would unpack {packed} bytes to {size}; it looks like a zip bomb, so don't use it")
