"""A user's mistake, and how it is told."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

#: How libraries tell an error of the system in words alone: those in Rust (safetensors, tokenizers) with its number, torch only
#: that a file could not be written to its end.
_SYSTEM_ERROR = re.compile(r"\bos error (\d+)\b|PytorchStreamWriter|inline_container|iostream error")


class UserError(Exception):
    """What is wrong, where, and what to change, in one sentence.

    Stages and the command line print it without a traceback and exit with status 1; any other exception is our defect.
    """


@contextmanager
def reading(output: Path) -> Iterator[None]:
    """Turn whatever a library raises on a stage output that is missing or broken into a UserError."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # safetensors, tokenizers and peft raise what a file provokes, Exception itself too
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{output} is missing or broken ({reason}); remove it and run dvc repro") from error


@contextmanager
def writing(output: Path) -> Iterator[None]:
    """Turn an error of the system that a library tells in words alone, such as a full disk, into the OSError that it is."""
    try:
        yield
    except (UserError, OSError):
        raise
    except Exception as error:  # tokenizers raise Exception itself
        if not (told := _SYSTEM_ERROR.search(str(error))):
            raise
        number = int(told[1] or errno.ENOSPC)
        raise OSError(number, os.strerror(number), str(output)) from error


def describe(error: ValidationError) -> str:
    """The first problem of a failed validation: the key and what to change.

    Unknown keys come first, since a mistyped key is found missing under its right name too.
    """
    first = min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = "unknown key; remove it or correct its spelling"
    elif first["type"] == "missing":
        message = "this key is missing; add it"
    return " ".join((f"{where}: {message}" if where else message).split())
