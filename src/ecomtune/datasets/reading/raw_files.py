"""Opening raw files: a fault of the whole file stops with one sentence, a fault of one record becomes its reason."""

from __future__ import annotations

import json
import lzma
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecomtune.core.archives import check_unpacked_size
from ecomtune.core.files import parse_json
from ecomtune.messages.errors import UserError

#: What to change where a file is not the one that was meant.
PIN_ADVICE = "correct its url and sha256 under datasets in params.yaml and run dvc repro again"
#: How a file begins that a server sends in place of the data.
PLACEHOLDERS = {
    b"<!doctype html": "an HTML page",
    b"<html": "an HTML page",
    b"version https://git-lfs": "a Git LFS pointer, which only names the data",
}
#: The most characters that are quoted of a record that can't be used.
EXCERPT_CHARACTERS = 200


@dataclass(frozen=True)
class Unreadable:
    """A single record that can't be read: the reason, and an excerpt of it."""

    reason: str
    text: str


def excerpt(record: str | bytes | Mapping[str, Any]) -> str:
    """The first characters of a record: of its text in the file, or of its values by name as JSON."""
    if isinstance(record, bytes):
        record = record[: 4 * EXCERPT_CHARACTERS].decode("utf-8-sig", errors="replace")  # a character has 4 bytes at most
    if not isinstance(record, str):
        cut = {name: value[:EXCERPT_CHARACTERS] if isinstance(value, str | list) else value for name, value in record.items()}
        record = json.dumps(cut, ensure_ascii=False, default=str)
    return record[:EXCERPT_CHARACTERS]


def check_file(path: Path) -> None:
    """Raises UserError where the file is missing, empty, or a page or pointer in place of the data."""
    try:
        start = _first_bytes(path)
    except FileNotFoundError as error:
        raise missing_file(path) from error
    except OSError as error:
        advice = f"name it under files of its data set, or {PIN_ADVICE}"
        raise UserError(f"{path} can't be opened ({error.strerror}); {advice}") from error
    if not start:
        raise UserError(f"{path} is empty; {PIN_ADVICE}")
    if what := placeholder(path):
        raise UserError(f"{path} is {what}, not data; {PIN_ADVICE}")


def missing_file(path: Path) -> UserError:
    """The error for a file that is missing; its folder has the data set's name."""
    download = f"dvc repro download@{path.parent.name}"
    return UserError(f"{path} is missing; run {download}, and if it is still missing, name it under files of its data set")


def placeholder(path: Path) -> str | None:
    """What a file is that a server sent in place of the data, a page or a pointer; None for any other file."""
    start = _first_bytes(path)
    return next((what for opening, what in PLACEHOLDERS.items() if start.startswith(opening)), None)


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(512).removeprefix(b"\xef\xbb\xbf").lstrip().lower()


def check_columns(path: Path, wanted: Collection[str], present: Collection[str]) -> None:
    """Raises UserError naming the first wanted column that the file lacks or has twice, and the columns that it has."""
    columns = list(present)
    for name in wanted:
        if columns.count(name) != 1:
            fault = "no column" if name not in columns else "more than one column"
            shown = ", ".join(map(repr, columns))[:500] or "none"
            raise UserError(f"{path} has {fault} {name!r}; its columns are {shown}; correct the name or the file")


def broken_file(path: Path, error: BaseException) -> UserError:
    """The error for a file that is broken or cut off."""
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return UserError(f"{path} is broken or cut off ({reason}); {PIN_ADVICE}")


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """The zip file, whose members are read in place. Raises UserError where it or a member is broken."""
    check_file(path)
    try:
        with zipfile.ZipFile(path) as opened:
            check_unpacked_size(path, opened)
            yield opened
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, OSError, UnicodeDecodeError) as error:
        raise broken_file(path, error) from error


def json_object(data: bytes) -> dict[str, Any] | Unreadable:
    """The JSON object in ``data``, or the reason why there is none."""
    try:
        value = parse_json(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return Unreadable("broken UTF-8", excerpt(data))
    except ValueError:
        return Unreadable("invalid JSON", excerpt(data))
    return value if isinstance(value, dict) else Unreadable("not a JSON object", excerpt(data))
