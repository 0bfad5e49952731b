"""Bounds on archives: none may unpack to far more than itself."""

from __future__ import annotations

import zipfile
from pathlib import Path

from ecomtune.messages.errors import UserError

#: A zip may hold so many times its own size, and a small one so many bytes: what holds more is made to fill disk or memory.
MAX_RATIO, ALWAYS_ALLOWED_BYTES = 100, 2**24


def check_unpacked_size(path: Path, opened: zipfile.ZipFile) -> None:
    """Raises UserError where a zip would unpack to far more than itself; no member gives more bytes than it declares."""
    size = sum(member.file_size for member in opened.infolist())
    packed = path.stat().st_size
    if size > max(ALWAYS_ALLOWED_BYTES, MAX_RATIO * packed):
        raise UserError(f"{path} would unpack {packed} bytes to {size}; it is made to fill the disk, so don't use it")
