"""Errors that users can do something about, and the sentence that reports each."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: How libraries report an error of the operating system in the text of another exception: those in Rust (safetensors,
#: tokenizers) with its number, torch only by the names of its writer.
_SYSTEM_ERROR = re.compile(r"\bos error (\d+)\b|PytorchStreamWriter|inline_container|iostream error")


class UserError(Exception):
    """What is wrong, where, and what to change, in one sentence.

    Stages and commands print it without a traceback and exit with status 1. Any other exception is a bug of this project.
    """


@contextmanager
def reading(output: Path) -> Iterator[None]:
    """Turn any exception that a library raises on a missing or broken stage output into a UserError."""
    try:
        yield
    except UserError:
        raise
    except BaseException as error:  # a broken file makes safetensors, tokenizers and peft raise almost any class
        if not is_failure(error):
            raise
        if not output.exists():  # transformers would suggest the hub
            raise UserError(f"{output} is missing; run dvc repro, which makes it") from error
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{output} is missing or broken ({reason}); remove it and run dvc repro") from error


def is_failure(error: BaseException) -> bool:
    """Whether a library has failed, as opposed to a signal: Rust libraries raise PanicException, a BaseException, for that."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


@contextmanager
def writing(output: Path) -> Iterator[None]:
    """Turn an error of the operating system that a library reports only as text, such as a full disk, into an OSError."""
    try:
        yield
    except (UserError, OSError):
        raise
    except Exception as error:  # tokenizers raises Exception itself
        if not (found := _SYSTEM_ERROR.search(str(error))):
            raise
        number = int(found[1] or errno.ENOSPC)
        raise OSError(number, os.strerror(number), str(output)) from error


#: What to change after an error of the operating system. With any other number, space or permissions are the likely cause.
_ADVICE = {
    errno.EXDEV: "keep the complete project, with .scratch, on one writable file system",
    **dict.fromkeys((errno.EEXIST, errno.ENOTDIR, errno.EISDIR), "remove what is in its place"),
}


def sentence(error: UserError | OSError) -> str:
    """The sentence that reports a user's mistake, or a file or folder that can't be read or written."""
    if isinstance(error, OSError) and error.strerror:
        named = [str(name) for name in (error.filename, error.filename2) if name]  # two for a rename
        where = " to ".join(named) or Path.cwd()  # a full disk names no file
        advice = _ADVICE.get(error.errno or 0, "make it readable and writable, or make room")
        return f"{where}: {error.strerror}; {advice}, and run this again"
    return " ".join(str(error).split())
