"""Opening raw files: a fault of the whole file is told in one sentence, one of a single record is given as its reason."""

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

MEND = "correct its url and sha256 under datasets in params.yaml and run dvc repro again"
#: How a file begins that is something else than it should be.
STRANGERS = {
    b"<!doctype html": "an HTML page",
    b"<html": "an HTML page",
    b"version https://git-lfs": "a Git LFS pointer, which only names the data",
}
#: So many characters of a record are told where it can't be used.
BEGINNING = 200


@dataclass(frozen=True)
class Unreadable:
    """A single record that can't be read: why, and how it begins."""

    reason: str
    text: str


def beginning(record: str | bytes | Mapping[str, Any]) -> str:
    """The first characters of a record: as it stands in its file, or of its values by name as JSON."""
    if isinstance(record, bytes):
        record = record[: 4 * BEGINNING].decode("utf-8-sig", errors="replace")  # a character has 4 bytes at most
    if not isinstance(record, str):
        cut = {name: value[:BEGINNING] if isinstance(value, str | list) else value for name, value in record.items()}
        record = json.dumps(cut, ensure_ascii=False, default=str)
    return record[:BEGINNING]


def check_file(path: Path) -> None:
    """Raises UserError where the file is missing, empty, or a page or pointer in place of the data."""
    try:
        start = _beginning(path)
    except FileNotFoundError as error:
        raise missing(path) from error
    except OSError as error:
        raise UserError(f"{path} can't be opened ({error.strerror}); name it under files of its data set, or {MEND}") from error
    if not start:
        raise UserError(f"{path} is empty; {MEND}")
    if what := stranger(path):
        raise UserError(f"{path} is {what}, not data; {MEND}")


def missing(path: Path) -> UserError:
    """The error of a file that isn't there; its folder has the data set's name."""
    download = f"dvc repro download@{path.parent.name}"
    return UserError(f"{path} is missing; run {download}, and where that doesn't bring it, name it under files of its data set")


def stranger(path: Path) -> str | None:
    """What a file is that is no data, by how it begins: a page or a pointer; None for any other."""
    start = _beginning(path)
    return next((what for beginning, what in STRANGERS.items() if start.startswith(beginning)), None)


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(512).removeprefix(b"\xef\xbb\xbf").lstrip().lower()


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
            check_unpacked_size(path, opened)
            yield opened
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error) from error


def json_object(data: bytes) -> dict[str, Any] | Unreadable:
    """The JSON object written in ``data``, or why there is none."""
    try:
        value = parse_json(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return Unreadable("broken UTF-8", beginning(data))
    except ValueError:
        return Unreadable("no valid JSON", beginning(data))
    return value if isinstance(value, dict) else Unreadable("no JSON object", beginning(data))
