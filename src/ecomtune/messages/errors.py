"""A user's mistake, and how it is told."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
    except BaseException as error:  # safetensors, tokenizers and peft raise what a file provokes, Exception itself too
        if not is_failure(error):
            raise
        if not output.exists():  # transformers then speaks of the hub
            raise UserError(f"{output} is missing; run dvc repro, which makes it") from error
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{output} is missing or broken ({reason}); remove it and run dvc repro") from error


def is_failure(error: BaseException) -> bool:
    """Whether a library has failed, not a signal come: one in Rust has a class of its own for that, which is no Exception."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


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


#: What to change at an error of the system; whatever else it is, space or permissions are amiss.
_ADVICE = {
    errno.EXDEV: "have the whole project, .scratch too, on one file system, and all of it writable",
    **dict.fromkeys((errno.EEXIST, errno.ENOTDIR, errno.EISDIR), "remove what stands in its place"),
}


def sentence(error: UserError | OSError) -> str:
    """What to tell the user of a mistake, or of a file or folder that can't be read or written."""
    if isinstance(error, OSError) and error.strerror:
        named = [str(name) for name in (error.filename, error.filename2) if name]  # two by a rename
        where = " to ".join(named) or Path.cwd()  # a full disk names no file
        advice = _ADVICE.get(error.errno or 0, "make it readable and writable, or make room")
        return f"{where}: {error.strerror}; {advice}, and run this again"
    return " ".join(str(error).split())
