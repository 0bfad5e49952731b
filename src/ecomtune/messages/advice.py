"""What is wrong in params.yaml or a file, and what to change: advice for failed validations and mistyped names."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

#: Two names are similar from this ratio of difflib on, about two of three letters in common.
SIMILAR = 0.65
#: A longer text is not taken for a number that was quoted by mistake.
MAX_DIGITS = 20


def describe(error: ValidationError, section: type[BaseModel] | None = None) -> str:
    """The first problem of a failed validation: the key and what to change.

    Unknown keys come first, since a mistyped key is found missing under its right name too; where ``section``, which failed,
    is given, the nearest key that is known there is named.
    """
    first = min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    where = ".".join(str(part) for part in first["loc"] if part != "[key]")
    message = _advice(first["type"], first["loc"], first["input"]) or first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden" and section:
        *way, key = first["loc"]
        if near := nearest(str(key), _keys_at(section, way)):
            message += f" to {near}"
    return " ".join((f"{where}: {message}" if where else message).split())


def _advice(problem: str, place: Sequence[str | int], value: Any) -> str | None:
    """What to change where pydantic's own message of this type of problem doesn't say it."""
    match problem:
        case "extra_forbidden":
            return "unknown key; remove it or correct its spelling"
        case "missing":
            return "this key is missing; add it"
        case "string_type" if place[-1:] == ("[key]",):
            return "a name is text; put it in quotes"
        case "string_pattern_mismatch" if place[-1:] == ("[key]",):
            return "a name holds letters, digits, _ and - only; rename it"
        case "int_type" if isinstance(value, str) and (digits := _digits(value)):
            how = "it without quotes" if digits == value else digits
            return f"Input should be a valid integer, but YAML reads {value} as text; write {how}"
        case "model_type" if place and value is None:
            return "it is empty; write what belongs to it below it"
        case "dict_type" if place and value is None:
            return "it is empty; write what belongs to it below it, or {} for nothing"
    return None


def _digits(text: str) -> str | None:
    """The whole number that a short text says, in decimal digits, or None."""
    try:
        return str(int(text, 0)) if len(text) <= MAX_DIGITS else None
    except ValueError:
        return None


def nearest(name: str, known: Collection[str]) -> str | None:
    """The known name that ``name``, case aside, is probably meant to be, or None."""
    by_lower = {each.lower(): each for each in known}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=SIMILAR)
    return by_lower[found[0]] if found else None


def _keys_at(section: type[BaseModel], way: Sequence[str | int]) -> Collection[str]:
    """The keys of the section that lies ``way`` below ``section``."""
    names_item = False
    for part in way:
        if names_item:  # of a dict or tuple of sections
            names_item = False
            continue
        annotation = section.model_fields[str(part)].annotation
        section = next(each for each in (annotation, *get_args(annotation)) if _is_section(each))
        names_item = get_origin(annotation) in (dict, tuple)
    return section.model_fields


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
