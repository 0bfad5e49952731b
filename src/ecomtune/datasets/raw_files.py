"""Opening raw files: a fault of the whole file is told in one sentence, one of a single record is given as its reason."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ecomtune.errors import UserError

MEND = "correct its url and sha256 under datasets in params.yaml and run dvc repro again"
#: How a file begins that is something else than it should be.
STRANGERS = {
    b"<!doctype html": "an HTML page",
    b"<html": "an HTML page",
    b"version https://git-lfs": "a Git LFS pointer, which only names the data",
}


def check_file(path: Path) -> None:
    """Raises UserError where the file is missing, empty, or a page or pointer in place of the data."""
    try:
        with path.open("rb") as file:
            start = file.read(512).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    except OSError as error:
        raise UserError(f"{path} can't be opened ({error.strerror}); name it under files of its data set, or {MEND}") from error
    if not start:
        raise UserError(f"{path} is empty; {MEND}")
    for beginning, what in STRANGERS.items():
        if start.startswith(beginning):
            raise UserError(f"{path} is {what}, not data; {MEND}")


def check_columns(path: Path, wanted: Collection[str], there: Collection[str]) -> None:
    """Raises UserError naming the first wanted column that the file lacks or has twice, and those that it has."""
    columns = list(there)
    for name in wanted:
        if columns.count(name) != 1:
            fault = "no column" if name not in columns else "more than one column"
            shown = ", ".join(map(repr, columns))[:500] or "none"
            raise UserError(f"{path} has {fault} {name!r}, but the columns {shown}; correct the name or the file")


def unreadable(path: Path, error: BaseException) -> UserError:
    """The error of a file that is broken or cut off."""
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return UserError(f"{path} is broken or cut off ({reason}); {MEND}")


@contextmanager
def opened_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """The zip file, whose members are read in place. Raises UserError where it or a member is broken."""
    check_file(path)
    try:
        with zipfile.ZipFile(path) as opened:
            yield opened
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error) from error


def json_object(data: bytes) -> dict[str, Any] | str:
    """The JSON object written in ``data``, or why there is none."""
    try:
        value = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return "broken UTF-8"
    except (ValueError, RecursionError):
        return "no valid JSON"
    return value if isinstance(value, dict) else "no JSON object"
