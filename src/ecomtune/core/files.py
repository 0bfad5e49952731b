"""JSON and YAML files, atomic writing of files and folders, and hashes. Equal values are written as equal bytes."""

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
from ecomtune.core.paths import ADAPTERS, BASELINES, EXAMPLES, MERGED, PREDICTIONS, SCRATCH
from ecomtune.messages.advice import describe
from ecomtune.messages.errors import UserError, writing

#: The stage that writes the subfolders of a folder, {} standing for a subfolder's name where that is the item's; the first
#: match counts. For adapters and baselines, only params.yaml knows which item writes a folder.
STAGE_BY_FOLDER = {
    EXAMPLES: "format@{}",
    PREDICTIONS: "predict@{}",
    MERGED: "merge@{}",
    ADAPTERS: "train",
    BASELINES: "baseline",
}

Shape = TypeVar("Shape")


def dump_json(value: Any) -> str:
    """JSON text with sorted keys and a final newline: equal values have equal bytes."""
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True, allow_nan=False) + "\n"


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError where it is invalid, or nested more deeply than Python's parser allows."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def read_json(path: Path) -> Any:
    """The value of a JSON file. Raises UserError where it is missing or invalid."""
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; run the stage that writes it (dvc repro)") from error
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}); delete it and run dvc repro again") from error


def read_json_as(path: Path, shape: type[Shape]) -> Shape:
    """The value of a JSON file, validated as ``shape``, any type that pydantic can validate.

    Raises UserError, naming the stage to run, where the file is missing, invalid or of another shape.
    """
    command = f"dvc repro {_stage_that_writes(path)}".strip()
    try:
        return TypeAdapter(shape).validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; run the stage that writes it ({command})") from error
    except ValidationError as error:
        raise UserError(f"{path} is missing or broken ({describe(error)}); remove it and run {command}") from error


def _stage_that_writes(path: Path) -> str:
    for folder, stage in STAGE_BY_FOLDER.items():
        if item := re.search(rf"{folder.as_posix()}/([^/]+)/", path.as_posix()):
            return stage.format(item[1])
    return ""


def read_yaml(path: Path) -> Any:
    """The value of a YAML file as DVC reads it: YAML 1.2, in which 010 is 10 and 1e-3 is a number.

    Raises UserError where the file is not UTF-8 text, not YAML, or contains a key twice.
    """
    try:
        return parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not valid YAML: {error}") from error


def parse_yaml(text: str, name: str) -> Any:
    """The value of a YAML text, like :func:`read_yaml`; errors call the text ``name``."""
    try:
        return YAML(typ="safe").load(text)
    except Exception as error:  # also ValueError, IndexError, AssertionError and RecursionError come out of ruamel
        raise UserError(f"{name} is not valid YAML: {_yaml_problem(error)}") from error


#: The key in ruamel's message on a duplicate key; the values that follow it in the message are of no use.
_QUOTED_KEY = re.compile(r'".*?"')


def _yaml_problem(error: Exception) -> str:
    """What is wrong, in one line."""
    if isinstance(error, DuplicateKeyError) and error.problem_mark and (key := _QUOTED_KEY.search(str(error.problem))):
        return f"line {error.problem_mark.line + 1}: the key {key[0]} occurs twice; remove or rename one"
    if isinstance(error, MarkedYAMLError) and error.problem and error.problem_mark:  # its text has several lines
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return " ".join(str(error).split())


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 to a scratch file, then rename that to ``path``: readers never see half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    SCRATCH.mkdir(exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=SCRATCH, prefix=f"{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)  # mkstemp makes 0600, unreadable for others who share the checkout
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write lines, each followed by a newline, like :func:`write_text`."""
    write_text(path, "".join(f"{line}\n" for line in lines))


@contextmanager
def output_folder(path: Path) -> Iterator[Path]:
    """A scratch folder that replaces ``path`` when the block ends without an error.

    After an error, a signal that Python turns into one, or a kill while the block runs, the former ``path`` is unchanged. A
    kill, or a second signal, between the two final renames leaves the former folder in scratch, and nothing half-written. If
    several processes write ``path`` at once, the last one to finish wins.
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
            file.chmod(0o755 if file.is_dir() else 0o644)  # some libraries make 0600
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(SCRATCH / "placing.lock", lambda: None):  # another run of the stage may be at the same point
            _place(content, path, old)
        placed = True
    finally:
        if placed or not old.exists():
            shutil.rmtree(work, ignore_errors=True)


def _place(content: Path, path: Path, old: Path) -> None:
    """Rename ``path`` to ``old`` and ``content`` to ``path``; an error between the two undoes the first."""
    try:
        if path.exists():
            path.replace(old)
        content.replace(path)
    except BaseException:
        if old.exists() and not path.exists():
            old.replace(path)
        raise


def sha256_file(path: Path) -> str:
    """The hexadecimal sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_folder(folder: Path) -> str:
    """The hexadecimal sha256 over the names and bytes of all files below ``folder``, in sorted order."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(folder).as_posix()}\0{sha256_file(file)}\n".encode())
    return digest.hexdigest()
