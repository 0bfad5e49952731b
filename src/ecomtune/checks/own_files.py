"""The user's own source files: the entry that pins one, and those that differ from their pin."""

from __future__ import annotations

from pathlib import Path

from ecomtune.core.config import SourceFile
from ecomtune.core.config.params import Params
from ecomtune.core.files import sha256_file
from ecomtune.datasets.fetch import own_path
from ecomtune.messages.errors import UserError


def changed_files(params: Params) -> list[str]:
    """A sentence for each local source file that differs from its pin. DVC only tracks the pin, not the file itself."""
    problems = []
    for name, dataset in params.datasets.items():
        for source in dataset.files:
            if (own := own_path(source)) is None:
                continue
            if not own.is_file():
                problems.append(f"datasets.{name}: there is no file {own}; put it there, or correct its url")
            elif sha256_file(own) != source.sha256:
                problems.append(f"{own} differs from its pin in datasets.{name}; pin it again with: ecomtune pin {own}")
    return problems


def pin_entry(file: Path, licence: str) -> SourceFile:
    """The entry that pins a local file. Raises UserError where the file is missing or empty, or the licence is empty."""
    if not file.is_file():
        raise UserError(f"there is no file {file}; pin a local file (for one on the web, pin a copy and then write its url)")
    if not file.stat().st_size:
        raise UserError(f"{file} is empty; choose a file that holds data")
    if not licence:
        raise UserError(f"{file}: the licence is empty; name the licence, or who may use the file and how")
    return SourceFile(path=file.name, url=file.as_posix(), sha256=sha256_file(file), bytes=file.stat().st_size, licence=licence)
