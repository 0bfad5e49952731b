"""Files written whole or not at all, and always with the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError

from ecomtune.core.locks import locked
from ecomtune.core.paths import SCRATCH
from ecomtune.messages.advice import describe
from ecomtune.messages.errors import UserError, writing

#: The stage, or where only params.yaml knows the item its family, that writes what lies in a folder; the first that fits.
WRITERS = {
    r"data/examples/([^/]+)/": r"format@\1",
    r"data/predictions/([^/]+)/": r"predict@\1",
    r"models/adapters/merged/([^/]+)/": r"merge@\1",
    r"models/adapters/": "train",
    r"models/baselines/": "baseline",
}

Shape = TypeVar("Shape")


def dump_json(value: Any) -> str:
    """JSON text with sorted keys and a final newline: equal values give equal bytes."""
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True, allow_nan=False) + "\n"


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError where it is none, or of more brackets in brackets than Python goes into."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("brackets in brackets without end") from error


def read_json(path: Path) -> Any:
    """Parsed JSON of ``path``. Raises UserError where the file is missing or no JSON."""
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; run the stage that writes it (dvc repro)") from error
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}); delete it and run dvc repro again") from error


def read_json_as(path: Path, shape: type[Shape]) -> Shape:
    """JSON of ``path``, of a shape that pydantic knows.

    Raises UserError, which says what stage to run, where the file is missing, no JSON or of another shape.
    """
    again = f"dvc repro {_writer(path)}".strip()
    try:
        return TypeAdapter(shape).validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; run the stage that writes it ({again})") from error
    except ValidationError as error:
        raise UserError(f"{path} is missing or broken ({describe(error)}); remove it and run {again}") from error


def _writer(path: Path) -> str:
    found = (match.expand(stage) for place, stage in WRITERS.items() if (match := re.search(place, path.as_posix())))
    return next(found, "")


def read_yaml(path: Path) -> Any:
    """``path`` as DVC reads it: YAML 1.2, where 010 is 10 and 1e-3 a number.

    Raises UserError where it is no UTF-8 text, no YAML, or a key stands twice.
    """
    try:
        return parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not valid YAML: {error}") from error


def parse_yaml(text: str, name: str) -> Any:
    """What :func:`read_yaml` gives, of a text and what to call it."""
    try:
        return YAML(typ="safe").load(text)
    except Exception as error:  # ruamel raises what a text provokes: ValueError, IndexError, AssertionError, RecursionError
        raise UserError(f"{name} is not valid YAML: {_told(error)}") from error


#: The key in ruamel's words; behind it are values, those that aren't texts as if they were empty.
_KEY = re.compile(r'".*?"')


def _told(error: Exception) -> str:
    if isinstance(error, DuplicateKeyError) and error.problem_mark and (key := _KEY.search(str(error.problem))):
        return f"line {error.problem_mark.line + 1}: the key {key[0]} stands twice; remove or rename one"
    if isinstance(error, MarkedYAMLError) and error.problem and error.problem_mark:  # its text goes over several lines
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return " ".join(str(error).split())


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 into scratch and rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    SCRATCH.mkdir(exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=SCRATCH, prefix=f"{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)  # mkstemp makes 0600, which a shared checkout can't read
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write one line each, as :func:`write_text` does."""
    write_text(path, "".join(f"{line}\n" for line in lines))


@contextmanager
def output_folder(path: Path) -> Iterator[Path]:
    """A scratch folder that becomes ``path`` when the block ends without an error.

    An error, a signal that Python turns into one, or a kill while it is written leaves the former ``path`` untouched; a kill or
    a second signal between the last two renames leaves it in scratch, and nothing half-written. Of several runs at once, the
    last to end gives the output.
    """
    SCRATCH.mkdir(exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=SCRATCH, prefix=f"{path.name}."))
    old, placed = work / "old", False
    try:
        content = work / "new"
        content.mkdir()
        with writing(path):
            yield content
        for file in content.rglob("*"):
            file.chmod(0o755 if file.is_dir() else 0o644)  # some writers make 0600
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(SCRATCH / "placing.lock", lambda: None):  # another run of the stage may be as far
            _place(content, path, old)
        placed = True
    finally:
        if placed or not old.exists():
            shutil.rmtree(work, ignore_errors=True)


def _place(content: Path, path: Path, old: Path) -> None:
    """Put ``content`` in the place of ``path``, by way of ``old``; an error in between takes that back."""
    try:
        if path.exists():
            path.replace(old)
        content.replace(path)
    except BaseException:
        if old.exists() and not path.exists():
            old.replace(path)
        raise


def sha256_file(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_folder(folder: Path) -> str:
    """Hex digest over the names and bytes of all files below ``folder``, in sorted order."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(folder).as_posix()}\0{sha256_file(file)}\n".encode())
    return digest.hexdigest()
