"""A user's mistake, and how it is told."""

from __future__ import annotations

from pydantic import ValidationError


class UserError(Exception):
    """What is wrong, where, and what to change, in one sentence.

    Stages and the command line print it without a traceback and exit with status 1; any other exception is our defect.
    """


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
