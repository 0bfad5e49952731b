"""Files of the user's own: the entry that pins one, and those that differ from their pin."""

from __future__ import annotations

from pathlib import Path

from ecomtune.core.config import SourceFile
from ecomtune.core.config.params import Params
from ecomtune.core.files import sha256_file
from ecomtune.datasets.fetch import own_path
from ecomtune.messages.errors import UserError


def changed_files(params: Params) -> list[str]:
    """What to tell of each of the user's own files that isn't what its pin says: dvc looks at the pin, not at the file."""
    problems = []
    for name, dataset in params.datasets.items():
        for source in dataset.files:
            if (own := own_path(source)) is None:
                continue
            if not own.is_file():
                problems.append(f"datasets.{name}: there is no file {own}; put it there, or correct its url")
            elif sha256_file(own) != source.sha256:
                problems.append(f"{own} isn't what datasets.{name} pins; take what this prints: ecomtune pin {own}")
    return problems


def pin_entry(file: Path, licence: str) -> SourceFile:
    """The entry that pins the user's own file. Raises UserError where there is none, or it or the licence is empty."""
    if not file.is_file():
        raise UserError(f"there is no file {file}; pin one of this machine (of the web: a copy, then put its url)")
    if not file.stat().st_size:
        raise UserError(f"{file} is empty; pin a file that holds data")
    if not licence:
        raise UserError(f"{file}: the licence is empty; say who may use the file, and how")
    return SourceFile(path=file.name, url=file.as_posix(), sha256=sha256_file(file), bytes=file.stat().st_size, licence=licence)
